/** A request's fields from JSON, form and query: one shape for every route that reads a body. */
import type { Context, MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { MoqeError } from "../base/errors.ts";
import { RequestError } from "./errors.ts";
import type { HttpEnv } from "./options.ts";

/** Fields as they came: a repeated one is an array, an uploaded file is a File. */
export type Fields = Readonly<Record<string, unknown>>;

/** What a body may be. */
export interface BodyBounds {
  /** Bytes; more are refused with 413. */
  readonly maxBytes: number;
  /** Time for all of it to arrive, then 408: nobody holds a place of the gate by sending slowly. */
  readonly timeoutMs: number | undefined;
}

/** Reads the fields once, for access control and the handler. */
export function readFields({ maxBytes, timeoutMs }: BodyBounds): MiddlewareHandler<HttpEnv> {
  const limited = bodyLimit({
    maxSize: maxBytes,
    onError: () => {
      throw new RequestError(413, `Invalid request: the body exceeds ${maxBytes} bytes`);
    },
  });
  return async (c, next) => {
    // The limit reads a chunked body itself, so that the time is of both together.
    let body: Fields = {};
    const read = async () => void (body = await bodyFields(c));
    await inTime(limited(c, read), timeoutMs);
    c.set("fields", { ...collect(queryPairs(c)), ...body });
    await next();
  };
}

async function inTime<T>(body: Promise<T>, timeoutMs: number | undefined): Promise<T> {
  if (timeoutMs === undefined) return await body;
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const seconds = timeoutMs / 1000;
    late.reject(
      new RequestError(408, `Request timeout: the body did not arrive within ${seconds} s`),
    );
  }, timeoutMs);
  try {
    return await Promise.race([body, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** A field's text; the last one of a repeated field. Undefined where it is missing, empty or no text. */
export function textField(fields: Fields, ...names: string[]): string | undefined {
  for (const name of names) {
    const value = lastOf(fields[name]);
    if (typeof value === "string" && value !== "") return value;
  }
  return undefined;
}

/** The fields with the last value of each repeated one, but for those that are lists, and without empty ones. */
export function scalars(fields: Fields, lists: readonly string[] = []): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    const one = lists.includes(name) ? value : lastOf(value);
    // A form sends an empty field where a JSON client sends none.
    if (one !== "" && one !== null && one !== undefined) kept[name] = one;
  }
  return kept;
}

function lastOf(value: unknown): unknown {
  return Array.isArray(value) ? value.at(-1) : value;
}

function queryPairs(c: Context<HttpEnv>): [string, unknown][] {
  return Object.entries(c.req.queries()).flatMap(([k, vs]) =>
    vs.map((v): [string, unknown] => [k, v])
  );
}

async function bodyFields(c: Context<HttpEnv>): Promise<Fields> {
  if (c.req.method === "GET" || c.req.method === "HEAD") return {};
  const encoding = c.req.header("Content-Encoding") ?? "identity";
  if (encoding.toLowerCase() !== "identity") {
    throw new RequestError(415, "Invalid request: send the body without Content-Encoding");
  }
  const type = (c.req.header("Content-Type") ?? "").split(";")[0]!.trim().toLowerCase();
  if (type === "application/json" || type.endsWith("+json")) return jsonFields(await bodyText(c));
  if (type === "application/x-www-form-urlencoded") {
    return collect([...new URLSearchParams(await bodyText(c))]);
  }
  if (type === "multipart/form-data") return collect([...await multipart(c)]);
  if (await bodyText(c) === "") return {};
  throw new RequestError(
    415,
    "Invalid request: send application/json, application/x-www-form-urlencoded or multipart/form-data",
  );
}

/** The body; it can fail to come only where the client left. */
async function bodyText(c: Context<HttpEnv>): Promise<string> {
  try {
    return await c.req.text();
  } catch (cause) {
    throw new MoqeError("cancelled", {
      action: "read the request",
      rule: "the client left",
      cause,
    });
  }
}

function jsonFields(body: string): Fields {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    throw new RequestError(400, "Invalid JSON format");
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new RequestError(400, "Invalid JSON format");
  }
  return json as Fields;
}

async function multipart(c: Context<HttpEnv>): Promise<FormData> {
  try {
    return await c.req.formData();
  } catch {
    throw new RequestError(400, "Invalid request: the form cannot be read");
  }
}

function collect(pairs: Iterable<[string, unknown]>): Fields {
  const fields: Record<string, unknown> = Object.create(null);
  const repeated = new Set<string>();
  for (const [key, value] of pairs) {
    if (repeated.has(key)) (fields[key] as unknown[]).push(value);
    else if (key in fields) {
      fields[key] = [fields[key], value];
      repeated.add(key);
    } else fields[key] = value;
  }
  return fields;
}
