/**
 * Web requests and responses over node:http.
 *
 * Deno.serve would be the plain choice, but in Deno 2.9.6 its request.signal does not abort when a client hangs
 * up after a body that came in more than one read, so the work of clients that left would go on. The socket's
 * own `close`, which node:http tells, always comes.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
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

/** A listener for node's server that speaks to a handler of web requests. */
export function webListener(handler: WebHandler) {
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
      await send(await handler(request, env), incoming, outgoing);
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

async function send(
  response: Response,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  // Of a body that was refused, the rest is not read: the connection ends with the answer.
  if (!incoming.complete) outgoing.setHeader("Connection", "close");
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  if (response.body === null) return void outgoing.end();
  await pipeline(Readable.fromWeb(response.body as never), outgoing);
}
