/** A GPU as a device, through WebGPU: buffers in its memory, WGSL kernels as operations, recorded and submitted. */
import { makeArenas } from "../arenas.ts";
import type { MoqeError } from "../../base/errors.ts";
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
import { refuse } from "../shapes.ts";
import { openDevice, type OpenedDevice } from "./adapter.ts";
import * as attention from "./attention.ts";
import { liveRange } from "./buffers.ts";
import { experts } from "./experts.ts";
import { gate } from "./gate.ts";
import { Gpu, ringBytes } from "./gpu.ts";
import * as heads from "./heads.ts";
import { DeviceMemory, USAGE } from "./memory.ts";
import type { Run } from "./operands.ts";
import { storeKv } from "./pages.ts";
import { linear } from "./product.ts";
import { Readback, STAGING_BYTES } from "./readback.ts";
import { router } from "./router.ts";
import * as rows from "./rows.ts";
import { scratchSizes } from "./scratch.ts";
import { TILES, type Tiles } from "./tiles.ts";
import { syncReadbackWorks } from "./sync_readback.ts";
import { vocabTopK } from "./vocab.ts";

/** Kernels count bytes of a binding in 32 bits, whatever an adapter says it can bind. */
const MOST_BINDING_BYTES = 2 ** 32 - 256;

export interface WebGpuBackendOptions {
  /** Its gpu budget is what the buffers may take together. */
  ledger: Ledger;
  /** The device to run on, opened here unless given. Destroyed with the backend, unless it is to be kept. */
  opened?: OpenedDevice;
  keepDevice?: boolean;
  /** The largest range that one kernel may see; the adapter's unless a test wants many parts. */
  maxBindingBytes?: number;
  /** Multiply-adds that one submission may begin another call behind; for tests. */
  maxProducts?: number;
  /** Others than are used here, for tests and for measuring them. */
  tiles?: Tiles;
  /** Read back without waiting; asked of a self-test in a child process unless given. */
  synchronousReadback?: boolean;
}

/** Starts the WebGPU backend. Throws MoqeError `unavailable` without an adapter, `over_budget`. */
export async function createWebGpuBackend(options: WebGpuBackendOptions): Promise<Backend> {
  const opened = options.opened ?? await openDevice();
  try {
    const synchronous = options.synchronousReadback ??
      await syncReadbackWorks(opened.adapterName);
    const backend = new WebGpuBackend(options, opened, synchronous);
    return Object.assign(backend, operationMethods(FUNCTIONS, () => backend.begin()));
  } catch (error) {
    if (options.keepDevice !== true) opened.device.destroy();
    throw error;
  }
}

/** What runs each operation. */
const FUNCTIONS: OperationFunctions<Run> = {
  ...attention,
  storeKv,
  ...rows,
  ...heads,
  linear,
  gate,
  router,
  experts,
  vocabTopK,
};

class WebGpuBackend implements BackendBase {
  readonly name = "webgpu";
  readonly description: string;
  readonly limits: BackendLimits;
  readonly #memory: DeviceMemory;
  readonly #device: GPUDevice;
  readonly #ownsDevice: boolean;
  readonly #tiles: Tiles;
  readonly #gpu: Gpu;
  readonly #readback: Readback;
  #run: Run | undefined;
  #operations = 0;
  #readbacks = 0;

  constructor(options: WebGpuBackendOptions, opened: OpenedDevice, synchronous: boolean) {
    this.#device = opened.device;
    this.#ownsDevice = options.keepDevice !== true;
    this.#tiles = options.tiles ?? TILES;
    this.description = `webgpu: ${opened.adapterName}, f32 activations, ` +
      `${synchronous ? "synchronous" : "awaited"} readback`;
    this.limits = {
      maxBindingBytes: Math.min(
        options.maxBindingBytes ?? MOST_BINDING_BYTES,
        opened.maxBindingBytes,
      ),
      maxBufferBytes: opened.maxBufferBytes,
      offsetAlignment: 16,
    };
    this.#memory = new DeviceMemory(opened.device, options.ledger, this.limits.maxBufferBytes);
    const { params, indices } = ringBytes(opened.offsetAlignment), { UNIFORM, STORAGE } = USAGE;
    const bindings = {
      maxBindingBytes: this.limits.maxBindingBytes,
      offsetAlignment: opened.offsetAlignment,
    };
    this.#gpu = new Gpu(opened, bindings, {
      params: this.#memory.take("parameters", params, "staging", UNIFORM),
      indices: this.#memory.take("indices", indices, "staging", STORAGE),
    }, options.maxProducts);
    const staging = this.#memory.take("readback", STAGING_BYTES, "staging", USAGE.READ);
    this.#readback = new Readback(this.#gpu, staging.gpu!, synchronous);
  }

  get lost(): Promise<MoqeError> {
    return this.#gpu.errors.gone;
  }

  alloc(label: string, bytes: number, line: GpuLine): DeviceBuffer {
    this.#gpu.errors.check();
    return this.#memory.take(label, bytes, line, USAGE.STORAGE);
  }

  free(buffer: DeviceBuffer): void {
    // What was recorded may still use it.
    this.#gpu.submit();
    this.#gpu.forgetGroups();
    this.#memory.give(buffer);
  }

  write(buffer: DeviceBuffer, offset: number, bytes: Uint8Array): void {
    const action = "write to a buffer";
    const live = liveRange(buffer, offset, bytes.length, action);
    if (offset % 4 !== 0 || bytes.length % 4 !== 0) {
      refuse(action, "offset and length are multiples of 4", `${bytes.length} bytes at ${offset}`);
    }
    this.#gpu.errors.check();
    if (bytes.length > 0) this.#gpu.write(live.gpu!, offset, bytes);
  }

  async readback(
    buffer: DeviceBuffer,
    offset: number,
    bytes: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    this.#readbacks++;
    const live = liveRange(buffer, offset, bytes, "read a buffer");
    return await this.#readback.read(live.gpu!, offset, bytes);
  }

  copy(
    from: DeviceBuffer,
    fromOffset: number,
    to: DeviceBuffer,
    toOffset: number,
    bytes: number,
  ): void {
    const source = liveRange(from, fromOffset, bytes, "copy from a buffer");
    const target = liveRange(to, toOffset, bytes, "copy to a buffer");
    const apart = source !== target || fromOffset + bytes <= toOffset ||
      toOffset + bytes <= fromOffset;
    if (!apart && bytes > 0) {
      refuse("copy", "ranges must not overlap", `${fromOffset} and ${toOffset} of ${from.label}`);
    }
    if ((fromOffset | toOffset | bytes) % 4 !== 0) {
      refuse("copy", "offsets and length are multiples of 4", `${bytes} bytes at ${fromOffset}`);
    }
    this.#gpu.errors.check();
    if (bytes > 0) this.#copy(source.gpu!, fromOffset, target.gpu!, toOffset, bytes);
  }

  #copy(from: GPUBuffer, fromOffset: number, to: GPUBuffer, toOffset: number, bytes: number) {
    if (from !== to) return this.#gpu.copy(from, fromOffset, to, toOffset, bytes);
    // WebGPU copies between buffers only: inside one, through scratch.
    const scratch = this.#prepared().scratch.logits;
    for (let at = 0; at < bytes; at += scratch.bytes) {
      const piece = Math.min(scratch.bytes, bytes - at);
      this.#gpu.copy(from, fromOffset + at, scratch.gpu!, 0, piece);
      this.#gpu.copy(scratch.gpu!, 0, to, toOffset + at, piece);
    }
  }

  submit(): void {
    this.#gpu.errors.check();
    this.#gpu.submit();
  }

  prepare(shape: ScratchShape): void {
    if (this.#run !== undefined) refuse("prepare", "it is called once", "a second call");
    const sizes = scratchSizes(shape, this.limits.maxBindingBytes);
    const take = (name: keyof Run["scratch"]) =>
      this.#memory.take(`scratch ${name}`, sizes[name], "activations", USAGE.STORAGE);
    const scratch = {
      hidden: take("hidden"),
      staged: take("staged"),
      lists: take("lists"),
      logits: take("logits"),
      records: take("records"),
      mask: take("mask"),
    };
    this.#run = { gpu: this.#gpu, shape, sizes, scratch, tiles: this.#tiles };
  }

  createArenas(slotBytes: number, slots: number): Arena[] {
    const { maxBindingBytes, maxBufferBytes } = this.limits;
    return makeArenas(
      slotBytes,
      slots,
      Math.min(maxBindingBytes, maxBufferBytes),
      (label, bytes) => this.alloc(label, bytes, "arena"),
    );
  }

  #prepared(): Run {
    return this.#run ?? refuse("run an operation", "prepare comes first", "no scratch");
  }

  /** Counts an operation; what it works with. */
  begin(): Run {
    this.#operations++;
    this.#gpu.errors.check();
    return this.#prepared();
  }

  counters(): { operations: number; submits: number; readbacks: number } {
    return {
      operations: this.#operations,
      submits: this.#gpu.submits,
      readbacks: this.#readbacks,
    };
  }

  close(): void {
    this.#gpu.errors.close();
    this.#gpu.forgetGroups();
    this.#memory.giveAll();
    this.#run = undefined;
    if (this.#ownsDevice) this.#device.destroy();
  }
}
