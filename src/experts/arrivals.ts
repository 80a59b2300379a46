/** Blocks of experts as they come from the store, a bounded number ahead of whoever places them. */
import type { VerifiedBlock } from "../store/contract.ts";

/** Blocks asked for ahead of the one being placed: hides round trips, bounds host memory. */
const FETCH_AHEAD = 8;

/** A block and whose it is. */
export interface Arrived {
  expert: number;
  block: VerifiedBlock;
}

/** Blocks in the order in which they come; at most FETCH_AHEAD asked for and not yet taken. */
export class Arrivals {
  readonly #queue: number[];
  readonly #arrived: Arrived[] = [];
  #failure: { error: unknown } | undefined;
  #wake: (() => void) | undefined;
  #open = true;
  #out = 0;

  constructor(
    experts: readonly number[],
    private readonly fetch: (expert: number) => Promise<VerifiedBlock>,
  ) {
    this.#queue = [...experts];
    this.#fill();
  }

  #fill(): void {
    while (this.#open && this.#queue.length > 0 && this.#out + this.#arrived.length < FETCH_AHEAD) {
      const expert = this.#queue.shift()!;
      this.#out++;
      this.fetch(expert).then((block) => {
        this.#out--;
        if (this.#open) this.#arrived.push({ expert, block });
        else block.release();
        this.#wake?.();
      }, (error) => {
        this.#out--;
        this.#failure ??= { error };
        this.#wake?.();
      });
    }
  }

  /** The next block, waiting for it. Throws what its fetch threw. */
  async next(): Promise<Arrived> {
    while (this.#arrived.length === 0) {
      if (this.#failure !== undefined) throw this.#failure.error;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const first = this.#arrived.shift()!;
    this.#fill();
    return first;
  }

  /** Whatever else has come by now. */
  ready(): Arrived[] {
    const all = this.#arrived.splice(0);
    this.#fill();
    return all;
  }

  /** Lets go of everything; what still arrives is released at once. */
  discard(): void {
    this.#open = false;
    for (const a of this.#arrived.splice(0)) a.block.release();
  }
}
