/** Finds an adapter, opens a device with its widest limits, and says in words what goes wrong. */
import { MoqeError } from "../../base/errors.ts";

/** A device that is open, and what it can do. */
export interface OpenedDevice {
  readonly device: GPUDevice;
  /** "NVIDIA H100" or "llvmpipe (LLVM 19.1.7, 256 bits)". */
  readonly adapterName: string;
  /** A software adapter: right, and slower than the CPU backend. */
  readonly isFallback: boolean;
  readonly maxBindingBytes: number;
  readonly maxBufferBytes: number;
  /** Offset alignment of bindings, uniform and storage alike. */
  readonly offsetAlignment: number;
  readonly hasTimestamps: boolean;
}

/** What Deno must be told so that it does not offer an OpenGL adapter where there is no Vulkan driver. */
const VARIABLE = "DENO_WEBGPU_BACKEND";

const REMEDY =
  `install a Vulkan driver (Debian: apt-get install mesa-vulkan-drivers, or the GPU vendor's own), ` +
  `leave ${VARIABLE} unset or set it to vulkan, or say --device cpu`;

/** The adapter of this machine, or undefined. On Linux only Vulkan's are asked for, unless the environment says. */
export async function findAdapter(): Promise<GPUAdapter | undefined> {
  // Without permission for the environment, what is offered instead is known by its `isFallback`.
  const { state } = Deno.permissions.querySync({ name: "env", variable: VARIABLE });
  if (Deno.build.os === "linux" && state === "granted" && Deno.env.get(VARIABLE) === undefined) {
    Deno.env.set(VARIABLE, "vulkan");
  }
  if (navigator.gpu === undefined) return undefined;
  return await navigator.gpu.requestAdapter({ powerPreference: "high-performance" }) ?? undefined;
}

/** The adapter's own name, or the vendor's. */
export function adapterName({ info }: GPUAdapter): string {
  return info.description || [info.vendor, info.device].filter(Boolean).join(" ") || "unnamed GPU";
}

/** Opens an adapter's device. Throws MoqeError `unavailable` where there is no adapter or it gives no device. */
export async function openDevice(found?: GPUAdapter): Promise<OpenedDevice> {
  const adapter = found ?? await findAdapter();
  if (adapter === undefined) {
    throw new MoqeError("unavailable", {
      action: "start on webgpu",
      rule: "this machine offers no GPU adapter",
      remedy: REMEDY,
    });
  }
  const { limits } = adapter;
  const hasTimestamps = adapter.features.has("timestamp-query");
  const device = await adapter.requestDevice({
    label: "moqe",
    requiredFeatures: hasTimestamps ? ["timestamp-query"] : [],
    requiredLimits: {
      maxBufferSize: limits.maxBufferSize,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      minUniformBufferOffsetAlignment: limits.minUniformBufferOffsetAlignment,
      minStorageBufferOffsetAlignment: limits.minStorageBufferOffsetAlignment,
    },
  }).catch((cause) => {
    throw new MoqeError("unavailable", {
      action: `open the GPU ${adapterName(adapter)}`,
      rule: "it gives no device",
      observed: String(cause),
      remedy: REMEDY,
      cause,
    });
  });
  return {
    device,
    adapterName: adapterName(adapter),
    isFallback: adapter.info.isFallbackAdapter,
    // Multiples of four, as bindings must be. Not by bit operations: limits go up to 2^32 - 1.
    maxBindingBytes: limits.maxStorageBufferBindingSize - limits.maxStorageBufferBindingSize % 256,
    maxBufferBytes: limits.maxBufferSize - limits.maxBufferSize % 256,
    offsetAlignment: Math.max(
      limits.minUniformBufferOffsetAlignment,
      limits.minStorageBufferOffsetAlignment,
    ),
    hasTimestamps,
  };
}
