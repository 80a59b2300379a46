/** Quotas of streams: what was told is counted, what was not is taken back. */
import { assertEquals } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import type { TranslateOptions, TranslateParams } from "../../src/engine/protocol.ts";
import { Access } from "../../src/http/access/access.ts";
import { hashKey, parseKeys } from "../../src/http/access/keys.ts";
import { UsageMeter } from "../../src/http/access/meter.ts";
import { EngineDouble, post, testApp } from "./double.ts";

const SECRET = "secret";
const headers = { "Content-Type": "application/json", "X-API-Key": SECRET };
const events = { ...headers, Accept: "text/event-stream" };

function keyed(charactersPerMonth: number): Access {
  const record = { name: "shop", sha256: hashKey(SECRET), charactersPerMonth };
  const keys = parseKeys(JSON.stringify({ keys: [record] }), "the test");
  return new Access({ keys, anonymousPerMinute: 0, meter: new UsageMeter() });
}

/** Makes an engine tell pieces of its first sentences, then wait for the client to leave or fail. */
function telling(engine: EngineDouble, pieces: readonly string[], failure?: Error): void {
  engine.translate = (params: TranslateParams, { signal, onText }: TranslateOptions = {}) => {
    engine.calls.push(params);
    for (const [i, piece] of pieces.entries()) onText?.(i, piece);
    return new Promise((_, reject) => {
      if (failure !== undefined) return reject(failure);
      const gone = new MoqeError("cancelled", { action: "translate", rule: "the client left" });
      signal?.addEventListener("abort", () => reject(gone));
    });
  };
}

const ask = (q: string | string[], init: RequestInit = {}) =>
  post({ q, source: "en", target: "de", beams: 1 }, { headers: events, ...init });

Deno.test("a client that leaves a stream pays for the texts of which it was told something", async () => {
  const access = keyed(1000);
  const { app, engine, gate } = testApp({ access });
  telling(engine, ["Öffnen"]);
  const left = new AbortController();
  const response = await app.request(
    ask(["Open the file", "Close"], { signal: left.signal }),
  );
  await engine.called(1);
  assertEquals(access.meter.used("shop"), 18);
  left.abort();
  await response.text();
  assertEquals([access.meter.used("shop"), gate.inFlight], [13, 0]);
});

Deno.test("a stream that fails before a word was told costs nothing", async () => {
  const access = keyed(1000);
  const { app, engine } = testApp({ access });
  const failure = new MoqeError("unavailable", { action: "translate", rule: "the store is down" });
  telling(engine, [], failure);
  // The break before the sentence is told at once.
  const response = await app.request(ask("\n\nOpen the file"));
  assertEquals((await response.text()).match(/^event: \w+$/gm), ["event: delta", "event: error"]);
  assertEquals(access.meter.used("shop"), 0);
});

Deno.test("without a stream a request that was left costs nothing", async () => {
  const access = keyed(1000);
  const { app, engine } = testApp({ access });
  telling(engine, []);
  const left = new AbortController();
  const answer = app.request(ask("Open the file", { headers, signal: left.signal }));
  await engine.called(1);
  left.abort();
  assertEquals([(await answer).status, access.meter.used("shop")], [499, 0]);
});

Deno.test("texts that are beyond the quota together are refused whole, in a stream as without one", async () => {
  const access = keyed(12);
  const { app, engine } = testApp({ access });
  const q = ["Open the", "file"];
  assertEquals((await app.request(ask(q, { headers }))).status, 200);
  const plain = await app.request(ask(["a", "b"], { headers }));
  const refusal = await plain.json();
  assertEquals([plain.status, access.meter.used("shop")], [429, 12]);
  const stream = await (await app.request(ask("b"))).text();
  assertEquals(JSON.parse(/^data: (.*)$/m.exec(stream)![1]!), { ...refusal, status: 429 });
  const empty = keyed(12);
  const other = testApp({ access: empty });
  assertEquals((await other.app.request(ask(["Open the", "files"], { headers }))).status, 429);
  assertEquals([empty.meter.used("shop"), engine.calls.length], [0, 1]);
});
