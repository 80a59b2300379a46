/** Packs a checkpoint to a temporary folder and assembles it on the CPU backend: the real path, end to end. */
import { architectureOf } from "../../src/arch/registry.ts";
import { createCpuBackend } from "../../src/backend/cpu/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import type { Backend, Tensor } from "../../src/backend/contract.ts";
import { Ledger } from "../../src/base/ledger.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { assemble, type AssembleOptions, type Assembly } from "../../src/engine/assemble.ts";
import type { PackOptions } from "../../src/pack/options.ts";
import { packCheckpoint } from "../../src/pack/pack.ts";
import type { PackWidths } from "../../src/pack/widths.ts";
import { StoreFetcher } from "../../src/store/fetcher.ts";
import { FileStore } from "../../src/store/file_store.ts";
import type { BlockFetcher, ObjectStore } from "../../src/store/contract.ts";
import type { Manifest } from "../../src/store/manifest.ts";
import { sharedDevice } from "./gpu.ts";

export interface TestModel extends Assembly {
  readonly backend: Backend;
  readonly ledger: Ledger;
  readonly manifest: Manifest;
  readonly fetcher: BlockFetcher;
  readonly maxRows: number;
  readTensor(tensor: Tensor): Promise<Float32Array>;
}

export interface TestModelOptions extends Partial<AssembleOptions> {
  gpuBytes?: number;
  hostBytes?: number;
  maxBindingBytes?: number;
  threads?: number;
  /** "cpu" unless given; "webgpu" is whatever adapter there is, software ones included. */
  device?: Backend["name"];
  /** Where blocks come from, in place of the folder. */
  store?: ObjectStore;
}

/** Packs a Hugging Face folder into `out`. */
export async function packFolder(
  checkpoint: string,
  out: string,
  widths: PackWidths & Partial<PackOptions>,
): Promise<Manifest> {
  const opened = await openCheckpoint(checkpoint);
  try {
    const { plan } = architectureOf(opened.texts.config).read(opened.texts.config);
    const report = await packCheckpoint(opened, plan, new FileStore(out), {
      ...widths,
      name: "test",
      pairs: ["eng_Latn-deu_Latn"],
      licence: { id: "CC0-1.0" },
    });
    return report.manifest;
  } finally {
    opened.weights.close();
  }
}

/** Assembles a packed folder, runs `use`, gives everything back. */
export async function withPacked(
  folder: string,
  manifest: Manifest,
  use: (model: TestModel) => Promise<void>,
  options: TestModelOptions = {},
): Promise<void> {
  const ledger = new Ledger({
    gpuBytes: options.gpuBytes ?? 64 * 2 ** 20,
    hostBytes: options.hostBytes ?? 64 * 2 ** 20,
  });
  const limits = options.maxBindingBytes === undefined
    ? {}
    : { maxBindingBytes: options.maxBindingBytes };
  const backend = options.device === "webgpu"
    ? await createWebGpuBackend({
      ledger,
      opened: await sharedDevice(),
      keepDevice: true,
      ...limits,
    })
    : await createCpuBackend({ ledger, threads: options.threads ?? 1, ...limits });
  const fetcher = new StoreFetcher(options.store ?? new FileStore(folder), manifest, ledger);
  const assembly = await assemble(manifest, { ledger, backend, fetcher }, {
    maxSourceTokens: 64,
    maxBatchTokens: 128,
    ...options,
  });
  const { maxRows } = assembly.budget;
  const readTensor = async (t: Tensor) => {
    const bytes = await backend.readback(t.buffer, t.offset, t.rows * t.cols * 4);
    return new Float32Array(bytes.buffer, bytes.byteOffset, t.rows * t.cols);
  };
  try {
    await use({ ...assembly, backend, ledger, manifest, fetcher, maxRows, readTensor });
  } finally {
    assembly.free();
    backend.close();
  }
}

/** `packFolder`, then `withPacked`, in a temporary folder. */
export async function withModel(
  checkpoint: string,
  widths: PackWidths,
  use: (model: TestModel) => Promise<void>,
  options: TestModelOptions = {},
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "moqe-test-" });
  try {
    await withPacked(folder, await packFolder(checkpoint, folder, widths), use, options);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
