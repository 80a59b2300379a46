/** An engine that outlives its device: when that is lost, requests are answered so and the model is loaded anew. */
import { errorText, MoqeError } from "../base/errors.ts";
import type { LoadedEngine } from "./load.ts";

/** Pauses before each further try to bring a model back; after the last one the engine has failed. */
const RETRY_MS = [0, 500, 2000, 5000, 15000, 30000];
/** A client may ask again after this long: a load from a warm cache takes some seconds. */
const RETRY_AFTER_SECONDS = 5;

export interface ReviveEvents {
  /** The device is gone and the model is being loaded anew. */
  lost(why: MoqeError): void;
  /** It answers again. */
  back(engine: LoadedEngine): void;
  /** It will not. */
  failed(error: unknown): void;
}

/**
 * Watches an engine and every one that takes its place. `load` makes another; `isLast`: no further try is
 * made. `current` is told of the promise of the next engine before anything is awaited, so that later requests wait for
 * that one.
 */
export function keepAlive(
  engine: LoadedEngine,
  load: (isLast: boolean) => Promise<LoadedEngine>,
  events: ReviveEvents & { current(next: Promise<LoadedEngine>): void },
): void {
  engine.lost.then(async (why) => {
    const told = new MoqeError("unavailable", {
      action: "answer the request",
      rule: `the device was lost while it ran, and the model is being loaded anew: ${
        errorText(why)
      }`,
      remedy: "try again",
    }, { retryAfterSeconds: RETRY_AFTER_SECONDS });
    const next = engine.abandon(told).catch(() => {}).then(() => again(load));
    events.current(next);
    events.lost(told);
    try {
      const revived = await next;
      keepAlive(revived, load, events);
      events.back(revived);
    } catch (error) {
      events.failed(error);
    }
  });
}

async function again(load: (isLast: boolean) => Promise<LoadedEngine>): Promise<LoadedEngine> {
  for (const [i, ms] of RETRY_MS.entries()) {
    await new Promise((resolve) => setTimeout(resolve, ms));
    try {
      return await load(i === RETRY_MS.length - 1);
    } catch (error) {
      // A driver that was reset may take a while to offer its adapter again; other errors will not pass.
      const passing = error instanceof MoqeError && error.code === "unavailable";
      if (!passing || i === RETRY_MS.length - 1) throw error;
    }
  }
  throw new Error("no try was made");
}
