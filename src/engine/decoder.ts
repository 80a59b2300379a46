/**
 * Decoder steps of the sentences that run. A step does not wait: a sentence that misses an expert parks with all
 * its rows, the others go on, and it rejoins a later step at that layer when the expert is there. Where experts
 * change so fast that most sentences would park, the step runs in waves instead.
 */
import type { Hold, Pause, Residency } from "../experts/contract.ts";
import type { SequenceModel } from "../nn/model.ts";
import type { ModelSpec } from "../nn/spec.ts";
import type { StepResult } from "../nn/step.ts";
import { decodeRows } from "./batch.ts";
import type { Sequence, SequenceRow } from "./sequence.ts";

/** "park" and "waves" as in DecodeOptions; "auto" chooses by what was missed of late. */
export type StepMode = "auto" | "park" | "waves";

/** A sentence as the decoder sees it. */
export interface Decoding {
  readonly sequence: Sequence;
  /** What it waits for, set and cleared by the decoder. */
  parked?: Parked | undefined;
  /** It was answered otherwise: whatever a running step says of it is dropped. */
  gone?: boolean;
}

/** Rows that stopped at a sparse layer (ordinal): their residual, and the hold of what they miss. */
interface Parked {
  readonly layer: number;
  readonly rows: readonly SequenceRow[];
  /** Places in the model's parking area, one a row. */
  readonly places: readonly number[];
  /** Undefined where the arena cannot hold all experts at once: the sentence goes on in waves. */
  readonly hold: Hold | undefined;
}

/** What steps did since start. */
export interface DecodeCounts {
  /** Steps of each kind, and the sentences that parked. */
  parkSteps: number;
  waveSteps: number;
  faults: number;
}

/** Misses a sentence and step from which waves are better, and from which they no longer are. */
const WAVES_ABOVE = 1;
const WAVES_BELOW = 0.25;
/** Weight of the last step in the average. */
const RECENT = 0.2;

/** Whether most sentences miss something in most steps. */
class Pressure {
  waves = false;
  #average = 0;

  /** Misses a sentence of one more step. */
  note(misses: number): void {
    this.#average += RECENT * (misses - this.#average);
    if (this.#average > WAVES_ABOVE) this.waves = true;
    if (this.#average < WAVES_BELOW) this.waves = false;
  }
}

interface Entry extends Decoding {
  readonly of: Decoding;
  readonly rows: readonly SequenceRow[];
}

/** Runs steps on one model; sentences are its caller's. */
export class Decoder {
  readonly counts: DecodeCounts = { parkSteps: 0, waveSteps: 0, faults: 0 };
  readonly #residency: Residency;
  readonly #freePlaces: number[];
  /** Of steps of one sentence that has nobody beside it, and of others: one says nothing of the other. */
  readonly #alone = new Pressure();
  readonly #together = new Pressure();
  /** The step under way; aborted when nobody waits for it. */
  #running: { sentences: readonly Decoding[]; stop: AbortController } | undefined;
  #wake: (() => void) | undefined;
  #changed = false;

  constructor(
    private readonly model: SequenceModel,
    private readonly spec: ModelSpec,
    private readonly options: { maxRows: number; mode: StepMode },
  ) {
    this.#residency = model.residency;
    this.#freePlaces = Array.from({ length: options.maxRows }, (_, i) => options.maxRows - 1 - i);
  }

  /**
   * One step of all that can run, which may pause. Advances their searches; `failed` is told of those whose experts will
   * not come.
   * Returns the sentences that moved: none where all wait. Throws what the pass threw, for all of `running`.
   */
  async step(
    sentences: readonly Decoding[],
    failed: (sentence: Decoding, error: unknown) => void,
    pause?: Pause,
  ): Promise<{ ran: readonly Decoding[]; tokens: number }> {
    for (const s of sentences) {
      if (s.parked?.hold?.failure !== undefined) failed(s, s.parked.hold.failure.error);
    }
    const waves = this.#inWaves(sentences);
    if (waves) { for (const s of sentences) s.parked?.hold?.release(); }
    const running = sentences.filter((s) => !s.gone && (waves || canRun(s)));
    if (running.length === 0) return { ran: [], tokens: 0 };
    const entries = running.map((of): Entry => ({
      ...of,
      of,
      rows: of.parked?.rows ?? of.sequence.rows(),
    }));
    const count = Math.max(...running.map((s) => s.sequence.search.candidates));
    const before = this.#residency.pressure.misses;
    const stop = new AbortController();
    this.#running = { sentences: running, stop };
    try {
      const rows = decodeRows(entries, this.spec.embedding);
      const mode = waves ? "waves" : "park";
      const { signal } = stop;
      const result = await this.model.decode(rows, count, { mode, signal, pause });
      return { ran: running, tokens: this.#settle(entries, result) };
    } finally {
      this.#running = undefined;
      this.counts[waves ? "waveSteps" : "parkSteps"]++;
      this.#notePressure(this.#residency.pressure.misses - before, running, sentences);
    }
  }

  /** Resolves when a parked sentence may run, or `nudge` was called; at once if one did since the last step. */
  async changed(): Promise<void> {
    if (!this.#changed) await new Promise<void>((resolve) => this.#wake = resolve);
    this.#changed = false;
  }

  /** Something happened that may let the scheduler go on. */
  readonly nudge = (): void => {
    this.#changed = true;
    this.#wake?.();
    this.#wake = undefined;
  };

  /** Lets go of whatever a sentence waits for. */
  drop(s: Decoding): void {
    s.gone = true;
    this.unpark(s);
    if (this.#running?.sentences.every((r) => r.gone)) this.#running.stop.abort();
  }

  /** Whether this step runs in waves; a sentence that no arena holds needs them. */
  #inWaves(sentences: readonly Decoding[]): boolean {
    if (sentences.some((s) => s.parked !== undefined && s.parked.hold === undefined)) return true;
    const { mode } = this.options;
    return mode === "waves" || (mode === "auto" && this.#pressureOf(sentences).waves);
  }

  #pressureOf(sentences: readonly Decoding[]): Pressure {
    return sentences.length === 1 ? this.#alone : this.#together;
  }

  #notePressure(misses: number, ran: readonly Decoding[], sentences: readonly Decoding[]): void {
    const { full } = this.#residency.pressure;
    // While there are free slots, what is missed stays: that passes. One sentence alone has nobody to run meanwhile.
    const counted = !full && sentences.length > 1 ? 0 : misses;
    this.#pressureOf(sentences).note(counted / ran.length);
  }

  /** Advances or parks each sentence of a step; returns the tokens that were chosen from. */
  #settle(entries: readonly Entry[], result: StepResult): number {
    let row = 0, tokens = 0;
    for (const { of, rows } of entries) {
      const first = row;
      row += rows.length;
      if (of.gone) continue;
      this.unpark(of);
      const layer = result.faults[first]!;
      if (layer >= 0) {
        of.parked = this.#park(rows, first, layer, result);
        continue;
      }
      const wanted = rows.flatMap((r, i) => r.wanted ? [continuations(result, first + i)] : []);
      tokens += wanted.length;
      of.sequence.advance(wanted);
    }
    return tokens;
  }

  #park(rows: readonly SequenceRow[], first: number, layer: number, result: StepResult): Parked {
    this.counts.faults++;
    const places = rows.map((_, i) => {
      const place = this.#freePlaces.pop()!;
      this.model.park(first + i, place);
      return place;
    });
    const topK = result.choices(layer).length / result.faults.length;
    const chosen = result.choices(layer).subarray(first * topK, (first + rows.length) * topK);
    const hold = this.#residency.hold(layer, [...new Set(chosen)], this.nudge);
    return { layer, rows, places, hold };
  }

  /** Lets go of the experts and places of a sentence between steps; its rows begin anew. */
  unpark(s: Decoding): void {
    const { parked } = s;
    if (parked === undefined) return;
    s.parked = undefined;
    this.#freePlaces.push(...parked.places);
    parked.hold?.release();
  }
}

function canRun(s: Decoding): boolean {
  return s.parked === undefined || s.parked.hold?.ready === true;
}

function continuations(found: StepResult, row: number) {
  const at = row * found.count;
  return {
    ids: found.ids.subarray(at, at + found.count),
    logProbs: found.logProbs.subarray(at, at + found.count),
  };
}
