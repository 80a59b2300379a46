/** GET /: a page to translate with, its style and its script; three files that are part of the program. */
import { Hono } from "hono";
import { methodNotAllowed } from "../errors.ts";
import type { HttpEnv } from "../options.ts";
import style from "./page.css" with { type: "text" };
import html from "./page.html" with { type: "text" };
import script from "./page.js" with { type: "text" };

/** What the page may load and where it may send to: its own server alone. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const FILES: readonly [path: string, type: string, body: string][] = [
  ["/", "text/html; charset=utf-8", html],
  ["/page.css", "text/css; charset=utf-8", style],
  ["/page.js", "text/javascript; charset=utf-8", script],
];

/** The page needs no key; what it asks for may. */
export function pageRoutes(): Hono<HttpEnv> {
  const app = new Hono<HttpEnv>();
  for (const [path, type, body] of FILES) {
    app.get(path, (c) =>
      c.body(body, 200, {
        "Content-Type": type,
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-cache",
      })).all(path, methodNotAllowed("GET"));
  }
  return app;
}
