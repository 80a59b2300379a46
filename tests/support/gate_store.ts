/** A store that answers when the test says so: reads wait at a gate and are let through in any order. */
import type { ByteRange, ObjectStore, ReadOptions } from "../../src/store/contract.ts";

export interface GateStore extends ObjectStore {
  /** While true, reads pass at once. */
  open: boolean;
  /** Reads that wait. */
  readonly waiting: number;
  /** Lets the waiting read with this index go. */
  release(index: number): void;
  /** Lets reads through one by one, which and when by `random`, until `until` settles. */
  pump(random: () => number, until: Promise<unknown>): Promise<void>;
}

/** Puts a gate before a store; it is open at first. */
export function gateStore(inner: ObjectStore): GateStore {
  const queue: (() => void)[] = [];
  const gate: GateStore = {
    open: true,
    origin: inner.origin,
    get waiting() {
      return queue.length;
    },
    release: (index) => queue.splice(index, 1)[0]?.(),
    async pump(random, until) {
      let done = false;
      const end = () => void (done = true);
      until.then(end, end);
      while (!done) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        // Some turns nothing comes, in others several blocks do.
        while (queue.length > 0 && random() < 0.5) {
          gate.release(Math.floor(random() * queue.length));
        }
      }
    },
    async readRange(name: string, range: ByteRange, options?: ReadOptions) {
      if (!gate.open) await turn(queue, options?.signal);
      return await inner.readRange(name, range, options);
    },
    readAll: (name, maxBytes, options) => inner.readAll(name, maxBytes, options),
  };
  return gate;
}

function turn(queue: (() => void)[], signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      signal?.removeEventListener("abort", leave);
      resolve();
    };
    // A read that nobody wants any more does not wait; the inner store says that it was cancelled.
    const leave = () => {
      queue.splice(queue.indexOf(go), 1);
      resolve();
    };
    signal?.addEventListener("abort", leave, { once: true });
    queue.push(go);
  });
}
