/** GET /cache: what is in the caches, live; GET /cache/stats: the numbers behind it. No text of anybody is in them. */
import type { Hono } from "hono";
import type { Engine, EngineStats } from "../../engine/protocol.ts";
import { assetRoutes } from "../assets.ts";
import type { HttpEnv } from "../options.ts";
import { loadedModel } from "../ready.ts";
import style from "./cache.css" with { type: "text" };
import html from "./cache.html" with { type: "text" };
import script from "./cache.js" with { type: "text" };

/** What the page is told of an engine. */
export function cacheView(name: string, stats: EngineStats) {
  const { ledger, experts, fetch, tiers, prefetch } = stats;
  return { model: name, ledger, experts, fetch, tiers, prefetch };
}

/** The page, and the numbers, which may need a key. */
export function cacheRoutes(engine: Engine): Hono<HttpEnv> {
  return assetRoutes([
    { path: "/cache", type: "text/html; charset=utf-8", body: html },
    { path: "/cache/cache.css", type: "text/css; charset=utf-8", body: style },
    { path: "/cache/cache.js", type: "text/javascript; charset=utf-8", body: script },
  ])
    .get("/cache/stats", async (c) => {
      const { name } = loadedModel(engine);
      return c.json(cacheView(name, await engine.stats()), 200, { "Cache-Control": "no-store" });
    });
}
