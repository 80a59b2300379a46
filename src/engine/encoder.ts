/**
 * Encoder passes: one batch of sentences at a time. A pass that waits for experts gives the device up, so that
 * decoder steps go on; it is abandoned when nobody waits for any of its sentences any more.
 */
import type { SequenceModel } from "../nn/model.ts";
import type { ModelSpec } from "../nn/spec.ts";
import { encodeRows } from "./batch.ts";
import type { Sequence } from "./sequence.ts";
import type { Turns } from "./turns.ts";

/** A sentence as the encoder sees it. */
export interface Encoding {
  readonly sequence: Sequence;
  /** [src_lang] tokens end. */
  readonly source: Int32Array;
}

interface Pass {
  /** Sentences that are still waited for, and the row at which each begins. */
  readonly firstRows: Map<Encoding, number>;
  /** Where K and V of each row go: nowhere for sentences that are gone, whose pages are others' by then. */
  readonly places: Int32Array;
  readonly stop: AbortController;
}

/** Runs passes on one model; sentences are its caller's. */
export class Encoder {
  #pass: Pass | undefined;

  constructor(
    private readonly model: SequenceModel,
    private readonly spec: ModelSpec,
    private readonly turns: Turns,
  ) {}

  /** A pass is under way: the next must wait. */
  get busy(): boolean {
    return this.#pass !== undefined;
  }

  /**
   * Encodes a batch and puts its K and V into the sentences' pages. Returns the tokens encoded. Throws what the pass
   * threw, for all of the batch.
   */
  async run(batch: readonly Encoding[]): Promise<number> {
    const rows = encodeRows(batch.map((s) => s.source), this.spec.embedding);
    const places = new Int32Array(rows.ids.length), firstRows = new Map<Encoding, number>();
    let t = 0;
    for (const s of batch) {
      firstRows.set(s, t);
      for (let i = 0; i < s.source.length; i++) places[t++] = s.sequence.crossPlace(i);
    }
    const stop = new AbortController(), { signal } = stop;
    this.#pass = { firstRows, places, stop };
    // What holds take meanwhile must leave the pass a slot to go on with.
    const release = this.model.residency.keepSlot();
    try {
      await this.turns.run((pause) => this.model.encode(rows, places, { signal, pause }));
      return rows.ids.length;
    } finally {
      this.#pass = undefined;
      release();
    }
  }

  /** Nobody waits for a sentence any more. */
  drop(s: Encoding): void {
    const first = this.#pass?.firstRows.get(s);
    if (this.#pass === undefined || first === undefined) return;
    const { firstRows, places, stop } = this.#pass;
    firstRows.delete(s);
    places.fill(-1, first, first + s.source.length);
    if (firstRows.size > 0) return;
    stop.abort(new DOMException("nobody waits for it any more", "AbortError"));
  }
}
