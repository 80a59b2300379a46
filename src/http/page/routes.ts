/** GET /: a page to translate with, its style and its script. */
import type { Hono } from "hono";
import { assetRoutes } from "../assets.ts";
import type { HttpEnv } from "../options.ts";
import style from "./page.css" with { type: "text" };
import html from "./page.html" with { type: "text" };
import script from "./page.js" with { type: "text" };

/** The page. */
export function pageRoutes(): Hono<HttpEnv> {
  return assetRoutes([
    { path: "/", type: "text/html; charset=utf-8", body: html },
    { path: "/page.css", type: "text/css; charset=utf-8", body: style },
    { path: "/page.js", type: "text/javascript; charset=utf-8", body: script },
  ]);
}
