/**
 * The device as operations use it: dispatches and copies recorded in order, host data beside them, one submission.
 *
 * Parameters and indices of recorded calls gather in host memory and go to the device by one write each, just before
 * their submission: writes and submissions happen in order, so the two rings start anew with every one.
 */
import type { OpenedDevice } from "./adapter.ts";
import { bind, type Binding, type BindingLimits, type GpuBuffer } from "./buffers.ts";
import { DeviceErrors } from "./errors.ts";
import {
  type Constants,
  type Kernel,
  PARAMS_BYTES,
  type Pipelines,
  pipelinesOf,
} from "./kernels.ts";

/** Dispatches of one submission; one more starts another. */
const MOST_DISPATCHES = 1024;
/**
 * Multiply-adds of one submission, but for its last call: tens of milliseconds of a large GPU, a second or two of a
 * small one. Drivers end a submission that takes some seconds, and the device with it.
 */
const MOST_PRODUCTS = 25e9;
/** Index words (i32) of one submission; a single array is never longer. */
export const INDEX_WORDS = 2 ** 18;
/** Bytes written since the last submission that make another one due: the runtime's staging memory stays flat. */
const UNSUBMITTED_BYTES = 4 * 2 ** 20;
/** Bind groups kept; beyond, all are made anew. */
const MOST_GROUPS = 4096;
const MOST_WORKGROUPS = 65535;

/** Device bytes of the rings that `Gpu` needs, by label. */
export function ringBytes(offsetAlignment: number): { params: number; indices: number } {
  return {
    params: MOST_DISPATCHES * Math.max(PARAMS_BYTES, offsetAlignment),
    indices: INDEX_WORDS * 4,
  };
}

/** One kernel call. `bindings` are from 1 on, in order of the kernel's access; undefined binds something unread. */
export interface Dispatch {
  readonly kernel: Kernel;
  readonly constants?: Constants;
  readonly bindings: readonly (Binding | undefined)[];
  /** u32 words; floats through `floatBits`. */
  readonly params: readonly number[];
  readonly groups: readonly [number, number?];
  /** Multiply-adds, of calls that have many. */
  readonly products?: number;
}

const floats = new Float32Array(1), bits = new Uint32Array(floats.buffer);

/** The bits of an f32, as parameters carry it. */
export function floatBits(value: number): number {
  floats[0] = value;
  return bits[0]!;
}

/** Records and submits. Owns nothing but pipelines and bind groups: buffers are the backend's. */
export class Gpu {
  readonly pipelines: Pipelines;
  readonly errors: DeviceErrors;
  dispatches = 0;
  submits = 0;
  readonly #device: GPUDevice;
  readonly #slot: number;
  readonly #params: Uint32Array<ArrayBuffer>;
  readonly #indices = new Int32Array(INDEX_WORDS);
  readonly #groups = new Map<string, GPUBindGroup>();
  #calls = 0;
  #products = 0;
  #indexTop = 0;
  #unsubmitted = 0;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #lastPipeline: GPUComputePipeline | undefined;

  constructor(
    opened: OpenedDevice,
    readonly limits: BindingLimits,
    private readonly rings: { params: GpuBuffer; indices: GpuBuffer },
    private readonly mostProducts = MOST_PRODUCTS,
  ) {
    this.#device = opened.device;
    this.#slot = Math.max(PARAMS_BYTES, opened.offsetAlignment);
    this.#params = new Uint32Array(MOST_DISPATCHES * this.#slot / 4);
    this.pipelines = pipelinesOf(opened.device);
    this.errors = new DeviceErrors(opened.device);
  }

  /** Makes room for all indices of one operation, before its first `upload`. */
  reserve(words: number): void {
    if (words > INDEX_WORDS) {
      throw new RangeError(
        `cannot bring indices to the device: a call has at most ${INDEX_WORDS} (got ${words})`,
      );
    }
    if (this.#indexTop + words > INDEX_WORDS) this.submit();
  }

  /** Brings indices of the operation that is about to be recorded. */
  upload(values: Int32Array, count: number): Binding {
    const at = this.#indexTop;
    this.#indices.set(values.length === count ? values : values.subarray(0, count), at);
    this.#indexTop += count;
    return bind(this.limits, this.rings.indices, at * 4, count * 4, "bring indices to the device");
  }

  /** Records one call. */
  dispatch(call: Dispatch): void {
    const [x, y = 1] = call.groups;
    if (x === 0 || y === 0) return;
    if (x > MOST_WORKGROUPS || y > MOST_WORKGROUPS) {
      throw new RangeError(`cannot run ${call.kernel.name}: ${x} x ${y} workgroups are too many`);
    }
    // Indices of this very operation may be in the ring: they stay, and go to the device once more.
    if (this.#calls === MOST_DISPATCHES || this.#products >= this.mostProducts) this.#flush();
    this.#products += call.products ?? 0;
    const { pipeline, layout } = this.pipelines.get(call.kernel, call.constants ?? {});
    const at = this.#calls++ * this.#slot;
    this.#params.set(call.params, at / 4);
    const pass = this.#pass ??= this.#begin().beginComputePass();
    if (pipeline !== this.#lastPipeline) pass.setPipeline(this.#lastPipeline = pipeline);
    pass.setBindGroup(0, this.#group(call, layout), [at]);
    pass.dispatchWorkgroups(x, y);
    this.dispatches++;
  }

  #begin(): GPUCommandEncoder {
    return this.#encoder ??= this.#device.createCommandEncoder();
  }

  #group(call: Dispatch, layout: GPUBindGroupLayout): GPUBindGroup {
    const { access } = call.kernel, { params } = this.rings;
    let key = access;
    for (let i = 0; i < access.length; i++) {
      const b = access[i] === "-" ? undefined : call.bindings[i] ?? this.#spare();
      key += b === undefined ? "|" : `|${b.buffer.id}:${b.offset}:${b.size}`;
    }
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const entries: GPUBindGroupEntry[] = [
      { binding: 0, resource: { buffer: params.gpu!, size: PARAMS_BYTES } },
    ];
    for (let i = 0; i < access.length; i++) {
      if (access[i] === "-") continue;
      const { buffer, offset, size } = call.bindings[i] ?? this.#spare();
      entries.push({ binding: i + 1, resource: { buffer: buffer.gpu!, offset, size } });
    }
    if (this.#groups.size >= MOST_GROUPS) this.#groups.clear();
    const made = this.#device.createBindGroup({ layout, entries });
    this.#groups.set(key, made);
    return made;
  }

  /** Something to bind where a kernel will not look. */
  #spare(): Binding {
    const { indices } = this.rings;
    return { buffer: indices, offset: 0, size: 256, base: 0 };
  }

  /** Forgets bind groups: a buffer is about to go. */
  forgetGroups(): void {
    this.#groups.clear();
  }

  /** Records a copy. */
  copy(from: GPUBuffer, fromOffset: number, to: GPUBuffer, toOffset: number, bytes: number): void {
    this.#endPass();
    this.#begin().copyBufferToBuffer(from, fromOffset, to, toOffset, bytes);
  }

  /** Records zeroing. */
  clear(buffer: GPUBuffer): void {
    this.#endPass();
    this.#begin().clearBuffer(buffer);
  }

  /** Host bytes to a buffer, after everything recorded so far. Offsets and lengths are multiples of four. */
  write(buffer: GPUBuffer, offset: number, bytes: Uint8Array): void {
    if (this.#encoder !== undefined) this.submit();
    this.#device.queue.writeBuffer(buffer, offset, bytes as Uint8Array<ArrayBuffer>);
    this.#unsubmitted += bytes.length;
    if (this.#unsubmitted >= UNSUBMITTED_BYTES) this.#submit([]);
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = undefined;
    this.#lastPipeline = undefined;
  }

  /** Starts what was recorded. */
  submit(): void {
    if (this.#encoder === undefined) {
      if (this.#unsubmitted > 0) this.#submit([]);
      return;
    }
    this.#flush();
    this.#indexTop = 0;
  }

  #flush(): void {
    this.#endPass();
    const { queue } = this.#device, { params, indices } = this.rings;
    if (this.#calls > 0) {
      queue.writeBuffer(params.gpu!, 0, this.#params, 0, this.#calls * this.#slot / 4);
    }
    if (this.#indexTop > 0) queue.writeBuffer(indices.gpu!, 0, this.#indices, 0, this.#indexTop);
    const commands = this.#begin().finish();
    this.#encoder = undefined;
    this.#calls = 0;
    this.#products = 0;
    this.#submit([commands]);
  }

  #submit(commands: GPUCommandBuffer[]): void {
    this.#device.queue.submit(commands);
    this.#unsubmitted = 0;
    this.submits++;
  }
}
