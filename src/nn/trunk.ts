/** The trunk: every weight that is not an expert's, streamed block by block to its place on the device. */
import { MoqeError } from "../base/errors.ts";
import { F32, matrixBytes, type MatrixFormat, matrixLayout } from "../base/layout.ts";
import type { ModelPlan } from "../base/plan.ts";
import { alignUp } from "../base/units.ts";
import type { Backend, DeviceBuffer, Matrix, Vector } from "../backend/contract.ts";
import type { BlockFetcher } from "../store/contract.ts";
import {
  type BlockRef,
  type Manifest,
  TRUNK_BLOCK_BYTES,
  type TrunkTensor,
} from "../store/manifest.ts";

/** Runs of blocks being fetched at once while the trunk loads: enough to hide a round trip, few enough to stay small. */
const IN_FLIGHT = 4;
/** A run is blocks asked for together, which the fetcher reads with one request where they are neighbours. */
const RUN_BYTES = TRUNK_BLOCK_BYTES;
const VECTOR_ALIGN = 256;

/** How the trunk is loaded. */
export interface LoadOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
}

/** Trunk weights on the device, by canonical name. Owns its buffers. */
export class Trunk {
  readonly #matrices = new Map<string, Matrix>();
  readonly #vectors = new Map<string, Vector>();
  readonly #buffers: DeviceBuffer[] = [];

  constructor(readonly backend: Backend, manifest: Manifest) {
    const vectors = manifest.trunk.filter((t) => t.shape.length === 1);
    const vectorBytes = vectors.reduce((sum, t) => sum + alignUp(t.shape[0]! * 4, VECTOR_ALIGN), 0);
    const shared = this.#alloc("norms and biases", Math.max(vectorBytes, VECTOR_ALIGN));
    let top = 0;
    for (const t of manifest.trunk) {
      if (t.shape.length === 1) {
        this.#vectors.set(t.name, { buffer: shared, offset: top, length: t.shape[0]! });
        top += alignUp(t.shape[0]! * 4, VECTOR_ALIGN);
      } else {
        const format = manifest.formats[t.format]!;
        const layout = matrixLayout(t.shape[0]!, t.shape[1]!, format);
        const buffer = this.#alloc(t.name, matrixBytes(layout));
        this.#matrices.set(t.name, { buffer, offset: 0, layout, format });
      }
    }
  }

  #alloc(label: string, bytes: number): DeviceBuffer {
    const buffer = this.backend.alloc(label, bytes, "trunk");
    this.#buffers.push(buffer);
    return buffer;
  }

  has(name: string): boolean {
    return this.#matrices.has(name) || this.#vectors.has(name);
  }

  matrix(name: string): Matrix {
    return found(this.#matrices.get(name), name);
  }

  vector(name: string): Vector {
    return found(this.#vectors.get(name), name);
  }

  /** Reads and places every block. Throws what the fetcher throws; the caller then frees the trunk. */
  async load(manifest: Manifest, fetcher: BlockFetcher, options: LoadOptions = {}): Promise<void> {
    const jobs = manifest.trunk.flatMap((t) => this.#placements(t));
    const total = jobs.reduce((sum, j) => sum + j.ref.length, 0);
    const runs = cutRuns(jobs);
    const stop = new AbortController();
    const signal = options.signal === undefined
      ? stop.signal
      : AbortSignal.any([stop.signal, options.signal]);
    let next = 0, done = 0;
    // Each is placed as it comes: a block that waited for its neighbours could keep the room that they need.
    const place = async (job: Placement) => {
      const block = await fetcher.fetch(job.ref, { signal });
      try {
        this.backend.write(job.buffer, job.offset, block.bytes);
        this.backend.submit();
      } finally {
        block.release();
      }
      options.onProgress?.(done += job.ref.length, total);
    };
    const lane = async () => {
      while (next < runs.length) await Promise.all(runs[next++]!.map(place));
    };
    try {
      await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  }

  #placements(t: TrunkTensor): Placement[] {
    const place = t.shape.length === 1 ? this.vector(t.name) : this.matrix(t.name);
    let offset = place.offset;
    return t.blocks.map((ref) => {
      const at = offset;
      offset += ref.length;
      return { ref, buffer: place.buffer, offset: at };
    });
  }

  /** Gives all device bytes back. */
  free(): void {
    for (const b of this.#buffers.splice(0)) this.backend.free(b);
  }
}

/** One block and where it goes on the device. */
interface Placement {
  ref: BlockRef;
  buffer: DeviceBuffer;
  offset: number;
}

/** Blocks in order, together up to RUN_BYTES, in one object. */
function cutRuns(jobs: readonly Placement[]): Placement[][] {
  const runs: Placement[][] = [];
  let bytes = 0;
  for (const job of jobs) {
    const run = runs.at(-1);
    const together = run?.[0]?.ref.object === job.ref.object && bytes + job.ref.length <= RUN_BYTES;
    bytes = together ? bytes + job.ref.length : job.ref.length;
    if (together) run!.push(job);
    else runs.push([job]);
  }
  return runs;
}

function found<T>(value: T | undefined, name: string): T {
  if (value !== undefined) return value;
  throw new MoqeError("corrupt", {
    action: `build the model`,
    rule: `the trunk has no tensor ${name}`,
  });
}

/** Device bytes of a manifest's trunk. */
export function trunkBytes(manifest: Manifest): number {
  return manifest.trunk.reduce((sum, t) => {
    const bytes = tensorBytes(t, manifest.formats[t.format] ?? F32);
    return sum + (t.shape.length === 1 ? alignUp(bytes, VECTOR_ALIGN) : bytes);
  }, 0);
}

function tensorBytes(t: TrunkTensor, format: MatrixFormat): number {
  // A vector is written as a matrix of one row: padded to 16 bytes.
  const [rows, cols] = t.shape.length === 1 ? [1, t.shape[0]!] : [t.shape[0]!, t.shape[1]!];
  return matrixBytes(matrixLayout(rows, cols, format));
}

/**
 * Holds a manifest against the plan that its own configuration makes: tensors missing, surplus or misshapen,
 * blocks that do not add up, expert layers that differ. Throws MoqeError `corrupt` with all of them.
 */
export function checkManifest(manifest: Manifest, plan: ModelPlan): void {
  const faults: string[] = [];
  const planned = new Map(plan.tensors.map((t) => [t.name, t]));
  const held = new Set(manifest.trunk.map((t) => t.name));
  for (const name of planned.keys()) if (!held.has(name)) faults.push(`tensor ${name} is missing`);
  for (const t of manifest.trunk) {
    const { tiedHead } = plan;
    const spec = planned.get(tiedHead?.name === t.name ? tiedHead.of : t.name);
    if (spec === undefined) {
      faults.push(`tensor ${t.name} is not part of a ${plan.modelType} model`);
    } else if (spec.shape.join() !== t.shape.join()) {
      faults.push(`${t.name} is [${t.shape}] where [${spec.shape}] is due`);
    }
    const format = manifest.formats[t.format]!;
    const fullWidth = t.shape.length === 1 || spec?.role === "exact";
    if (fullWidth && format.bits !== 32) faults.push(`${t.name} must be f32`);
    const bytes = t.blocks.reduce((sum, b) => sum + b.length, 0);
    if (bytes !== tensorBytes(t, format)) {
      faults.push(`${t.name} has ${bytes} bytes where ${tensorBytes(t, format)} are due`);
    }
  }
  const due = plan.expertLayers.map((l) => `${l.stack} layer ${l.layer} with ${l.count} experts`);
  const got = manifest.expertLayers.map((l) =>
    `${l.stack} layer ${l.layer} with ${l.experts.length} experts`
  );
  if (due.join() !== got.join()) {
    faults.push(`expert layers are [${got.join(", ")}] where [${due.join(", ")}] are due`);
  }
  if (faults.length === 0) return;
  throw new MoqeError("corrupt", {
    action: `use the packed model ${manifest.name}`,
    rule: `its manifest disagrees with its configuration:\n  ${faults.slice(0, 20).join("\n  ")}\n`,
    remedy: "pack the checkpoint again",
  });
}
