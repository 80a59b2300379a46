/**
 * GET /openapi.json (OpenAPI 3.1), the same at LibreTranslate's GET /spec, and GET /docs: what the routes take and
 * answer, made from the schemas they check by.
 */
import { Hono } from "hono";
import { z } from "zod";
import { VERSION } from "../../base/runtime.ts";
import type { HttpEnv } from "../options.ts";
import { DEEPL } from "./deepl.ts";
import { GLOSSARIES } from "./glossaries.ts";
import { LIBRE } from "./libre.ts";
import { docsPage } from "./page.ts";
import { answer, failures, KEY, OPEN, type Paths } from "./parts.ts";

const plainError = z.object({ error: z.string() });
const otherMethod = failures(plainError, []);
const OPERATION: Paths = {
  "/live": {
    get: {
      summary: "The process runs",
      tags: ["Operation"],
      ...OPEN,
      responses: { "200": answer("It does."), ...otherMethod },
    },
  },
  "/ready": {
    get: {
      summary: "The model answers",
      tags: ["Operation"],
      ...OPEN,
      responses: {
        "200": answer("It does."),
        "503": answer("Not yet, or no more; it says why."),
        ...otherMethod,
      },
    },
  },
  "/metrics": {
    get: {
      summary: "Prometheus metrics; with keys for scope admin, or on a port of its own",
      tags: ["Operation"],
      responses: {
        "200": answer("Metrics.", z.string(), "text/plain"),
        ...failures(plainError, KEY),
      },
    },
  },
  "/cache": {
    get: {
      summary: "A page of what the cache holds; where /metrics is",
      tags: ["Operation"],
      ...OPEN,
      responses: { "200": answer("The page.", z.string(), "text/html"), ...otherMethod },
    },
  },
  "/cache/stats": {
    get: {
      summary: "The page's numbers; with keys for scope admin, or on a port of its own",
      tags: ["Operation"],
      responses: {
        "200": answer("Numbers.", z.object({ model: z.string() }).loose()),
        ...failures(plainError, [...KEY, "503"]),
      },
    },
  },
};

/** The whole document. */
export function openApiDocument() {
  return {
    openapi: "3.1.0",
    info: {
      title: "moqe",
      version: VERSION,
      description: "Translation for clients of LibreTranslate and of DeepL's API v2.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    paths: { ...LIBRE, ...DEEPL, ...GLOSSARIES, ...OPERATION } as Paths,
    components: {
      securitySchemes: {
        deepl: {
          type: "apiKey",
          in: "header",
          name: "Authorization",
          description: "DeepL-Auth-Key KEY",
        },
        bearer: { type: "http", scheme: "bearer" },
        header: { type: "apiKey", in: "header", name: "X-API-Key" },
      },
    },
    security: [{ deepl: [] }, { bearer: [] }, { header: [] }, {}],
  };
}

/** The routes. */
export function openApiRoutes(): Hono<HttpEnv> {
  // Made when first asked for: most services are never asked.
  let document: ReturnType<typeof openApiDocument> | undefined;
  const made = () => document ??= openApiDocument();
  return new Hono<HttpEnv>()
    .on("GET", ["/openapi.json", "/spec"], (c) => c.json(made()))
    .get("/docs", (c) => {
      c.header(
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
      );
      return c.html(docsPage(made()));
    });
}
