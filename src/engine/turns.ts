/** One device, several passes: each has it to itself, but for the time in which it waits for experts. */
import type { Pause } from "../experts/contract.ts";

/** Turns come in the order in which they are asked for, also behind a pause. */
export class Turns {
  #taken = false;
  readonly #waiting: (() => void)[] = [];

  /** Runs a pass when its turn comes; during `pause` others have theirs. */
  async run<T>(pass: (pause: Pause) => Promise<T>): Promise<T> {
    await this.#take();
    try {
      return await pass(async (until) => {
        this.#give();
        try {
          return await until;
        } finally {
          await this.#take();
        }
      });
    } finally {
      this.#give();
    }
  }

  async #take(): Promise<void> {
    if (this.#taken) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#taken = true;
  }

  /** Hands the device to whoever is next, without a moment in which it is free. */
  #give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#taken = false;
    else next();
  }
}
