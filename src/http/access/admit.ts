/** The middleware at every door that is not open to all: finds the key, lets in or refuses. */
import type { Context, MiddlewareHandler } from "hono";
import { textField } from "../fields.ts";
import type { HttpEnv, HttpOptions } from "../options.ts";
import type { Client } from "./access.ts";
import type { Scope } from "./keys.ts";

/** Where clients put a key: DeepL's and the common header, LibreTranslate's field and what its clients call it. */
const FIELDS = ["api_key", "apiKey", "auth_key"] as const;

/** Lets a request through for a scope. On routes that read fields it comes after `readFields`. */
export function admit(options: HttpOptions, scope: Scope): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const client = identify(c, options);
    options.access.admit(client, scope, addressOf(c, options));
    await next();
  };
}

/** Whose key the request has; for routes that are open to every valid key. */
export function identify(c: Context<HttpEnv>, options: HttpOptions): Client {
  const client = options.access.identify(keyOf(c));
  c.set("client", client);
  if (client.record !== undefined) c.get("facts")["client"] = client.name;
  return client;
}

function addressOf(c: Context<HttpEnv>, { proxies }: HttpOptions): string {
  return proxies.clientOf(c.env?.peer ?? "unknown", c.req.header("X-Forwarded-For"));
}

function keyOf(c: Context<HttpEnv>): string | undefined {
  return keyOutside(c) ?? textField(c.get("fields") ?? {}, ...FIELDS);
}

/** The key in a header or the query: it is there before any body. */
export function keyOutside({ req }: Context<HttpEnv>): string | undefined {
  const header = /^(?:DeepL-Auth-Key|Bearer)\s+(\S+)$/i.exec(req.header("Authorization") ?? "");
  return header?.[1] ?? req.header("X-API-Key") ??
    FIELDS.map((name) => req.query(name)).find((key) => key !== undefined && key !== "");
}
