/** What stands before every route that does work: the key, a place in the house, the fields of a bounded body. */
import type { MiddlewareHandler } from "hono";
import { admit, keyOutside } from "./access/admit.ts";
import type { Scope } from "./access/keys.ts";
import { readFields } from "./fields.ts";
import type { Gate } from "./gate.ts";
import type { HttpEnv, HttpOptions } from "./options.ts";

/** Doors in the order in which a request meets them. */
export type Doors = [MiddlewareHandler<HttpEnv>, ...MiddlewareHandler<HttpEnv>[]];

/** The gate comes before the body, so that bodies in memory are bounded too. */
export function doors(options: HttpOptions, scope: Scope): Doors {
  const { gate, limits } = options;
  const { early, late } = keyDoors(options, scope);
  return [early, through(gate), fieldsOf(options, limits.maxBodyBytes), late];
}

/** A key and a few words: what the routes beside translation are sent. */
const QUICK_BYTES = 16 * 1024;

/** The doors of routes that answer at once and so need no place in the house. */
export function quickDoors(options: HttpOptions, scope: Scope): Doors {
  const { early, late } = keyDoors(options, scope);
  return [early, fieldsOf(options, QUICK_BYTES), late];
}

/** Fields are never read but from a body that is bounded in size and time. */
function fieldsOf({ limits }: HttpOptions, maxBytes: number): MiddlewareHandler<HttpEnv> {
  return readFields({ maxBytes, timeoutMs: limits.bodyTimeoutMs });
}

/**
 * Every request is admitted once. Where the body is not needed to know whose it is, that is before the gate: a wrong
 * key or a rate that is used up then takes no place. A key in the body has to wait for it.
 */
function keyDoors(options: HttpOptions, scope: Scope) {
  const door = admit(options, scope);
  const early: MiddlewareHandler<HttpEnv> = (c, next) =>
    options.access.keyRequired && keyOutside(c) === undefined ? next() : door(c, next);
  const late: MiddlewareHandler<HttpEnv> = (c, next) =>
    c.get("client") === undefined ? door(c, next) : next();
  return { early, late };
}

/** What a form says around a file. */
const FORM_BYTES = 64 * 1024;

/** The doors of uploads, which are large: few are read at once. */
export function uploadDoors(options: HttpOptions): Doors {
  const { gate, uploads, desk } = options;
  const open: MiddlewareHandler<HttpEnv> = (_, next) => (gate.check(), next());
  const fields = fieldsOf(options, desk.limits.maxDocumentBytes + FORM_BYTES);
  const { early, late } = keyDoors(options, "documents");
  return [open, early, through(uploads), fields, late];
}

/**
 * Holds a place of the gate while the request runs. A handler that answers with a stream takes the place with it:
 * it sets `leave` and calls it when the stream has ended.
 */
export function through(gate: Gate): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const leave = gate.enter();
    c.set("leave", leave);
    c.set("streams", false);
    try {
      await next();
    } finally {
      if (!c.get("streams")) leave();
    }
  };
}
