/** Pages that are part of the program: each file with the headers that bind it to its own server. */
import { Hono } from "hono";
import type { HttpEnv } from "./options.ts";

/** A file of a page. */
export interface Asset {
  readonly path: string;
  /** Content-Type. */
  readonly type: string;
  readonly body: string;
}

/** What a page may load and where it may send to: its own server alone. */
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

/** Answers with each asset at its path. A page needs no key; what it asks for may. */
export function assetRoutes(assets: readonly Asset[]): Hono<HttpEnv> {
  const app = new Hono<HttpEnv>();
  for (const { path, type, body } of assets) {
    app.get(path, (c) =>
      c.body(body, 200, {
        "Content-Type": type,
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-cache",
      }));
  }
  return app;
}
