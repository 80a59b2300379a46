/**
 * Passes over given tokens, one at a time: a batch of sources is encoded, or a chunk of prefixes is prefilled. A pass
 * that waits for experts gives the device up, so that decoder steps go on; it is abandoned when all of its sequences
 * are gone.
 */
import type { Pause, WaitOptions } from "../experts/contract.ts";
import type { SequenceModel } from "../nn/model.ts";
import type { ModelSpec } from "../nn/spec.ts";
import { decodeRows, encodeRows } from "./batch.ts";
import type { Sequence } from "./sequence.ts";
import type { Turns } from "./turns.ts";

/** A sequence as its passes see it. */
export interface Prefixed {
  readonly sequence: Sequence;
  /** What the encoder reads. */
  readonly source?: Int32Array | undefined;
}

interface Pass {
  /** Sequences that are still wanted. */
  readonly wanted: Set<Prefixed>;
  readonly stop: AbortController;
}

/** Rows of a chunk while nothing is known of what a row costs, and the fewest ever. */
const FIRST_ROWS = 64;
const LEAST_ROWS = 16;
/** How long a chunk may keep the device from decoder steps, in milliseconds. */
const CHUNK_MS = 250;

/** Runs passes on one model; sequences are its caller's. */
export class PrefixPasses {
  #pass: Pass | undefined;
  #rowMs: number | undefined;

  constructor(
    private readonly model: SequenceModel,
    private readonly spec: ModelSpec,
    private readonly turns: Turns,
    private readonly maxRows: number,
  ) {}

  /** Whether a pass that is under way writes to the sequence's pages. */
  has(s: Prefixed): boolean {
    return this.#pass?.wanted.has(s) === true;
  }

  /** A pass is under way: the next must wait. */
  get busy(): boolean {
    return this.#pass !== undefined;
  }

  /**
   * Encodes sources and puts their K and V into the sequences' pages. Returns the tokens encoded. Throws what the pass
   * threw, for all of the batch.
   */
  async encode(batch: readonly Prefixed[]): Promise<number> {
    const sources = batch.map((s) => s.source ?? new Int32Array());
    const rows = encodeRows(sources, this.spec.embedding);
    const places = Int32Array.from(
      batch.flatMap((s, i) => Array.from(sources[i]!, (_, t) => s.sequence.crossPlace(t))),
    );
    await this.#run(batch, async (wait) => void await this.model.encode(rows, places, wait));
    return rows.ids.length;
  }

  /**
   * Runs the next prefix tokens of each sequence: those with the fewest left are served first, none waits until another
   * is through. `alone`: no decoder step waits meanwhile. Returns the tokens that ran. Throws what the pass threw.
   */
  async prefill(waiting: readonly Prefixed[], alone: boolean): Promise<number> {
    const parts = shareRows(waiting.map((s) => s.sequence), this.#chunkRows(alone));
    const batch = waiting.filter((s) => parts.has(s.sequence));
    const entries = batch.map(({ sequence }) => ({
      sequence,
      rows: sequence.prefillRows(parts.get(sequence)!),
    }));
    const rows = decodeRows(entries, this.spec.embedding), total = rows.ids.length;
    let workedMs = 0;
    // Branches of a resumed search may have all in common.
    if (total > 0) {
      await this.#run(batch, async ({ signal, pause }) => {
        let since = performance.now();
        const timed: Pause = async (until) => {
          workedMs += performance.now() - since;
          try {
            return await pause!(until);
          } finally {
            since = performance.now();
          }
        };
        await this.model.prefill(rows, { signal, pause: timed });
        workedMs += performance.now() - since;
      });
    }
    if (total > 0) this.#rowMs = workedMs / total;
    for (const s of batch) s.sequence.prefilled();
    return total;
  }

  /** As many rows as a chunk may have beside decoder steps; all that there is room for where there are none. */
  #chunkRows(alone: boolean): number {
    if (alone) return this.maxRows;
    const fitting = this.#rowMs === undefined ? FIRST_ROWS : Math.floor(CHUNK_MS / this.#rowMs);
    return Math.min(this.maxRows, Math.max(LEAST_ROWS, fitting));
  }

  async #run(batch: readonly Prefixed[], run: (wait: WaitOptions) => Promise<void>): Promise<void> {
    const stop = new AbortController(), { signal } = stop;
    this.#pass = { wanted: new Set(batch), stop };
    // What holds take meanwhile must leave the pass a slot to go on with.
    const release = this.model.residency.keepSlot();
    try {
      await this.turns.run((pause) => run({ signal, pause }));
    } finally {
      this.#pass = undefined;
      release();
    }
  }

  /** A sequence is no longer wanted. True while a pass may still write to its pages, which must stay its own. */
  drop(s: Prefixed): boolean {
    if (this.#pass?.wanted.delete(s) !== true) return false;
    const { wanted, stop } = this.#pass;
    if (wanted.size === 0) stop.abort(new DOMException("nothing of it is wanted", "AbortError"));
    return true;
  }
}

/** Shares `rows` among sequences: fewest tokens first, each at most an equal part of what is left. */
function shareRows(sequences: readonly Sequence[], rows: number): Map<Sequence, number> {
  const order = [...sequences].sort((a, b) => a.prefillTokens - b.prefillTokens);
  const parts = new Map<Sequence, number>();
  order.forEach((s, i) => {
    const count = Math.min(s.prefillTokens, Math.ceil(rows / (order.length - i)));
    if (count > 0) parts.set(s, count);
    rows -= count;
  });
  return parts;
}
