/** What the fetcher makes of many blocks and slow or broken origins: shared requests, second requests, mirrors, tiers. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { Ledger } from "../../src/base/ledger.ts";
import type { BlockTier, ObjectStore, VerifiedBlock } from "../../src/store/contract.ts";
import { StoreFetcher } from "../../src/store/fetcher.ts";
import { Hedger } from "../../src/store/hedge.ts";
import { HttpStore } from "../../src/store/http_store.ts";
import type { BlockRef } from "../../src/store/manifest.ts";
import { FetchQueue } from "../../src/store/queue.ts";
import { testObject } from "../support/blocks.ts";
import { type Fault, type HostileStore, hostileStore } from "../support/hostile_store.ts";

const object = testObject(16, 1000);
const manifest = { objects: [{ name: object.name, bytes: object.bytes.length }] };
const files = { [object.name]: object.bytes };
const blockBytes = (i: number) => object.bytes.slice(i * 1000, (i + 1) * 1000);
const QUICK = { retryMs: 1, maxRetryMs: 2, timeoutMs: 500, attempts: 3 };
const httpStore = (server: HostileStore) => new HttpStore(new URL(server.url), QUICK);
const ledgerOf = (hostBytes = 1e6) => new Ledger({ gpuBytes: 0, hostBytes });
const held = (ledger: Ledger) => ledger.snapshot().host.usedBytes;

/** Fetches blocks at once and checks their bytes. */
async function all(fetcher: StoreFetcher, which: number[]): Promise<void> {
  await Promise.all(which.map(async (i) => {
    const block = await fetcher.fetch(object.refs[i]!);
    assertEquals(block.bytes, blockBytes(i));
    block.release();
  }));
}

Deno.test("neighbours asked for in one turn are one request, in whatever order; a far one is another", async () => {
  const server = hostileStore(files);
  const ledger = ledgerOf();
  const fetcher = new StoreFetcher(httpStore(server), manifest, ledger);
  await all(fetcher, [5, 3, 4, 6]);
  assertEquals(server.seen.map((s) => s.range), ["bytes=3000-6999"]);
  assertEquals(fetcher.stats().coalesced, 3);
  // The gap between 0 and 3 is small: cheaper to read than a request.
  await all(fetcher, [0, 3]);
  assertEquals(server.seen.at(-1)!.range, "bytes=0-3999");
  assertEquals([fetcher.stats().requests, fetcher.stats().blocks], [2, 6]);
  assertEquals(held(ledger), 0);
  await server.close();
});

Deno.test("a shared request holds no more than the ledger has, and goes on with the rest", async () => {
  const server = hostileStore(files);
  const ledger = ledgerOf(3500);
  const fetcher = new StoreFetcher(httpStore(server), manifest, ledger);
  await all(fetcher, [0, 1, 2, 3, 4, 5, 6]);
  assert(ledger.snapshot().host.peakBytes <= 3500);
  assertEquals(held(ledger), 0);
  await server.close();
});

Deno.test("one wrong block of a shared request is read again alone, its neighbours are kept", async () => {
  const server = hostileStore(files, (n): Fault => n === 0 ? { kind: "flip" } : { kind: "none" });
  const fetcher = new StoreFetcher(httpStore(server), manifest, ledgerOf());
  await all(fetcher, [0, 1, 2, 3, 4]);
  assertEquals(server.seen.map((s) => s.range), ["bytes=0-4999", "bytes=2000-2999"]);
  assertEquals(fetcher.stats().refused, 1);
  await server.close();
});

Deno.test("a shared request goes on until nobody waits for any of it", async () => {
  const server = hostileStore(files, () => ({ kind: "stall" }));
  const ledger = ledgerOf();
  const fetcher = new StoreFetcher(httpStore(server), manifest, ledger);
  const stop = [new AbortController(), new AbortController()];
  const ends = stop.map((s, i) =>
    assertRejects(() => fetcher.fetch(object.refs[i]!, { signal: s.signal }), MoqeError)
  );
  while (server.seen.length === 0) await new Promise((r) => setTimeout(r, 1));
  stop[0]!.abort();
  assertEquals((await ends[0]!).code, "cancelled");
  assertEquals(held(ledger), 2000, "the request still runs for the other");
  stop[1]!.abort();
  await ends[1];
  while (held(ledger) > 0) await new Promise((r) => setTimeout(r, 1));
  assertEquals(fetcher.stats().cancelled, 2);
  await server.close();
});

Deno.test("blocks fetched ahead go after those that somebody waits for", () => {
  const queue = new FetchQueue<{ ref: BlockRef; ahead: boolean }>();
  const far = testObject(3, 40_000).refs;
  queue.add({ ref: far[0]!, ahead: true });
  queue.add({ ref: far[2]!, ahead: false });
  assertEquals(queue.takeRun(6, 1e9).map((f) => f.ref), [far[2]]);
  assertEquals(queue.takeRun(6, 1e9).map((f) => f.ref), [far[0]]);
});

Deno.test("large neighbours are spread over free requests and joined when there are none", () => {
  const refs = Array.from({ length: 8 }, (_, i) => {
    const length = 5 * 2 ** 20;
    return { object: 0, offset: i * length, length, sha256: String(i) };
  });
  const runs = (free: number) => {
    const queue = new FetchQueue<{ ref: BlockRef; ahead: boolean }>();
    for (const ref of refs) queue.add({ ref, ahead: false });
    const lengths: number[] = [];
    while (queue.length > 0) lengths.push(queue.takeRun(free, 1e9).length);
    return lengths;
  };
  assertEquals(runs(8), [1, 1, 1, 1, 1, 1, 1, 1]);
  assertEquals(runs(1), [6, 2], "no request is over 32 MiB");
});

Deno.test("a request slower than 95 of 100 is sent a second time, and the quicker answer wins", async () => {
  let slow = false;
  const server = hostileStore(files, (): Fault => {
    const stall = slow;
    slow = false;
    return stall ? { kind: "stall" } : { kind: "none" };
  });
  const ledger = ledgerOf();
  const fetcher = new StoreFetcher(httpStore(server), manifest, ledger, { hedgeLeastMs: 200 });
  for (let i = 0; i < 20; i++) await all(fetcher, [i % 16]);
  assertEquals(fetcher.stats().hedges, 0);
  slow = true;
  await all(fetcher, [3, 4]);
  assertEquals(fetcher.stats().hedges, 0, "nothing is known of requests of that size");
  slow = true;
  await all(fetcher, [7]);
  const { hedges, hedgesWon, requests, refused } = fetcher.stats();
  assertEquals([hedges, hedgesWon, requests, refused], [1, 1, 23, 0]);
  while (held(ledger) > 0) await new Promise((r) => setTimeout(r, 1));
  await server.close();
});

Deno.test("hedges are a tenth of the requests at most, however slow the store becomes", () => {
  const hedger = new Hedger({ leastMs: 10 });
  for (let i = 0; i < 12; i++) {
    assertEquals(hedger.delayMs(1000), undefined);
    hedger.record(1000, 5);
  }
  assertEquals(hedger.delayMs(1000), 10);
  let sent = 0;
  for (let i = 0; i < 1000; i++) {
    hedger.record(1000, 500);
    if (hedger.take()) sent++;
  }
  assert(sent > 90 && sent <= 103, String(sent));
  assertEquals(hedger.delayMs(1000), 500);
});

Deno.test("what the origin has wrong or not at all comes from a mirror, in their order", async () => {
  const gone = hostileStore({}), wrong = hostileStore(files, () => ({ kind: "flip" }));
  const right = hostileStore(files);
  for (const origin of [gone, wrong]) {
    const fetcher = new StoreFetcher(httpStore(origin), manifest, ledgerOf(), {
      mirrors: [httpStore(wrong), httpStore(right)],
    });
    await all(fetcher, [2]);
    assertEquals(fetcher.stats().fromMirrors, 1);
    assertEquals(fetcher.stats().refused, origin === gone ? 1 : 3);
    assertEquals(right.seen.at(-1)!.noCache, true);
  }
  const none = new StoreFetcher(httpStore(gone), manifest, ledgerOf(), {
    mirrors: [httpStore(wrong)],
  });
  const error = await assertRejects(
    () => none.fetch(object.refs[0]!),
    MoqeError,
    "any of 1 mirrors",
  );
  assertEquals([error.code, none.stats().failed], ["corrupt", 1]);
  for (const server of [gone, wrong, right]) await server.close();
});

/** A tier that keeps what it is offered, and may spoil it. */
class MapTier implements BlockTier {
  readonly blocks = new Map<string, Uint8Array<ArrayBuffer>>();
  readonly shrunk: number[] = [];
  dropped = 0;

  constructor(readonly name: string, readonly trusted = false) {}

  has({ sha256 }: BlockRef) {
    return this.blocks.has(sha256);
  }
  get({ sha256 }: BlockRef) {
    return Promise.resolve(this.blocks.get(sha256)?.slice());
  }
  put({ sha256 }: BlockRef, { bytes, release }: VerifiedBlock) {
    this.blocks.set(sha256, bytes.slice());
    release();
  }
  drop({ sha256 }: BlockRef) {
    this.dropped++;
    this.blocks.delete(sha256);
  }
  shrink(bytes: number) {
    this.shrunk.push(bytes);
  }
}

Deno.test("tiers are asked in order, offered what came from behind them, and not believed", async () => {
  const server = hostileStore(files);
  const ram = new MapTier("ram"), disk = new MapTier("disk");
  const ledger = ledgerOf();
  const fetcher = new StoreFetcher(httpStore(server), manifest, ledger, { tiers: [ram, disk] });
  await all(fetcher, [1]);
  await all(fetcher, [1]);
  assertEquals([ram.blocks.size, disk.blocks.size, server.seen.length], [1, 1, 1]);
  ram.blocks.clear();
  await all(fetcher, [1]);
  assertEquals([ram.blocks.size, fetcher.stats().fromTiers], [1, { ram: 1, disk: 1 }]);
  for (const tier of [ram, disk]) for (const bytes of tier.blocks.values()) bytes[9]! ^= 1;
  await all(fetcher, [1]);
  assertEquals([ram.dropped, disk.dropped, server.seen.length], [1, 1, 2]);
  assertEquals([fetcher.stats().refused, held(ledger)], [2, 0]);
  await server.close();
});

Deno.test("tiers are asked to give room back before a fetch is refused for the lack of it", async () => {
  const server = hostileStore(files);
  const ledger = ledgerOf(1500);
  const taken = ledger.host("ram_tier", 1000, "a test");
  const ram = new MapTier("ram");
  ram.shrink = (bytes) => {
    assertEquals(bytes, 500);
    taken.release();
  };
  const fetcher = new StoreFetcher(httpStore(server), manifest, ledger, { tiers: [ram] });
  await all(fetcher, [0]);
  assertEquals(held(ledger), 0);
  await server.close();
});

Deno.test("whole neighbours of a wrong block are not held back by its second try", async () => {
  const again = Promise.withResolvers<void>();
  const store: ObjectStore = {
    origin: "a cache that has one block wrong",
    readAll: () => Promise.reject(new Error("not asked for here")),
    async readRange(name, { offset, length }, options) {
      const bytes = files[name]!.slice(offset, offset + length);
      if (options?.noCache) await again.promise;
      else bytes[0]! ^= 1;
      return bytes;
    },
  };
  const fetcher = new StoreFetcher(store, manifest, ledgerOf(), { concurrency: 1 });
  const wrong = all(fetcher, [0]);
  await all(fetcher, [1, 2, 3]);
  again.resolve();
  await wrong;
  assertEquals([fetcher.stats().requests, fetcher.stats().refused], [2, 1]);
});
