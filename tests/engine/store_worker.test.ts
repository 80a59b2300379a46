/** Remote stores behind their Worker: the same bytes and answers, faults and all, with requests on another thread. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { loadEngine } from "../../src/engine/load.ts";
import type { EngineOptions } from "../../src/engine/protocol.ts";
import { openStorePort } from "../../src/engine/store_port.ts";
import { type Fault, hostileStore } from "../support/hostile_store.ts";

const MIB = 2 ** 20;
const FOLDER = new URL("../../models/tiny-en-de-fr-es/", import.meta.url).pathname;

const options = (model: string): EngineOptions => ({
  model,
  device: "cpu",
  gpuMemory: 64 * MIB,
  hostMemory: 2048 * MIB,
  threads: 1,
  maxBatchTokens: 64,
  maxQueue: 100,
  maxSourceTokens: 32,
  // A small arena: experts are fetched again and again.
  maxSlots: 8,
});

const NAME = `${"a".repeat(64)}.moqe`;

const params = {
  texts: ["The door is open.", "We saw two old ships."],
  source: "eng_Latn",
  target: "deu_Latn",
  beams: 2,
  lengthPenalty: 1,
  maxTokens: 16,
  alternatives: 0,
};

async function files(): Promise<Record<string, Uint8Array<ArrayBuffer>>> {
  const all: Record<string, Uint8Array<ArrayBuffer>> = {};
  for await (const e of Deno.readDir(FOLDER)) all[e.name] = await Deno.readFile(FOLDER + e.name);
  return all;
}

Deno.test("a model over HTTP answers as from its folder, also when the store misbehaves", async () => {
  const near = await loadEngine(options(FOLDER), () => {});
  const expected = await near.translate(params);
  await near.close();
  const faults: Fault[] = [{ kind: "flip" }, { kind: "status", status: 503, retryAfter: "0" }, {
    kind: "truncate",
  }];
  let misbehave = false;
  const server = hostileStore(
    await files(),
    (n) => misbehave && n % 3 === 2 ? faults[n % faults.length]! : { kind: "none" },
  );
  try {
    const far = await loadEngine(options(server.url), () => {});
    misbehave = true;
    assertEquals(await far.translate(params), expected);
    const { fetch, ledger } = far.stats();
    assert(fetch.requests > 0 && fetch.retries + fetch.refused > 0, "faults were met");
    assertEquals([ledger.host.lines.fetching, ledger.host.lines.verified], [0, 0]);
    await far.close();
  } finally {
    await server.close();
  }
});

Deno.test("the store's Worker: hashes, errors in their own words, cancellation, its end", async () => {
  assertEquals(openStorePort([FOLDER]), undefined, "a folder needs none");
  const content = new Uint8Array(1000).map((_, i) => i);
  let fault: Fault = { kind: "none" };
  const server = hostileStore({ [NAME]: content }, () => fault);
  const port = openStorePort([server.url])!;
  try {
    const store = port.open(server.url);
    const [first, second] = await store.readHashed!(NAME, [
      { offset: 10, length: 20 },
      { offset: 50, length: 30 },
    ]);
    assertEquals(first!.bytes, content.slice(10, 30));
    assertEquals(second!.bytes, content.slice(50, 80));
    const digest = await crypto.subtle.digest("SHA-256", content.slice(50, 80));
    assertEquals(second!.sha256, new Uint8Array(digest).toHex());
    assertEquals(await store.readAll(NAME, 2000), content);
    const missing = await assertRejects(
      () => store.readRange(`${"b".repeat(64)}.moqe`, { offset: 0, length: 1 }),
      MoqeError,
    );
    assertEquals(missing.code, "unavailable");
    fault = { kind: "stall" };
    const stop = new AbortController();
    const stalled = store.readRange(NAME, { offset: 0, length: 9 }, { signal: stop.signal });
    setTimeout(() => stop.abort(), 20);
    assertEquals((await assertRejects(() => stalled, MoqeError)).code, "cancelled");
    const cut = store.readRange(NAME, { offset: 0, length: 9 });
    setTimeout(() => port.close(), 20);
    assertEquals((await assertRejects(() => cut, MoqeError)).code, "unavailable");
    await assertRejects(() => store.readAll(NAME, 2000), MoqeError, "it was closed");
  } finally {
    port.close();
    await server.close();
  }
});

Deno.test("a Worker that dies takes its reads with it; the next one has another, and no count is lost", async () => {
  const content = new Uint8Array(100).map((_, i) => i);
  const busy: Fault = { kind: "status", status: 503, retryAfter: "0" };
  let faults: Fault[] = [busy];
  const server = hostileStore({ [NAME]: content }, () => faults.shift() ?? { kind: "none" });
  const port = openStorePort([server.url])!;
  try {
    const store = port.open(server.url), stranger = port.open(`${server.url}elsewhere`);
    const range = { offset: 3, length: 5 };
    assertEquals(await store.readRange(NAME, range), content.slice(3, 8));
    faults = [{ kind: "stall" }];
    const waiting = store.readRange(NAME, range);
    // An address that the Worker was not opened with is a fault of its caller's that the Worker does not survive.
    const fatal = stranger.readRange(NAME, range);
    for (const read of [waiting, fatal]) {
      assertEquals((await assertRejects(() => read, MoqeError)).code, "unavailable");
    }
    faults = [busy];
    assertEquals(await store.readRange(NAME, range), content.slice(3, 8));
    assertEquals(store.retries!().server + store.retries!().throttled, 2);
  } finally {
    port.close();
    await server.close();
  }
});
