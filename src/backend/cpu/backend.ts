/** The CPU as a device: a WASM heap as its memory, SIMD kernels as its operations, which run at once. */
import { makeArenas } from "../arenas.ts";
import type { GpuLine, Ledger } from "../../base/ledger.ts";
import type {
  Arena,
  Backend,
  BackendBase,
  BackendLimits,
  DeviceBuffer,
  ScratchShape,
} from "../contract.ts";
import { type OperationFunctions, operationMethods } from "../forward.ts";
import * as attention from "./attention.ts";
import { clamp } from "./clamp.ts";
import type { Device, Scratch } from "./device.ts";
import { experts } from "./experts.ts";
import { gate } from "./gate.ts";
import { CpuBuffer, rangeAt, refuse } from "./guards.ts";
import { Heap, HEAP_LIMIT } from "./heap.ts";
import { type Kernels, loadKernels } from "./kernels.ts";
import { embed, layerNorm, linear, rmsNorm } from "./linear.ts";
import { KernelPool } from "./pool.ts";
import { rotary } from "./rotary.ts";
import { combine, router } from "./router.ts";
import { identityRows, type ScratchParts, scratchPlan } from "./scratch.ts";
import { vocabTopK } from "./vocab.ts";

export interface CpuBackendOptions {
  /** Its gpu budget is the heap. */
  ledger: Ledger;
  /** The largest range that one matrix or arena may be; 1 GiB unless a test wants many arenas. */
  maxBindingBytes?: number;
  /** Threads that share large products, the caller's included; 1 unless given. */
  threads?: number;
}

/** Starts the CPU backend. Throws MoqeError `unsupported` where WASM lacks (relaxed) SIMD. */
export async function createCpuBackend(options: CpuBackendOptions): Promise<Backend> {
  const backend = new CpuBackend(options);
  await backend.start();
  return Object.assign(backend, operationMethods(FUNCTIONS, () => backend.begin()));
}

/** What runs each operation. */
const FUNCTIONS: OperationFunctions<Device> = {
  ...attention,
  embed,
  layerNorm,
  rmsNorm,
  linear,
  gate,
  clamp,
  rotary,
  router,
  experts,
  combine,
  vocabTopK,
};

class CpuBackend implements BackendBase {
  readonly name = "cpu";
  readonly description: string;
  readonly limits: BackendLimits;
  /** A processor does not get lost. */
  readonly lost = new Promise<never>(() => {});
  readonly #ledger: Ledger;
  readonly #heap: Heap;
  readonly #kernels: Kernels;
  readonly #buffers = new Set<CpuBuffer>();
  readonly #threads: number;
  #pool: KernelPool | undefined;
  #device: Device | undefined;
  #nextId = 1;
  #operations = 0;
  #submits = 0;
  #readbacks = 0;

  constructor(options: CpuBackendOptions) {
    this.#ledger = options.ledger;
    this.#heap = new Heap(options.ledger.snapshot().gpu.budgetBytes);
    this.#kernels = loadKernels(this.#heap.memory);
    this.#threads = options.threads ?? 1;
    const threads = this.#threads === 1 ? "one thread" : `${this.#threads} threads`;
    this.description = `cpu: WebAssembly SIMD, ${threads}, f32 activations`;
    this.limits = {
      maxBindingBytes: options.maxBindingBytes ?? 2 ** 30,
      maxBufferBytes: HEAP_LIMIT,
      offsetAlignment: 16,
    };
  }

  /** Starts the further threads. */
  async start(): Promise<void> {
    if (this.#threads > 1) this.#pool = await KernelPool.start(this.#threads, this.#heap.memory);
  }

  alloc(label: string, bytes: number, line: GpuLine): DeviceBuffer {
    const reservation = this.#ledger.gpu(line, bytes, label);
    try {
      const pointer = this.#heap.take(bytes, label);
      const buffer = new CpuBuffer(this.#nextId++, bytes, label, pointer, reservation);
      this.#buffers.add(buffer);
      return buffer;
    } catch (error) {
      reservation.release();
      throw error;
    }
  }

  free(buffer: DeviceBuffer): void {
    if (!(buffer instanceof CpuBuffer) || !this.#buffers.delete(buffer)) {
      refuse("free a buffer", "it must be this backend's and not yet freed", buffer.label);
    }
    this.#heap.give(buffer.pointer, buffer.bytes);
    buffer.pointer = 0;
    buffer.reservation.release();
  }

  write(buffer: DeviceBuffer, offset: number, bytes: Uint8Array): void {
    this.#heap.u8.set(bytes, rangeAt(buffer, offset, bytes.length, "write to a buffer"));
  }

  readback(buffer: DeviceBuffer, offset: number, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    this.#readbacks++;
    return Promise.resolve().then(() => {
      const at = rangeAt(buffer, offset, bytes, "read a buffer");
      return this.#heap.u8.slice(at, at + bytes);
    });
  }

  copy(
    from: DeviceBuffer,
    fromOffset: number,
    to: DeviceBuffer,
    toOffset: number,
    bytes: number,
  ): void {
    const source = rangeAt(from, fromOffset, bytes, "copy from a buffer");
    const target = rangeAt(to, toOffset, bytes, "copy to a buffer");
    if (source < target + bytes && target < source + bytes && bytes > 0) {
      refuse("copy", "ranges must not overlap", `${fromOffset} and ${toOffset} of ${from.label}`);
    }
    this.#heap.u8.copyWithin(target, source, source + bytes);
  }

  submit(): void {
    this.#submits++;
  }

  prepare(shape: ScratchShape): void {
    if (this.#device !== undefined) refuse("prepare", "it is called once", "a second call");
    const plan = scratchPlan(shape, this.#threads);
    const base = (this.alloc("kernel scratch", plan.bytes, "activations") as CpuBuffer).pointer;
    const entries = Object.entries(plan.parts).map(([name, at]) => [name, base + at]);
    const at = Object.fromEntries(entries) as ScratchParts;
    const scratch: Scratch = { at, shape, cols: plan.cols, threadBytes: plan.threadBytes };
    for (let t = 0; t < identityRows(shape); t++) this.#heap.i32[at.identity / 4 + t] = t;
    this.#device = { heap: this.#heap, kernels: this.#kernels, scratch, pool: this.#pool };
  }

  createArenas(slotBytes: number, slots: number): Arena[] {
    return makeArenas(
      slotBytes,
      slots,
      this.limits.maxBindingBytes,
      (label, bytes) => this.alloc(label, bytes, "arena"),
    );
  }

  /** Counts an operation; what it works with. */
  begin(): Device {
    this.#operations++;
    return this.#device ?? refuse("run an operation", "prepare comes first", "no scratch");
  }

  counters(): { operations: number; submits: number; readbacks: number } {
    return {
      operations: this.#operations,
      submits: this.#submits,
      readbacks: this.#readbacks,
    };
  }

  close(): void {
    for (const buffer of [...this.#buffers]) this.free(buffer);
    this.#device = undefined;
    this.#pool?.close();
    this.#pool = undefined;
  }
}
