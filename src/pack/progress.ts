/** How far a pack is, in bytes of the checkpoint. */
import { type ModelPlan, plannedTensors } from "../base/plan.ts";
import type { TensorSource } from "../checkpoint/contract.ts";
import type { TrunkItem } from "./widths.ts";

export interface PackProgress {
  /** What is being packed: a tensor's name or an expert's place. */
  readonly what: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** By the mean speed of this run so far; undefined before there is one. */
  readonly secondsLeft: number | undefined;
}

/** Counts source bytes, apart those that an earlier run had done. */
export class ProgressMeter {
  readonly #startedMs = performance.now();
  readonly #totalBytes: number;
  #doneBytes = 0;
  #skippedBytes = 0;

  constructor(
    readonly source: TensorSource,
    plan: ModelPlan,
    items: readonly TrunkItem[],
    readonly onProgress: (progress: PackProgress) => void,
  ) {
    let total = 0;
    for (const { name } of plannedTensors(plan)) total += this.#bytes(name);
    for (const item of items) if (item.name !== item.source) total += this.#bytes(item.source);
    this.#totalBytes = total;
  }

  /** Counts a chunk of rows as packed. */
  add(what: string, chunk: { job: { name: string; cols: number }; rowCount: number }): void {
    const { shape, byteRange } = this.source.tensors.get(chunk.job.name)!;
    const each = byteRange.length / shape.reduce((a, b) => a * b, 1);
    this.#doneBytes += chunk.rowCount * chunk.job.cols * each;
    this.#report(what);
  }

  /** Counts tensors that need not be read as packed. */
  take(what: string, names: readonly string[]): void {
    for (const name of names) this.#doneBytes += this.#bytes(name);
    this.#report(what);
  }

  /** Counts a whole tensor as done by an earlier run. */
  skip(name: string): void {
    this.#doneBytes += this.#bytes(name);
    this.#skippedBytes += this.#bytes(name);
  }

  #report(what: string): void {
    const speed = (this.#doneBytes - this.#skippedBytes) / (performance.now() - this.#startedMs);
    this.onProgress({
      what,
      doneBytes: this.#doneBytes,
      totalBytes: this.#totalBytes,
      secondsLeft: (this.#totalBytes - this.#doneBytes) / speed / 1000,
    });
  }

  #bytes(name: string): number {
    return this.source.tensors.get(name)?.byteRange.length ?? 0;
  }
}
