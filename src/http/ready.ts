/** GET /live (the process runs) and GET /ready (the model answers): two questions with two answers. */
import { type Context, Hono } from "hono";
import { errorText, MoqeError } from "../base/errors.ts";
import type { Engine, ModelInfo } from "../engine/protocol.ts";
import type { HttpEnv, HttpOptions } from "./options.ts";

/** Seconds after which a client may ask a loading service again. */
const LOADING_RETRY_SECONDS = 2;

/** The two probes. */
export function probeRoutes(engine: Engine, options: HttpOptions): Hono<HttpEnv> {
  const why = failureOf(engine);
  const ready = (c: Context<HttpEnv>) => {
    const state = options.gate.draining ? "draining" : engine.state;
    if (state === "ready") return c.json({ status: "ready", model: engine.info?.name });
    if (state === "loading") {
      c.header("Retry-After", String(LOADING_RETRY_SECONDS));
      return c.json({ status: "loading", progress: progressOf(engine) }, 503);
    }
    return c.json({ status: state, reason: state === "failed" ? why() : "shutting down" }, 503);
  };
  return new Hono<HttpEnv>()
    .get("/live", (c) => c.json({ status: "alive" }))
    .get("/ready", ready);
}

/** The loaded model, or MoqeError `unavailable`: a request is answered or refused at once, never left waiting. */
export function loadedModel(engine: Engine): ModelInfo {
  if (engine.state === "ready" && engine.info !== undefined) return engine.info;
  const rule = {
    loading: `the model is loading (${Math.round(progressOf(engine) * 100)} %)`,
    failed: "the model could not be loaded; GET /ready says why",
    draining: "the service is shutting down",
    closed: "the service is shutting down",
    ready: "the model has not said what it is",
  }[engine.state];
  throw new MoqeError("unavailable", { action: "answer the request", rule }, {
    retryAfterSeconds: engine.state === "loading" ? LOADING_RETRY_SECONDS : 10,
  });
}

/** Share of the trunk that is read, 0 to 1. */
function progressOf(engine: Engine): number {
  const { doneBytes, totalBytes } = engine.loaded;
  return totalBytes === 0 ? 0 : Math.round(1000 * doneBytes / totalBytes) / 1000;
}

/** Remembers why the engine failed. A MoqeError's words are for users; another error's stay in the log. */
function failureOf(engine: Engine): () => string {
  let reason = "the model could not be loaded";
  engine.ready.catch((thrown) => {
    if (thrown instanceof MoqeError && thrown.code !== "internal") reason = errorText(thrown);
  });
  return () => reason;
}
