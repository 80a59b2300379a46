/** GET /cache: what is in the caches, live; GET /cache/stats: the numbers behind it. No text of anybody is in them. */
import { Hono } from "hono";
import type { Engine, EngineStats } from "../../engine/protocol.ts";
import { methodNotAllowed } from "../errors.ts";
import type { HttpEnv } from "../options.ts";
import { loadedModel } from "../ready.ts";
import style from "./cache.css" with { type: "text" };
import html from "./cache.html" with { type: "text" };
import script from "./cache.js" with { type: "text" };

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const FILES: readonly [path: string, type: string, body: string][] = [
  ["/cache", "text/html; charset=utf-8", html],
  ["/cache/cache.css", "text/css; charset=utf-8", style],
  ["/cache/cache.js", "text/javascript; charset=utf-8", script],
];

/** What the page is told of an engine. */
export function cacheView(name: string, stats: EngineStats) {
  const { ledger, experts, fetch, tiers, prefetch } = stats;
  return { model: name, ledger, experts, fetch, tiers, prefetch };
}

/** The page needs no key; the numbers may. */
export function cacheRoutes(engine: Engine): Hono<HttpEnv> {
  const app = new Hono<HttpEnv>();
  for (const [path, type, body] of FILES) {
    app.get(path, (c) =>
      c.body(body, 200, {
        "Content-Type": type,
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-cache",
      })).all(path, methodNotAllowed("GET"));
  }
  return app
    .get("/cache/stats", async (c) => {
      const { name } = loadedModel(engine);
      return c.json(cacheView(name, await engine.stats()), 200, { "Cache-Control": "no-store" });
    })
    .all("/cache/stats", methodNotAllowed("GET"));
}
