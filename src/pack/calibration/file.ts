/**
 * The calibration file: inputs that each expert saw, and with which weight, so that the packer can weigh errors by
 * them, in whatever basis and blocks it likes; an expert's hidden layer follows from them and its weights.
 *
 * Records first: for each expert of each layer `samples` of them, f32 share and f16 [cols] input; those that were not
 * filled are zeros. Then the header as JSON, then its length as u32. Written in place, so memory is that of a batch.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { errorText, MoqeError } from "../../base/errors.ts";
import type { ModelPlan } from "../../base/plan.ts";
import { halfTable } from "../../quant/half.ts";

const layerSchema = z.strictObject({
  stack: z.enum(["encoder", "decoder"]),
  layer: z.number().int(),
  cols: z.number().int().positive(),
  /** Rows routed to each expert; at most `samples` of them were kept. */
  seen: z.array(z.number().int().nonnegative()),
});

const headerSchema = z.strictObject({
  format: z.literal("moqe-calibration"),
  version: z.literal(1),
  modelType: z.string(),
  samples: z.number().int().positive(),
  layers: z.array(layerSchema),
});
export type CalibrationHeader = z.infer<typeof headerSchema>;

/** Inputs of one expert: x f32 [count, cols], and the squared share that its output had of each row. */
export interface ExpertSamples {
  readonly count: number;
  readonly x: Float32Array<ArrayBuffer>;
  readonly weights: Float64Array;
}

/** What the plan's layers are called in a header that has seen nothing. */
export function emptyHeader(plan: ModelPlan, samples: number): CalibrationHeader {
  return {
    format: "moqe-calibration",
    version: 1,
    modelType: plan.modelType,
    samples,
    layers: plan.expertLayers.map((l) => ({
      stack: l.stack,
      layer: l.layer,
      cols: l.projections[0]!.cols,
      seen: new Array<number>(l.count).fill(0),
    })),
  };
}

function recordBytes(cols: number): number {
  return 4 + 2 * cols;
}

/** Where each layer's records start, and where they end. */
function starts(header: CalibrationHeader): number[] {
  const out = [0];
  for (const l of header.layers) {
    out.push(out.at(-1)! + l.seen.length * header.samples * recordBytes(l.cols));
  }
  return out;
}

/** Keeps a uniform sample of each expert's rows in a file; the same rows in the same order give the same file. */
export class CalibrationWriter {
  readonly header: CalibrationHeader;
  readonly #starts: number[];
  readonly #file: Deno.FsFile;

  /** Creates or replaces the file. */
  constructor(readonly path: string, plan: ModelPlan, samples: number) {
    this.header = emptyHeader(plan, samples);
    this.#starts = starts(this.header);
    this.#file = Deno.openSync(path, { create: true, write: true, truncate: true });
    this.#file.truncateSync(this.#starts.at(-1)!);
  }

  /** One row x f32 [cols] that an expert was routed, and its share of the row's output. */
  add(layer: number, expert: number, x: Float32Array, share: number): void {
    const { samples, layers } = this.header, l = layers[layer]!;
    const n = l.seen[expert]!++;
    // Reservoir sampling: the n-th row replaces one of those kept with probability samples / (n + 1).
    const place = n < samples ? n : mix(layer, expert, n) % (n + 1);
    if (place >= samples) return;
    const record = new Uint8Array(recordBytes(l.cols));
    new Float32Array(record.buffer, 0, 1)[0] = share;
    new Float16Array(record.buffer, 4, l.cols).set(x);
    this.#write(this.#starts[layer]! + (expert * samples + place) * record.length, record);
  }

  /** Writes the header and closes the file. */
  finish(): void {
    const text = new TextEncoder().encode(JSON.stringify(this.header));
    const length = new Uint8Array(new Uint32Array([text.length]).buffer);
    const end = this.#starts.at(-1)!;
    this.#write(end, text);
    this.#write(end + text.length, length);
    this.#file.close();
  }

  /** Throws MoqeError `unavailable` with what the disk says. */
  #write(at: number, bytes: Uint8Array): void {
    try {
      this.#file.seekSync(at, Deno.SeekMode.Start);
      for (let done = 0; done < bytes.length;) done += this.#file.writeSync(bytes.subarray(done));
    } catch (cause) {
      throw new MoqeError("unavailable", {
        action: `write the calibration ${this.path}`,
        rule: errorText(cause),
        remedy: "make room there, or name another --output",
        cause,
      });
    }
  }

  /** Closes without a header: the file is of no use. */
  abandon(): void {
    this.#file.close();
  }
}

/** A hash of three numbers: the place of a row among those kept. */
function mix(a: number, b: number, c: number): number {
  let h = Math.imul(a + 1, 0x9e3779b1) ^ Math.imul(b + 1, 0x85ebca77) ^ Math.imul(c, 0xc2b2ae3d);
  h = Math.imul(h ^ h >>> 16, 0x7feb352d);
  h = Math.imul(h ^ h >>> 15, 0x846ca68b);
  return (h ^ h >>> 16) >>> 0;
}

/** A calibration file that is open for the packer. Whoever opened it closes it. */
export class Calibration {
  readonly #starts: number[];

  private constructor(
    readonly header: CalibrationHeader,
    /** Of the whole file: part of what decides a pack's output. */
    readonly sha256: string,
    readonly file: Deno.FsFile,
  ) {
    this.#starts = starts(header);
  }

  /** Opens and checks a file against the model. Throws MoqeError `bad_input`. */
  static async open(path: string, plan: ModelPlan): Promise<Calibration> {
    const file = await Deno.open(path).catch((cause) => {
      throw new MoqeError("bad_input", {
        action: `open the calibration ${path}`,
        rule: "it must be a file that moqe calibrate wrote",
        observed: String(cause),
        cause,
      });
    });
    try {
      const header = readHeader(file, path);
      const due = emptyHeader(plan, header.samples);
      const shape = (h: CalibrationHeader) =>
        h.modelType + h.layers.map((l) => ` ${l.stack}.${l.layer}:${l.cols}x${l.seen.length}`);
      if (shape(header) !== shape(due)) {
        throw new MoqeError("bad_input", {
          action: `use the calibration ${path}`,
          rule: `it must be of this model: ${shape(due)}`,
          observed: shape(header),
          remedy: "run moqe calibrate on this checkpoint",
        });
      }
      const hash = createHash("sha256");
      await file.seek(0, Deno.SeekMode.Start);
      const buffer = new Uint8Array(2 ** 20);
      for (let n = await file.read(buffer); n !== null; n = await file.read(buffer)) {
        hash.update(buffer.subarray(0, n));
      }
      return new Calibration(header, hash.digest("hex"), file);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Inputs of one expert, in the order in which they lie; `most` evenly spaced ones where that is less. */
  samples(layer: number, expert: number, most = Infinity): ExpertSamples {
    const l = this.header.layers[layer]!, { samples } = this.header;
    const kept = Math.min(l.seen[expert]!, samples), count = Math.min(kept, most);
    const size = recordBytes(l.cols), bytes = new Uint8Array(kept * size);
    this.file.seekSync(this.#starts[layer]! + expert * samples * size, Deno.SeekMode.Start);
    for (let at = 0; at < bytes.length;) {
      const n = this.file.readSync(bytes.subarray(at));
      if (n === null) throw new RangeError("a calibration file ended early");
      at += n;
    }
    const x = new Float32Array(count * l.cols), weights = new Float64Array(count);
    const view = new DataView(bytes.buffer), halves = halfTable();
    for (let i = 0; i < count; i++) {
      const at = Math.floor(i * kept / count) * size;
      weights[i] = view.getFloat32(at, true) ** 2;
      for (let c = 0; c < l.cols; c++) {
        x[i * l.cols + c] = halves[view.getUint16(at + 4 + 2 * c, true)]!;
      }
    }
    return { count, x, weights };
  }

  close(): void {
    this.file.close();
  }
}

function readHeader(file: Deno.FsFile, path: string): CalibrationHeader {
  const end = file.seekSync(0, Deno.SeekMode.End);
  const read = (at: number, length: number) => {
    file.seekSync(at, Deno.SeekMode.Start);
    const bytes = new Uint8Array(length);
    for (let n = 0; n < length;) n += file.readSync(bytes.subarray(n)) ?? length;
    return bytes;
  };
  try {
    const length = new DataView(read(end - 4, 4).buffer).getUint32(0, true);
    if (length > Math.min(end, 2 ** 26)) throw new RangeError("no header");
    const header = headerSchema.parse(JSON.parse(
      new TextDecoder().decode(read(end - 4 - length, length)),
    ));
    if (starts(header).at(-1) !== end - 4 - length) throw new RangeError("cut short");
    return header;
  } catch (cause) {
    throw new MoqeError("bad_input", {
      action: `open the calibration ${path}`,
      rule: "it must be a file that moqe calibrate wrote, whole",
      observed: String(cause).slice(0, 200),
      cause,
    });
  }
}
