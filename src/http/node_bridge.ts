/**
 * Web requests and responses over node:http.
 *
 * Deno.serve would be the plain choice, but in Deno 2.9.6 its request.signal does not abort when a client hangs
 * up after a body that came in more than one read, so the work of clients that left would go on. The socket's
 * own `close`, which node:http tells, always comes.
 */
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { Span } from "@opentelemetry/api";
import { requestSpan } from "./telemetry.ts";

/**
 * Answers a request; the request's signal aborts when the client leaves before it has the whole answer.
 * `env.peer` is the address at the other end of the connection, `env.span` the request's span where there is one.
 */
export type WebHandler = (
  request: Request,
  env: { peer: string; span: Span | undefined },
) => Response | Promise<Response>;

/**
 * A listener for node's server that speaks to a handler of web requests. A client that takes nothing of its answer for
 * `stallMs` is hung up on.
 */
export function webListener(handler: WebHandler, stallMs: number) {
  return async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const left = new AbortController();
    const span = requestSpan(incoming, outgoing);
    outgoing.on("close", () => {
      if (!outgoing.writableFinished) left.abort(new DOMException("client left", "AbortError"));
    });
    try {
      const request = webRequest(incoming, left.signal);
      if (request === undefined) return void outgoing.writeHead(400).end();
      const env = { peer: incoming.socket.remoteAddress ?? "unknown", span };
      const client = { left: left.signal, stallMs };
      await send(await handler(request, env), incoming, outgoing, client);
    } catch {
      // The handler answers every error of its own; what fails here is the connection.
      outgoing.destroy();
    }
  };
}

/** The request, or undefined for one that no URL or method can stand for. */
function webRequest(incoming: IncomingMessage, signal: AbortSignal): Request | undefined {
  const method = incoming.method ?? "GET";
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    for (const one of [value].flat()) if (one !== undefined) headers.append(name, one);
  }
  const body = method === "GET" || method === "HEAD"
    ? null
    : Readable.toWeb(incoming) as ReadableStream<Uint8Array>;
  try {
    const url = addressOf(incoming.url ?? "/");
    return new Request(url, { method, headers, body, signal });
  } catch {
    return undefined;
  }
}

/**
 * Routes look at path and query alone, so the host that a client claims is left out. The path is read as proxies read
 * it, whose rules may keep some from outside: neither //host/cache nor /x\..\cache is /cache.
 */
function addressOf(target: string): URL {
  if (!target.startsWith("/")) return new URL(target, "http://localhost");
  return new URL(`http://localhost${target.replaceAll("\\", "%5C")}`);
}

/** Who is answered. */
interface Client {
  /** Aborts when it leaves. */
  readonly left: AbortSignal;
  /** Time for it to take something of the answer. */
  readonly stallMs: number;
}

/** Headers of the connection, not of the answer: HTTP/1.0 has no chunks, and a client may want the connection closed. */
const HOP_BY_HOP = ["connection", "transfer-encoding"];

async function send(
  response: Response,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  client: Client,
): Promise<void> {
  // Of a body that was refused, the rest is not read: the connection ends with the answer.
  if (!incoming.complete) outgoing.setHeader("Connection", "close");
  const headers = [...response.headers].filter(([name]) => !HOP_BY_HOP.includes(name));
  outgoing.writeHead(response.status, Object.fromEntries(headers));
  for await (const chunk of response.body ?? []) await write(outgoing, chunk, client);
  outgoing.end();
}

/** Bytes of which a client must have taken some in time. */
const PIECE_BYTES = 65_536;

/**
 * Writes as fast as the client reads. Rejects when it left, or took nothing for so long: whoever asks and does not read
 * would hold the answer in memory, and a stream's place, for as long as it likes.
 */
async function write(
  outgoing: ServerResponse,
  chunk: Uint8Array,
  { left, stallMs }: Client,
): Promise<void> {
  for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
    if (outgoing.write(chunk.subarray(at, at + PIECE_BYTES))) continue;
    const signal = AbortSignal.any([left, AbortSignal.timeout(stallMs)]);
    await once(outgoing, "drain", { signal });
  }
}
