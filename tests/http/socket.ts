/** An application of a double behind a real socket, and a client that writes what bytes it likes. */
import { assertEquals } from "@std/assert";
import type { Gate } from "../../src/http/gate.ts";
import type { HttpLimits } from "../../src/http/options.ts";
import { listen, type Listening } from "../../src/http/server.ts";
import { type EngineDouble, testApp } from "./double.ts";
import { after } from "./served.ts";

type TestOptions = NonNullable<Parameters<typeof testApp>[0]>;

/** An application of a double behind a real socket, for one test. */
export async function onSocket(
  test: (listening: Listening, engine: EngineDouble, lines: string[], gate: Gate) => Promise<void>,
  limits: Partial<HttpLimits> = {},
  options: Omit<TestOptions, "limits"> = {},
): Promise<void> {
  const { app, engine, gate, lines } = testApp({
    ...options,
    limits: { maxBodyBytes: 100_000, maxChars: 100_000, ...limits },
  });
  const listening = await listen(
    (r, env) => app.fetch(r, env),
    { host: "127.0.0.1", port: 0 },
    gate,
  );
  try {
    await test(listening, engine, lines, gate);
  } finally {
    engine.release();
    assertEquals(await listening.drain(2000), true);
  }
}

/** Writes bytes to the service and reads what comes until the connection ends, or hangs up after `waitMs`. */
export async function raw(url: string, text: string, waitMs = 30_000): Promise<string> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(url).port) });
  const decoder = new TextDecoder();
  let answer = "";
  const read = async () => {
    for await (const chunk of conn.readable) answer += decoder.decode(chunk);
  };
  const writer = conn.writable.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await Promise.race([read().catch(() => {}), after(waitMs)]);
  try {
    conn.close();
  } catch {
    // The service closed it.
  }
  return answer;
}
