/** Reads tensors of a checkpoint in chunks of rows, one chunk ahead of whoever works on them. */
import { MoqeError } from "../base/errors.ts";
import type { TensorSource } from "../checkpoint/contract.ts";

/** A chunk has about this many weights (4 MiB as f32), or one row. */
const CHUNK_WEIGHTS = 2 ** 20;
/** Narrow rows are padded to whole units, so their chunks grow when encoded: up to this many rows. */
const CHUNK_ROWS = 2 ** 16;
/** A row is read whole; no model has one of this length (64 MiB as f32). */
const MAX_COLS = 2 ** 24;

/** A tensor to read whole: f32 [rows, cols], a vector as one row. */
export interface ReadJob {
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
}

/** Rows of one job; `data` is f32 [rowCount, cols] and is overwritten once the next chunk is asked for. */
export interface RowChunk {
  readonly job: ReadJob;
  readonly rowStart: number;
  readonly rowCount: number;
  readonly data: Float32Array<ArrayBuffer>;
}

/** Owns two buffers of a chunk each, whatever the size of the checkpoint. */
export class RowReader {
  readonly #buffers = [new Float32Array(0), new Float32Array(0)];

  constructor(readonly source: TensorSource, readonly signal?: AbortSignal) {}

  /** All rows of all jobs in order. One iteration at a time. */
  async *read(jobs: readonly ReadJob[]): AsyncGenerator<RowChunk> {
    const spans = cut(jobs);
    let ahead = this.#start(spans, 0);
    try {
      for (let i = 0; i < spans.length; i++) {
        const data = await ahead!;
        ahead = this.#start(spans, i + 1);
        yield { ...spans[i]!, data };
      }
    } finally {
      // A consumer that stops early must not leave a read behind that fills our buffer or fails unheard.
      await ahead?.catch(() => {});
    }
  }

  #start(spans: Span[], i: number): Promise<Float32Array<ArrayBuffer>> | undefined {
    const span = spans[i];
    if (span === undefined) return undefined;
    const size = span.rowCount * span.job.cols;
    if (this.#buffers[i & 1]!.length < size) {
      this.#buffers[i & 1] = new Float32Array(Math.max(size, CHUNK_WEIGHTS));
    }
    const read = this.source.readRows(span.job.name, span.rowStart, span.rowCount, {
      into: this.#buffers[i & 1]!,
      signal: this.signal,
    });
    // It may fail while the chunk before is still being worked on; the awaiter sees it in its turn.
    read.catch(() => {});
    return read;
  }
}

interface Span {
  job: ReadJob;
  rowStart: number;
  rowCount: number;
}

function cut(jobs: readonly ReadJob[]): Span[] {
  const spans: Span[] = [];
  for (const job of jobs) {
    if (job.cols > MAX_COLS) {
      throw new MoqeError("unsupported", {
        action: `pack ${job.name}`,
        rule: `a row may have ${MAX_COLS} weights at most`,
        observed: String(job.cols),
      });
    }
    const step = Math.max(1, Math.min(CHUNK_ROWS, Math.floor(CHUNK_WEIGHTS / job.cols)));
    for (let rowStart = 0; rowStart < job.rows; rowStart += step) {
      spans.push({ job, rowStart, rowCount: Math.min(step, job.rows - rowStart) });
    }
  }
  return spans;
}
