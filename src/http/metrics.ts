/** GET /metrics for Prometheus. Labels come from closed sets; none ever holds what a user sent. */
import { Hono } from "hono";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Engine, EngineStats } from "../engine/protocol.ts";
import { engineMetrics } from "./engine_metrics.ts";
import type { HttpEnv, HttpOptions } from "./options.ts";

/** A scrape waits this long for the engine's numbers, then goes on without them. */
const STATS_TIMEOUT_MS = 5000;

const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

/** The counters that the middleware feeds, and the registry that they are in. */
export class HttpMetrics {
  readonly registry = new Registry();
  readonly #requests = new Counter({
    name: "moqe_http_requests_total",
    help: "Requests answered, by route and status; 499 is a client that went away.",
    labelNames: ["route", "status"],
    registers: [this.registry],
  });
  readonly #seconds = new Histogram({
    name: "moqe_http_request_seconds",
    help: "Time from a request's arrival to its answer, by route.",
    labelNames: ["route"],
    buckets: SECONDS,
    registers: [this.registry],
  });

  /** Counts a request that was answered. */
  finished(route: string, status: number, seconds: number): void {
    this.#requests.inc({ route, status });
    this.#seconds.observe({ route }, seconds);
  }
}

/** The route. Each scrape asks the engine once. */
export function metricRoutes(
  engine: Engine,
  options: HttpOptions,
  metrics: HttpMetrics,
): Hono<HttpEnv> {
  const { registry } = metrics;
  const show = engineMetrics(registry);
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers: [registry] });
  const inFlight = gauge("moqe_http_requests_in_flight", "Translate requests being answered now.");
  const ready = gauge("moqe_ready", "1 while the model answers, else 0.");
  const rss = gauge("process_resident_memory_bytes", "Resident memory of the whole process.");
  return new Hono<HttpEnv>()
    .get("/metrics", async (c) => {
      inFlight.set(options.gate.inFlight);
      ready.set(engine.state === "ready" && !options.gate.draining ? 1 : 0);
      rss.set(Deno.memoryUsage().rss);
      const stats = await statsInTime(engine);
      if (stats !== undefined) show(stats);
      return c.body(await registry.metrics(), 200, { "Content-Type": registry.contentType });
    });
}

/** The engine's numbers; undefined while there are none or when it is too busy to say them. */
async function statsInTime(engine: Engine): Promise<EngineStats | undefined> {
  if (engine.state !== "ready") return undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), STATS_TIMEOUT_MS);
  });
  try {
    return await Promise.race([engine.stats(), late]);
  } catch {
    return undefined; // The scrape still has the service's own numbers; /ready says what is wrong.
  } finally {
    clearTimeout(timer);
  }
}
