/** POST /translate with Accept: text/event-stream: the translation as it comes. */
import type { Context } from "hono";
import { type SSEStreamingApi, streamSSE } from "hono/streaming";
import { errorText } from "../../base/errors.ts";
import type { Engine } from "../../engine/protocol.ts";
import { statusOf } from "../errors.ts";
import type { HttpEnv, HttpOptions } from "../options.ts";
import { type TextAnswer, type TextJob, translateFor } from "../texts.ts";

/** Silence after which a comment is sent, so that proxies keep the connection. */
const PING_MS = 15_000;

/** True for a client that wants events. */
export function wantsEvents(c: Context<HttpEnv>): boolean {
  return (c.req.header("Accept") ?? "").toLowerCase().includes("text/event-stream");
}

/**
 * Answers with events: `delta` {index, text}, in order for each text; then `done` with the body of a plain answer,
 * whose texts are the deltas joined; or `error` {error, status}. What is wrong with the request itself is a plain 400:
 * it is thrown before the stream begins. A client that leaves stops the work at once.
 */
export function answerWithEvents(
  c: Context<HttpEnv>,
  engine: Engine,
  options: HttpOptions,
  job: TextJob,
  answerOf: (answers: TextAnswer[]) => unknown,
): Response {
  c.set("streams", true);
  const leave = c.get("leave");
  // A proxy that gathers an answer before it sends it on would undo the stream.
  c.header("X-Accel-Buffering", "no");
  return streamSSE(c, async (stream) => {
    const start = performance.now();
    const ping = setInterval(() => stream.write(": waiting\n\n"), PING_MS);
    try {
      await send(c, stream, engine, options, job, answerOf);
    } finally {
      clearInterval(ping);
      leave();
      // The access log's line came with the headers; what the stream was is known only now.
      const ms = Math.round(performance.now() - start);
      options.log.info("stream ended", { requestId: c.get("requestId"), ms, ...c.get("facts") });
    }
  });
}

async function send(
  c: Context<HttpEnv>,
  stream: SSEStreamingApi,
  engine: Engine,
  options: HttpOptions,
  job: TextJob,
  answerOf: (answers: TextAnswer[]) => unknown,
): Promise<void> {
  const event = (event: string, data: unknown) =>
    stream.writeSSE({ event, data: JSON.stringify(data) });
  try {
    const onDelta = (index: number, text: string) => void event("delta", { index, text });
    const answers = await translateFor(c, engine, options, job, onDelta);
    await event("done", answerOf(answers));
  } catch (thrown) {
    const status = statusOf(thrown, c);
    if (status >= 500 && status !== 503) {
      options.log.error("stream failed", {
        requestId: c.get("requestId"),
        error: errorText(thrown),
      });
    }
    const id = c.get("requestId");
    const shown = status === 500 ? `internal error; the log has it under request ${id}` : undefined;
    await event("error", { error: shown ?? errorText(thrown), status });
  }
}
