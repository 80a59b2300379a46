/** Which device a model runs on: a GPU where there is a real one, else the CPU, and why. */
import { errorText } from "../base/errors.ts";
import type { Ledger } from "../base/ledger.ts";
import type { Backend } from "../backend/contract.ts";
import { createCpuBackend } from "../backend/cpu/backend.ts";
import {
  adapterName,
  findAdapter,
  openDevice,
  type OpenedDevice,
} from "../backend/webgpu/adapter.ts";
import { createWebGpuBackend } from "../backend/webgpu/backend.ts";
import type { EngineOptions } from "./protocol.ts";

/** A device that was chosen; a GPU is open already, so that what its driver holds counts as the runtime's. */
export interface ChosenDevice {
  readonly opened: OpenedDevice | undefined;
  /** Why it is the CPU where that was not asked for: "no GPU: ...". */
  readonly reason: string | undefined;
}

/**
 * Opens what `--device` asks for. "auto" takes a GPU that is no software fallback, else the CPU. Throws MoqeError
 * `unavailable` where "webgpu" is asked for and there is none.
 */
export async function chooseDevice(device: EngineOptions["device"]): Promise<ChosenDevice> {
  if (device === "cpu") return { opened: undefined, reason: undefined };
  if (device === "webgpu") return { opened: await openDevice(), reason: undefined };
  const onCpu = (why: string) => ({ opened: undefined, reason: `no GPU: ${why}` });
  if (!mayHaveGpu()) return onCpu("this machine has no such device");
  try {
    const adapter = await findAdapter();
    if (adapter === undefined) return onCpu("no driver offers one");
    if (adapter.info.isFallbackAdapter) return onCpu(`${adapterName(adapter)} is a software one`);
    return { opened: await openDevice(adapter), reason: undefined };
  } catch (error) {
    return onCpu(errorText(error));
  }
}

/**
 * Whether there is a device file of a GPU: asking for an adapter loads every driver, software ones included, and
 * tens of megabytes with them.
 */
function mayHaveGpu(): boolean {
  if (Deno.build.os !== "linux") return true;
  const exists = (path: string) => {
    // Without permission to look there is nothing to be asked on a terminal: it is not ours to use either.
    if (Deno.permissions.querySync({ name: "read", path }).state !== "granted") return false;
    try {
      Deno.statSync(path);
      return true;
    } catch {
      return false;
    }
  };
  return ["/dev/dri", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd", "/dev/mali0"].some(exists);
}

/** The backend of a chosen device, and its description with the reason. Owns the device from here on. */
export async function createBackend(
  { opened, reason }: ChosenDevice,
  ledger: Ledger,
  threads: number,
): Promise<{ backend: Backend; description: string }> {
  const backend = opened === undefined
    ? await createCpuBackend({ ledger, threads })
    : await createWebGpuBackend({ ledger, opened });
  const { description } = backend;
  return {
    backend,
    description: reason === undefined ? description : `${description} (${reason})`,
  };
}
