/** What stands before every route that does work: a place in the house, a limit of the body, the fields, the key. */
import type { Context, MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { admit } from "./access/admit.ts";
import type { Scope } from "./access/keys.ts";
import { errorResponse } from "./errors.ts";
import { readFields } from "./fields.ts";
import type { Gate } from "./gate.ts";
import type { HttpEnv, HttpOptions } from "./options.ts";

/** Doors in the order in which a request meets them. */
export type Doors = [MiddlewareHandler<HttpEnv>, ...MiddlewareHandler<HttpEnv>[]];

/** The gate comes first, so that bodies in memory are bounded too; the key last, since it may be in the body. */
export function doors(options: HttpOptions, scope: Scope): Doors {
  const { gate, limits } = options;
  return [through(gate), ...fieldsOf(options, limits.maxBodyBytes), admit(options, scope)];
}

/** A key and a few words: what the routes beside translation are sent. */
const QUICK_BYTES = 16 * 1024;

/** The doors of routes that answer at once and so need no place in the house. */
export function quickDoors(options: HttpOptions, scope: Scope): Doors {
  return [...fieldsOf(options, QUICK_BYTES), admit(options, scope)];
}

/** Fields are never read but from a body that is bounded in size and time. */
function fieldsOf({ limits }: HttpOptions, maxSize: number): Doors {
  return [limited(maxSize), readFields(limits.bodyTimeoutMs)];
}

/** What a form says around a file. */
const FORM_BYTES = 64 * 1024;

/** The doors of uploads, which are large: few are read at once. */
export function uploadDoors(options: HttpOptions): Doors {
  const { gate, uploads, desk } = options;
  const open: MiddlewareHandler<HttpEnv> = (_, next) => (gate.check(), next());
  const fields = fieldsOf(options, desk.limits.maxDocumentBytes + FORM_BYTES);
  return [open, through(uploads), ...fields, admit(options, "documents")];
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

function limited(maxSize: number): MiddlewareHandler<HttpEnv> {
  return bodyLimit({
    maxSize,
    onError: (c) =>
      errorResponse(
        c as Context<HttpEnv>,
        413,
        `Invalid request: the body exceeds ${maxSize} bytes`,
      ),
  });
}
