/** The end of a service: uploads that were accepted are finished, or told to have been cut off. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { listen } from "../../src/http/server.ts";
import { testApp } from "./double.ts";
import { after } from "./served.ts";

/** Longer than the quiet after which a drain takes what is open for idle. */
const LONG_MS = 2600;

const FORM = [
  ["source_lang", "EN"],
  ["target_lang", "DE"],
].map(([name, value]) =>
  `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
)
  .join("") +
  '--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n' +
  "Content-Type: text/plain\r\n\r\nOpen the file.\r\n--b--\r\n";
const HEAD = "POST /v2/document HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" +
  `Content-Type: multipart/form-data; boundary=b\r\nContent-Length: ${FORM.length}\r\n\r\n`;

/** A service with an upload whose first half has come. */
async function halfUploaded() {
  const { app, options, gate } = testApp();
  const address = { host: "127.0.0.1", port: 0 };
  const listening = await listen((r, env) => app.fetch(r, env), address, gate);
  const conn = await Deno.connect({
    hostname: address.host,
    port: Number(new URL(listening.url).port),
  });
  const write = async (text: string) => {
    const writer = conn.writable.getWriter();
    await writer.write(new TextEncoder().encode(text));
    writer.releaseLock();
  };
  const half = FORM.length / 2;
  await write(HEAD + FORM.slice(0, half));
  while (options.uploads.inFlight === 0) await after(5);
  return { listening, conn, rest: () => write(FORM.slice(half)) };
}

async function allOf(conn: Deno.TcpConn): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of conn.readable) text += decoder.decode(chunk, { stream: true });
  return text;
}

Deno.test("a drain waits for an upload that is still coming in", async () => {
  const { listening, conn, rest } = await halfUploaded();
  const drained = listening.drain(30_000);
  const answer = allOf(conn);
  await after(LONG_MS);
  await rest();
  assertStringIncludes(await answer, "HTTP/1.1 200 ");
  assertEquals(await drained, true);
});

Deno.test("a drain that cuts an upload off says so", async () => {
  const { listening, conn } = await halfUploaded();
  const answer = allOf(conn).catch(() => "");
  assertEquals(await listening.drain(LONG_MS), false);
  assertEquals((await answer).includes("200 OK"), false);
});
