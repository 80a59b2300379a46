/** Tensors between sentinels on a small CPU backend: what the tests of operations share. */
import { assert, assertEquals, assertLess } from "@std/assert";
import { F32 } from "../../src/base/layout.ts";
import type { MatrixFormat } from "../../src/base/layout.ts";
import { Ledger } from "../../src/base/ledger.ts";
import {
  type Backend,
  type Matrix,
  MOST_TOP_K,
  type ScratchShape,
  type Tensor,
  type Vector,
} from "../../src/backend/contract.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import type { Tiles } from "../../src/backend/webgpu/tiles.ts";
import { createCpuBackend } from "../../src/backend/cpu/backend.ts";
import { gauss, type PackedTwin, type Random } from "../../tools/twin/packed.ts";
import { sharedDevice } from "../support/gpu.ts";
import { needs } from "../support/needs.ts";

export { sharedDevice };

export const FORMATS: Record<string, MatrixFormat> = {
  "2-bit group 64": { bits: 2, group: 64, zero: 1.5 },
  "2-bit group 32": { bits: 2, group: 32, zero: 1.5 },
  "2-bit group 128": { bits: 2, group: 128, zero: 1.5 },
  "2-bit per channel": { bits: 2, group: 0, zero: 1 },
  "2-bit levels": { bits: 2, group: 64, zero: 0, levels: [-127, -38, 38, 127] },
  "2-bit levels per channel": { bits: 2, group: 0, zero: 0, levels: [-127, -30, 37, 120] },
  "2-bit rotated": { bits: 2, group: 64, zero: 1.5, rotated: true },
  "2-bit trellis": { bits: 2, group: 64, zero: 0, trellis: true },
  "2-bit trellis group 32": { bits: 2, group: 32, zero: 0, trellis: true },
  "2-bit trellis per channel rotated": {
    bits: 2,
    group: 0,
    zero: 0,
    trellis: true,
    rotated: true,
  },
  "3-bit group 32": { bits: 3, group: 32, zero: 3.5 },
  "3-bit group 64": { bits: 3, group: 64, zero: 3.5 },
  "3-bit per channel": { bits: 3, group: 0, zero: 4 },
  "3-bit levels": { bits: 3, group: 64, zero: 0, levels: [-127, -79, -44, -9, 14, 44, 79, 126] },
  "3-bit levels rotated": {
    bits: 3,
    group: 128,
    zero: 0,
    levels: [-127, -79, -44, -9, 14, 44, 79, 126],
    rotated: true,
  },
  "4-bit levels": {
    bits: 4,
    group: 64,
    zero: 0,
    levels: [-127, -97, -75, -58, -44, -31, -18, -6, 6, 18, 31, 44, 58, 75, 97, 126],
  },
  "4-bit group 32": { bits: 4, group: 32, zero: 8 },
  "4-bit group 64": { bits: 4, group: 64, zero: 8 },
  "4-bit group 128": { bits: 4, group: 128, zero: 8 },
  "4-bit per channel": { bits: 4, group: 0, zero: 8 },
  "8-bit group 64": { bits: 8, group: 64, zero: 128 },
  "8-bit group 128": { bits: 8, group: 128, zero: 128 },
  "8-bit per channel": { bits: 8, group: 0, zero: 128 },
  "f16": { bits: 16, group: 0, zero: 0 },
  "f32": F32,
};

export const SHAPE: ScratchShape = {
  maxRows: 300,
  maxCols: 1024,
  maxHidden: 512,
  topK: 2,
  maxCandidates: 16,
};

/** The same for as many experts a token as there may be. */
export const MANY_EXPERTS: ScratchShape = { ...SHAPE, topK: MOST_TOP_K };

export interface OpenOptions {
  gpuBytes?: number;
  maxBindingBytes?: number;
  shape?: ScratchShape;
  threads?: number;
  /** Of the GPU's products. */
  tiles?: Tiles;
}

/** A CPU backend, prepared. */
export async function cpu(options: OpenOptions = {}): Promise<Backend> {
  const { maxBindingBytes } = options;
  const backend = await createCpuBackend({
    ledger: ledgerOf(options),
    threads: options.threads ?? 1,
    ...(maxBindingBytes === undefined ? {} : { maxBindingBytes }),
  });
  backend.prepare(options.shape ?? SHAPE);
  return backend;
}

/** A WebGPU backend on the shared device, prepared. */
export async function webgpu(options: OpenOptions = {}): Promise<Backend> {
  const { maxBindingBytes } = options;
  const backend = await createWebGpuBackend({
    ledger: ledgerOf(options),
    opened: await sharedDevice(),
    keepDevice: true,
    ...(options.tiles === undefined ? {} : { tiles: options.tiles }),
    ...(maxBindingBytes === undefined ? {} : { maxBindingBytes }),
  });
  backend.prepare(options.shape ?? SHAPE);
  return backend;
}

function ledgerOf(options: OpenOptions): Ledger {
  return new Ledger({ gpuBytes: options.gpuBytes ?? 2 ** 26, hostBytes: 0 });
}

export type Open = (options?: OpenOptions) => Promise<Backend>;

/** Registers a test for every backend. */
export function each(name: string, body: (open: Open, backend: Backend["name"]) => Promise<void>) {
  Deno.test(`cpu, ${name}`, () => body(cpu, "cpu"));
  Deno.test(`webgpu, ${name}`, needs("vulkan"), () => body(webgpu, "webgpu"));
}

export function randoms(length: number, random: Random, size = 1): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length }, () => gauss(random) * size);
}

export function asBytes(data: ArrayBufferView<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

const SENTINEL = 16;
const MARK = 0x7fa5c3e1;

/** A tensor in a buffer of its own, 64 bytes of sentinels before and after. */
export function tensor(
  backend: Backend,
  rows: number,
  cols: number,
  data?: Float32Array<ArrayBuffer>,
): Tensor {
  const words = new Int32Array(rows * cols + 2 * SENTINEL).fill(MARK);
  const buffer = backend.alloc("tensor", words.byteLength, "activations");
  backend.write(buffer, 0, asBytes(words));
  const made = { buffer, offset: SENTINEL * 4, rows, cols };
  if (data !== undefined) backend.write(buffer, made.offset, asBytes(data));
  return made;
}

/** A tensor's values, once its sentinels are found whole. */
export async function read(backend: Backend, t: Tensor): Promise<Float32Array> {
  const bytes = await backend.readback(t.buffer, 0, t.buffer.bytes);
  const words = new Int32Array(bytes.buffer), n = t.rows * t.cols;
  for (let i = 0; i < SENTINEL; i++) {
    assertEquals(words[i], MARK, `sentinel ${i} before the tensor`);
    assertEquals(words[SENTINEL + n + i], MARK, `sentinel ${i} after the tensor`);
  }
  return new Float32Array(bytes.buffer, SENTINEL * 4, n);
}

/** True for values that still are what `tensor` filled a new one with. */
export function untouched(values: Float32Array): boolean {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  return bits.every((b) => b === MARK);
}

export function vector(backend: Backend, data: Float32Array<ArrayBuffer>): Vector {
  const t = tensor(backend, 1, data.length, data);
  return { buffer: t.buffer, offset: t.offset, length: data.length };
}

export function matrix(backend: Backend, packed: PackedTwin): Matrix {
  const buffer = backend.alloc("matrix", packed.bytes.length, "trunk");
  backend.write(buffer, 0, packed.bytes);
  return { buffer, offset: 0, layout: packed.layout, format: packed.format };
}

export function indices(backend: Backend, values: Int32Array<ArrayBuffer>) {
  const buffer = backend.alloc("indices", values.byteLength, "activations");
  backend.write(buffer, 0, asBytes(values));
  return { buffer, offset: 0 };
}

/** Mean squared error over mean square of the reference. */
export function nmse(actual: ArrayLike<number>, reference: ArrayLike<number>): number {
  assertEquals(actual.length, reference.length, "lengths");
  let error = 0, size = 0;
  for (let i = 0; i < reference.length; i++) {
    error += (actual[i]! - reference[i]!) ** 2;
    size += reference[i]! ** 2;
  }
  return size === 0 ? error : error / size;
}

export function assertNmse(
  actual: ArrayLike<number>,
  reference: ArrayLike<number>,
  limit: number,
  what: string,
): void {
  const error = nmse(actual, reference);
  assert(Number.isFinite(error), `${what}: error is ${error}`);
  assertLess(error, limit, `${what}: NMSE ${error}`);
}

/** Equal bit for bit. */
export function assertSameBits(a: Float32Array, b: Float32Array, what: string): void {
  assertEquals(a.length, b.length, what);
  const x = new Int32Array(a.buffer, a.byteOffset, a.length);
  const y = new Int32Array(b.buffer, b.byteOffset, b.length);
  for (let i = 0; i < x.length; i++) {
    if (x[i] !== y[i]) throw new Error(`${what}: value ${i} is ${a[i]} and ${b[i]}`);
  }
}
