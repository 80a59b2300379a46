/** The budgets of a process that several models share. */
import type { EngineOptions } from "./protocol.ts";

const MIB = 2 ** 20;
/**
 * What the process grows by once it works: two V8 heaps between their collections, compiled code, pages of the
 * runtime's own binary. Measured without any V8 flag: 70 MiB with blocks from files, 100 MiB over HTTP; the tasks
 * of deno.json keep V8's young generation small, which takes 40 MiB of that back.
 */
export const RUNTIME_GROWTH_BYTES = 128 * MIB;

/** A model's part of that: its Worker's V8 heap, code and stack (15 MiB measured where no text had come yet). */
export const MODEL_GROWTH_BYTES = 40 * MIB;
/** What the first engine's Worker has grown the process by when its model is read; 28 MiB measured. */
export const WORKER_START_BYTES = 32 * MIB;

/** A model's place among those of its process. */
export interface Shared {
  /** Models of the process; each has an equal share. */
  readonly models: number;
  /** The host budget of all of them together, as it was asked for. */
  readonly hostMemory: number;
  /** Host bytes of the process and its service, which no model but the first accounts for, beside its share. */
  readonly processBytes: number;
  readonly first: boolean;
}

/** What each of `models` engines is told of the budgets; `rssBytes` is the process's before any of them starts. */
export function shareBudgets(
  options: Pick<EngineOptions, "gpuMemory" | "hostMemory" | "serviceBytes">,
  models: number,
  rssBytes: number,
): Pick<EngineOptions, "gpuMemory" | "hostMemory" | "serviceBytes" | "shared">[] {
  const { gpuMemory, hostMemory, serviceBytes = 0 } = options;
  const processBytes = rssBytes + WORKER_START_BYTES + RUNTIME_GROWTH_BYTES - MODEL_GROWTH_BYTES +
    serviceBytes;
  const gpuShare = Math.floor(gpuMemory / models);
  const hostShare = Math.max(0, Math.floor((hostMemory - processBytes) / models));
  // The first has what is over, too, so that the shares come to what was asked for.
  const others = models - 1;
  return Array.from({ length: models }, (_, i) => {
    const first = i === 0;
    return {
      gpuMemory: first ? gpuMemory - others * gpuShare : gpuShare,
      hostMemory: first ? hostMemory - others * hostShare : hostShare,
      serviceBytes: first ? serviceBytes : 0,
      shared: { models, hostMemory, processBytes, first },
    };
  });
}

/** How a refusal begins where models share a budget. */
export function sharing(models: number): string {
  return models > 1 ? `${models} models share it, and of this one ` : "";
}

/** The budget of all models that gives one of them `leastBytes`. */
export function leastHostOfAll(shared: Shared | undefined, leastBytes: number): number {
  if (shared === undefined) return leastBytes;
  const { models, processBytes, first } = shared;
  return processBytes + models * (first ? Math.max(0, leastBytes - processBytes) : leastBytes);
}
