/** The block fetcher: one flight a block, hashes, the ledger, cancellation. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { Ledger } from "../../src/base/ledger.ts";
import {
  type ByteRange,
  noFetches,
  type ObjectStore,
  type ReadOptions,
} from "../../src/store/contract.ts";
import { StoreFetcher } from "../../src/store/fetcher.ts";
import { HttpStore } from "../../src/store/http_store.ts";
import { testObject } from "../support/blocks.ts";
import { type Fault, hostileStore } from "../support/hostile_store.ts";

/** Longer than the gap over which neighbours share a request. */
const LENGTH = 40_000;
const object = testObject(16, LENGTH);
const manifest = { objects: [{ name: object.name, bytes: object.bytes.length }] };
/** Every second block, so that each needs a request of its own. */
const ref = (i: number) => object.refs[2 * i]!;
const blockBytes = (i: number) => object.bytes.slice(2 * i * LENGTH, (2 * i + 1) * LENGTH);

/** A store whose reads end when the test says so. */
class HeldStore implements ObjectStore {
  readonly origin = "held";
  readonly reads: { range: ByteRange; options: ReadOptions; finish: () => void }[] = [];

  readRange(_: string, range: ByteRange, options: ReadOptions = {}) {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array<ArrayBuffer>>();
    const finish = () => resolve(object.bytes.slice(range.offset, range.offset + range.length));
    options.signal?.addEventListener("abort", () => reject(new Error("aborted")));
    this.reads.push({ range, options, finish });
    return promise;
  }

  readAll(): Promise<Uint8Array<ArrayBuffer>> {
    throw new Error("not used");
  }
}

/** Lets everything run that does not wait for the test. */
const settle = () => new Promise<void>((resolve) => setTimeout(resolve, 5));
const ledgerOf = (hostBytes: number) => new Ledger({ gpuBytes: 0, hostBytes });
const lines = (ledger: Ledger) => {
  const { fetching, verified } = ledger.snapshot().host.lines;
  return { fetching, verified };
};

Deno.test("a block asked for thrice is read once, and its bytes held until the last release", async () => {
  const store = new HeldStore(), ledger = ledgerOf(1e6);
  const fetcher = new StoreFetcher(store, manifest, ledger);
  const three = [ref(1), ref(1), ref(1)].map((r) => fetcher.fetch(r));
  await settle();
  assertEquals(store.reads.length, 1);
  assertEquals(lines(ledger), { fetching: LENGTH, verified: 0 });
  store.reads[0]!.finish();
  const blocks = await Promise.all(three);
  assertEquals(blocks[2]!.bytes, blockBytes(1));
  assertEquals(lines(ledger), { fetching: 0, verified: LENGTH });
  const late = await fetcher.fetch(ref(1));
  assertEquals(store.reads.length, 1, "a held block is shared");
  for (const block of [...blocks, late]) {
    assertEquals(lines(ledger).verified, LENGTH);
    block.release();
    block.release();
  }
  assertEquals(lines(ledger), { fetching: 0, verified: 0 });
  assertEquals(fetcher.stats(), {
    ...noFetches(),
    requests: 1,
    bytes: LENGTH,
    blocks: 1,
    joined: 3,
  });
});

Deno.test("no more reads are under way than allowed", async () => {
  const store = new HeldStore();
  const fetcher = new StoreFetcher(store, manifest, ledgerOf(1e6), { concurrency: 2 });
  const all = [0, 1, 2, 3].map((i) => fetcher.fetch(ref(i)));
  for (let done = 0; done < 4; done++) {
    await settle();
    assertEquals(store.reads.length, Math.min(4, done + 2));
    store.reads[done]!.finish();
  }
  (await Promise.all(all)).forEach((b) => b.release());
});

Deno.test("a wrong hash is read again past caches; twice wrong never gets out", async () => {
  for (const times of [1, 2]) {
    const server = hostileStore(
      { [object.name]: object.bytes },
      (n): Fault => n < times ? { kind: "flip" } : { kind: "none" },
    );
    const ledger = ledgerOf(1e6);
    const fetcher = new StoreFetcher(new HttpStore(new URL(server.url)), manifest, ledger);
    if (times === 1) {
      const block = await fetcher.fetch(ref(3));
      assertEquals(block.bytes, blockBytes(3));
      block.release();
    } else {
      const error = await assertRejects(() => fetcher.fetch(ref(3)), MoqeError);
      assertEquals(error.code, "corrupt");
      assertStringIncludes(error.message, object.name);
    }
    assertEquals(server.seen.map((s) => s.noCache), [false, true]);
    assertEquals(fetcher.stats().refused, times);
    assertEquals(lines(ledger), { fetching: 0, verified: 0 });
    await server.close();
  }
});

Deno.test("retries of the store are counted", async () => {
  const server = hostileStore(
    { [object.name]: object.bytes },
    (n): Fault => n === 0 ? { kind: "reset" } : { kind: "none" },
  );
  const store = new HttpStore(new URL(server.url), { retryMs: 1 });
  const fetcher = new StoreFetcher(store, manifest, ledgerOf(1e6));
  (await fetcher.fetch(ref(0))).release();
  assertEquals([fetcher.stats().requests, fetcher.stats().retries], [1, 1]);
  await server.close();
});

Deno.test("one waiter that leaves does not end the read, the last one does", async () => {
  const store = new HeldStore(), ledger = ledgerOf(1e6);
  const fetcher = new StoreFetcher(store, manifest, ledger);
  const first = new AbortController(), second = new AbortController();
  const a = assertRejects(() => fetcher.fetch(ref(0), { signal: first.signal }), MoqeError);
  const b = assertRejects(() => fetcher.fetch(ref(0), { signal: second.signal }), MoqeError);
  await settle();
  first.abort();
  assertEquals((await a).code, "cancelled");
  assertEquals(store.reads[0]!.options.signal!.aborted, false);
  second.abort();
  assertEquals((await b).code, "cancelled");
  assertEquals(store.reads[0]!.options.signal!.aborted, true);
  await settle();
  assertEquals(lines(ledger), { fetching: 0, verified: 0 });
  const again = fetcher.fetch(ref(0));
  await settle();
  assertEquals(store.reads.length, 2, "a cancelled block can be asked for again");
  store.reads[1]!.finish();
  (await again).release();
  await assertRejects(() => fetcher.fetch(ref(0), { signal: first.signal }), MoqeError);
});

Deno.test("a fetch that waits for its turn is cancelled without a read", async () => {
  const store = new HeldStore();
  const fetcher = new StoreFetcher(store, manifest, ledgerOf(1e6), { concurrency: 1 });
  const busy = fetcher.fetch(ref(0));
  const abort = new AbortController();
  const waiting = assertRejects(() => fetcher.fetch(ref(1), { signal: abort.signal }), MoqeError);
  await settle();
  abort.abort();
  assertEquals((await waiting).code, "cancelled");
  store.reads[0]!.finish();
  (await busy).release();
  await settle();
  assertEquals(store.reads.length, 1);
});

Deno.test("without room a fetch waits for others to be released", async () => {
  const store = new HeldStore(), ledger = ledgerOf(2 * LENGTH);
  const fetcher = new StoreFetcher(store, manifest, ledger);
  const all = [0, 1, 2].map((i) => fetcher.fetch(ref(i)));
  await settle();
  assertEquals(store.reads.length, 2);
  store.reads.forEach((r) => r.finish());
  const first = await all[0]!;
  await settle();
  assertEquals(store.reads.length, 2, "verified bytes still count");
  first.release();
  await settle();
  assertEquals(store.reads.length, 3);
  assertEquals(ledger.snapshot().host.usedBytes, 2 * LENGTH);
  store.reads[2]!.finish();
  (await all[1]!).release();
  (await all[2]!).release();
  assertEquals(ledger.snapshot().host, {
    ...ledger.snapshot().host,
    usedBytes: 0,
    peakBytes: 2 * LENGTH,
  });
});

Deno.test("a block that cannot fit is over_budget at once, or after a while behind held blocks", async () => {
  const store = new HeldStore();
  const small = new StoreFetcher(store, manifest, ledgerOf(LENGTH - 1));
  const error = await assertRejects(() => small.fetch(ref(0)), MoqeError, "raise --host-memory");
  assertEquals(error.code, "over_budget");
  const one = new StoreFetcher(store, manifest, ledgerOf(LENGTH), { roomTimeoutMs: 40 });
  const held = one.fetch(ref(0));
  await settle();
  store.reads[0]!.finish();
  const block = await held;
  const late = await assertRejects(() => one.fetch(ref(1)), MoqeError);
  assertEquals(late.code, "over_budget");
  block.release();
  const next = one.fetch(ref(1));
  await settle();
  assert(store.reads.length === 2, "a refusal leaves nothing behind");
  store.reads[1]!.finish();
  (await next).release();
});

Deno.test("a store that fails fails the fetch and gives its bytes back", async () => {
  const server = hostileStore({});
  const ledger = ledgerOf(1e6);
  const fetcher = new StoreFetcher(new HttpStore(new URL(server.url)), manifest, ledger);
  for (let i = 0; i < 2; i++) {
    const error = await assertRejects(() => fetcher.fetch(ref(0)), MoqeError);
    assertEquals(error.code, "unavailable");
  }
  assertEquals([fetcher.stats().failed, fetcher.stats().failedBy], [2, { unavailable: 2 }]);
  assertEquals(lines(ledger), { fetching: 0, verified: 0 });
  await server.close();
});
