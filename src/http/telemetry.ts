/**
 * Spans of requests where Deno's OpenTelemetry is on (OTEL_DENO=true); nothing where it is not.
 *
 * The runtime starts a span of its own for every request, with the whole address in it: a query may hold a text or a
 * key, and an attribute that is set cannot be taken back. So that span is dropped before it ends, which is when it
 * would be sent, and one without the query takes its place. It is found by its symbol's name alone.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Context, ROOT_CONTEXT, type Span, SpanKind, trace } from "@opentelemetry/api";

const NATIVE = "kOtelSpan";
const TRACE_PARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** Starts the span of a request; it ends with the response. Undefined where telemetry is off. */
export function requestSpan(incoming: IncomingMessage, outgoing: ServerResponse): Span | undefined {
  const symbol = Object.getOwnPropertySymbols(outgoing).find((s) => s.description === NATIVE);
  const slots = outgoing as unknown as Record<symbol, unknown>;
  if (symbol === undefined || !slots[symbol]) return undefined;
  slots[symbol] = undefined;
  const method = incoming.method ?? "GET";
  const span = trace.getTracer("moqe").startSpan(method, {
    kind: SpanKind.SERVER,
    attributes: {
      "http.request.method": method,
      "url.scheme": "http",
      "url.path": (incoming.url ?? "/").split("?")[0]!,
    },
  }, parentOf(incoming.headers["traceparent"]));
  outgoing.once("close", () => {
    span.setAttribute("http.response.status_code", outgoing.statusCode);
    span.end();
  });
  return span;
}

/** The caller's span, as the W3C header names it. */
function parentOf(header: string | string[] | undefined): Context {
  const match = typeof header === "string" ? TRACE_PARENT.exec(header) : null;
  if (match === null) return ROOT_CONTEXT;
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId: match[1]!,
    spanId: match[2]!,
    traceFlags: parseInt(match[3]!, 16),
    isRemote: true,
  });
}
