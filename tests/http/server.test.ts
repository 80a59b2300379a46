import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { listen } from "../../src/http/server.ts";
import { testApp } from "./double.ts";
import { after } from "./served.ts";
import { onSocket, raw } from "./socket.ts";

const body = (chars: number) =>
  JSON.stringify({ q: "x".repeat(chars), source: "en", target: "de" });
/** What ends the connection with the answer. */
const LAST = "Connection: close\r\n";
const post = (text: string, headers = "") =>
  `POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${headers}` +
  `Content-Length: ${text.length}\r\n\r\n${text}`;

for (const chars of [10, 500, 4000, 90_000]) {
  Deno.test(`a client that hangs up after a body of ${chars} characters cancels its work`, () =>
    onSocket(async ({ url }, engine, lines) => {
      engine.held = true;
      await raw(url, post(body(chars)), 100);
      for (let i = 0; i < 100 && lines.length === 0; i++) await after(10);
      assertEquals([engine.calls.length, engine.cancelled], [1, 1]);
      assertEquals(JSON.parse(lines[0]!).status, 499);
    }));
}

Deno.test("a client that leaves in the middle of its body is no error of ours", () =>
  onSocket(async ({ url }, engine, lines) => {
    await raw(url, post(body(1000)).slice(0, 600), 100);
    for (let i = 0; i < 100 && lines.length === 0; i++) await after(10);
    assertEquals(engine.calls.length, 0);
    assertEquals([lines.length, JSON.parse(lines[0]!).status], [1, 499]);
  }));

Deno.test("a finished request is never cancelled, and its connection is used again", () =>
  onSocket(async ({ url }, engine, lines) => {
    const answer = await raw(url, post(body(4000)) + post(body(10), LAST));
    assertEquals(answer.match(/HTTP\/1\.1 200 /g)?.length, 2);
    assertEquals([engine.calls.length, engine.cancelled, lines.length], [2, 0, 2]);
  }));

Deno.test("a body over the limit is 413 and the connection ends", () =>
  onSocket(async ({ url }, engine) => {
    const answer = await raw(url, post(body(200_000)).slice(0, 1000));
    assertStringIncludes(answer, "HTTP/1.1 413 ");
    assertStringIncludes(answer.toLowerCase(), "connection: close");
    assertEquals(engine.calls.length, 0);
  }));

Deno.test("a body that comes too slowly is 408, and its place is free again", () =>
  onSocket(async ({ url }, engine, lines, gate) => {
    const bytes = post(body(1000));
    const answers = await Promise.all([
      raw(url, bytes.slice(0, 600)),
      raw(url, bytes.slice(0, 600).replace("/translate", "/v2/usage")),
    ]);
    for (const answer of answers) {
      assertStringIncludes(answer, "HTTP/1.1 408 ");
      assertStringIncludes(answer.toLowerCase(), "connection: close");
      assertStringIncludes(answer, "the body did not arrive within 0.3 s");
    }
    assertEquals([gate.inFlight, engine.calls.length, lines.length], [0, 0, 2]);
    assertEquals((await raw(url, post(body(10), LAST))).slice(9, 12), "200");
  }, { bodyTimeoutMs: 300 }));

Deno.test("HEAD has no body; TRACE and garbage are 400 and the service goes on", () =>
  onSocket(async ({ url }) => {
    const head = await raw(url, `HEAD /health HTTP/1.1\r\nHost: x\r\n${LAST}\r\n`);
    assertEquals([head.startsWith("HTTP/1.1 200 "), head.endsWith("\r\n\r\n")], [true, true]);
    for (const text of [`TRACE / HTTP/1.1\r\nHost: x\r\n${LAST}\r\n`, "what is this\r\n\r\n"]) {
      const answer = await raw(url, text);
      assert(answer === "" || answer.startsWith("HTTP/1.1 400 "), answer);
    }
    const health = await fetch(`${url}/health`);
    assertEquals([health.status, await health.json()], [200, { status: "ok" }]);
  }));

Deno.test("a path is what a proxy in front sees: no host in it, no backslash that is a slash", () =>
  onSocket(async ({ url }) => {
    const statusOf = async (target: string) =>
      (await raw(url, `GET ${target} HTTP/1.1\r\nHost: a b\r\n${LAST}\r\n`)).slice(9, 12);
    for (const target of ["//evil.example/health", "/\\evil.example/health", "/x\\..\\health"]) {
      assertEquals(await statusOf(target), "404", target);
    }
    assertEquals(await statusOf("/health?a=b"), "200");
    assertEquals(await statusOf("http://evil.example/health"), "200");
  }));

Deno.test("drain ends with idle kept-alive connections, and cuts off what takes too long", async () => {
  const { app, engine, gate } = testApp();
  const listening = await listen(
    (r, env) => app.fetch(r, env),
    { host: "127.0.0.1", port: 0 },
    gate,
  );
  await (await fetch(`${listening.url}/health`)).text();
  engine.held = true;
  const init = { method: "POST", headers: { "Content-Type": "application/json" }, body: body(5) };
  const cut = fetch(`${listening.url}/translate`, init).then((r) => r.text());
  cut.catch(() => {});
  await engine.called(1);
  assertEquals(await listening.drain(100), false);
  await assertRejects(() => cut);
});

Deno.test("a port that is taken and an address that is not ours are told with a remedy", async () => {
  await onSocket(async ({ url }) => {
    const { app, gate } = testApp();
    const at = (host: string, port: number) => () =>
      listen((r, env) => app.fetch(r, env), { host, port }, gate);
    const port = Number(new URL(url).port);
    await assertRejects(at("127.0.0.1", port), MoqeError, `--port ${port + 1}`);
    await assertRejects(at("192.0.2.1", 0), MoqeError, "no address of this machine");
  });
});

Deno.test("a client that does not read its answer is hung up on, and gives its place back; a slow one is served", async () => {
  const { app, engine, gate } = testApp({
    limits: { maxBodyBytes: 10_000_000, maxChars: 100_000, maxTexts: 64 },
  });
  const at = { host: "127.0.0.1", port: 0 };
  const listening = await listen((r, env) => app.fetch(r, env), at, gate, 2000);
  const q = Array.from({ length: 60 }, (_, i) => `Word ${i} `.padEnd(90_000, "abc "));
  const text = JSON.stringify({ q, source: "en", target: "de" });
  const port = Number(new URL(listening.url).port);
  const ask = async (headers: string) => {
    const conn = await Deno.connect({ hostname: at.host, port });
    const bytes = new TextEncoder().encode(post(text, headers));
    for (let from = 0; from < bytes.length;) from += await conn.write(bytes.subarray(from));
    return conn;
  };
  const stalled = [await ask("Accept: text/event-stream\r\n"), await ask("")];
  await engine.called(1);
  const slow = await ask(LAST);
  const decoder = new TextDecoder(), piece = new Uint8Array(2 ** 20);
  let answer = "";
  for (let n = await slow.read(piece); n !== null; n = await slow.read(piece)) {
    answer += decoder.decode(piece.subarray(0, n), { stream: true });
    await after(50);
  }
  assertStringIncludes(answer, "Word 59 ");
  assert(answer.endsWith("}\r\n0\r\n\r\n"));
  for (let i = 0; i < 200 && gate.inFlight > 0; i++) await after(50);
  assertEquals(gate.inFlight, 0);
  for (const conn of [...stalled, slow]) conn.close();
  assertEquals(await listening.drain(2000), true);
});

Deno.test("a stream of HTTP/1.0 has no chunks, and the connection ends as the client wants it", () =>
  onSocket(async ({ url }) => {
    const events = post(body(10), "Accept: text/event-stream\r\n");
    const old = await raw(url, events.replace("HTTP/1.1", "HTTP/1.0"));
    const [head, stream] = old.split("\r\n\r\n");
    assert(!/^(?:transfer-encoding|connection: keep-alive)/im.test(head!), head);
    assertStringIncludes(stream!, "event: done\n");
    assert(stream!.startsWith("event: delta\n"), stream);
    const last = await raw(url, events.replace("\r\n\r\n", `\r\n${LAST}\r\n`));
    assertStringIncludes(last.toLowerCase(), "\r\nconnection: close\r\n");
  }));
