/** Which model a command uses, and the engine it starts for it. */
import type { KvBits } from "../backend/contract.ts";
import type { Values } from "../base/config.ts";
import { MoqeError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";
import type { Engine, EngineOptions, ModelInfo } from "../engine/protocol.ts";
import { defaultCacheFolder } from "../store/disk_cache.ts";
import { pairSides } from "../store/manifest.ts";
import { openModel } from "../store/open.ts";
import { findLanguage } from "../text/languages.ts";
import { pairText } from "./pairs.ts";
import { PROCESS } from "./program.ts";
import type { engineFlags } from "./flags.ts";
import { orAborted } from "./interrupt.ts";
import type { Progress } from "./progress.ts";

/** Folder of the models that come with the program. */
const MODELS = new URL("../../models/", import.meta.url);

/** The address given, or that of the first model that ships. Throws MoqeError `bad_input` where there is none. */
export function modelAddress(given: string | undefined): string {
  return given ?? modelAddresses([])[0];
}

/** The addresses given, or those of all models that ship. Throws MoqeError `bad_input` where there are none. */
export function modelAddresses(given: readonly string[]): [string, ...string[]] {
  const [first, ...others] = given.length > 0 ? given : shippedModels();
  if (first !== undefined) return [first, ...others];
  throw new MoqeError("bad_input", {
    action: "choose a model",
    rule: "no model came with this program",
    remedy: "name one with --model (moqe pack makes one from a checkpoint)",
  });
}

/**
 * The first of the addresses given, or of the models that ship, that was trained for a pair; "auto" is any source.
 * Throws MoqeError `bad_input` with what all of them were trained for.
 */
export async function modelOfPair(
  given: readonly string[],
  from: string,
  to: string,
): Promise<string> {
  const addresses = modelAddresses(given);
  // A model that is the only one refuses by itself.
  if (addresses.length === 1) return addresses[0];
  const source = findLanguage(from)?.flores, target = findLanguage(to)?.flores;
  const trained: string[] = [];
  for (const address of addresses) {
    const { manifest } = await openModel(address);
    const pairs = manifest.pairs.map(pairSides);
    if (pairs.some((p) => p.target === target && (from === "auto" || p.source === source))) {
      return address;
    }
    trained.push(...pairs.map(pairText));
  }
  throw new MoqeError("bad_input", {
    action: `translate from ${from} to ${to}`,
    rule: `of ${addresses.length} models none was trained for that, but for ${trained.join(", ")}`,
  });
}

/** Addresses of the models that came with the program, by name. */
function shippedModels(): string[] {
  if (MODELS.protocol !== "file:") return [];
  const folder = decodeURIComponent(MODELS.pathname);
  const holds = (name: string) => {
    try {
      return Deno.statSync(`${folder}${name}/manifest.json`).isFile;
    } catch {
      return false;
    }
  };
  try {
    const names = [...Deno.readDirSync(folder)].map((e) => e.name).filter(holds);
    return names.sort().map((name) => folder + name);
  } catch {
    return [];
  }
}

/** What the engine is told, from the flags that every command with an engine has. */
export function engineOptions(flags: Values<typeof engineFlags>): EngineOptions {
  return {
    model: modelAddress(flags.model),
    mirrors: flags.mirror,
    manifestSha256: flags.manifestSha256,
    device: flags.device,
    gpuMemory: flags.gpuMemory,
    hostMemory: flags.hostMemory,
    diskCache: flags.diskCache === 0
      ? undefined
      : { folder: cacheFolder(flags.diskCacheDir), bytes: flags.diskCache },
    prefetch: !flags.noPrefetch,
    encoderShare: flags.encoderShare < 0 ? undefined : flags.encoderShare,
    threads: threadCount(flags.threads),
    maxBatchTokens: flags.maxBatchTokens,
    maxQueue: flags.maxQueue,
    maxSourceTokens: flags.maxSourceTokens,
    maxContextTokens: flags.maxContext,
    kvBits: kvBits(flags.kvCache),
  };
}

/** What --kv-cache means. */
export function kvBits(width: "f16" | "f32"): KvBits {
  return width === "f16" ? 16 : 32;
}

/** The folder given, or the user's own. */
export function cacheFolder(given: string | undefined): string {
  return given ?? defaultCacheFolder(PROCESS.environment);
}

/** Waits until the model answers, showing how much of it is read. */
export async function loadedInfo(
  engine: Engine,
  progress: Progress,
  signal: AbortSignal,
): Promise<ModelInfo> {
  const timer = setInterval(() => {
    const { doneBytes, totalBytes } = engine.loaded;
    if (totalBytes === 0) return;
    progress.show(`loading: ${formatBytes(doneBytes)}`, doneBytes / totalBytes);
  }, 200);
  try {
    return await orAborted(engine.ready, signal);
  } finally {
    clearInterval(timer);
    progress.clear();
  }
}

/** More threads than this gain little and cost memory each; who wants them says so. */
const MOST_THREADS_UNASKED = 4;

/** What --threads means on this machine. */
export function threadCount(asked: number): number {
  return asked === 0 ? Math.min(MOST_THREADS_UNASKED, navigator.hardwareConcurrency) : asked;
}
