/**
 * A model in an S3 server that answers ranges with wrong bytes: every one is refused and counted, and what a mirror
 * has right is used.
 */
import { assertEquals, assertGreater, assertRejects } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { Ledger } from "../../src/base/ledger.ts";
import { verifyModel } from "../../src/pack/verify.ts";
import type { S3Store } from "../../src/store/s3_store.ts";
import { StoreFetcher } from "../../src/store/fetcher.ts";
import { FileStore } from "../../src/store/file_store.ts";
import { openModel } from "../../src/store/open.ts";
import type { BlockRef } from "../../src/store/manifest.ts";
import { sha256 } from "../support/blocks.ts";
import { makeBucket, putModel, s3Store } from "../support/buckets.ts";
import { isThere, testNeeding } from "../support/needs.ts";
import { type RadosGateway, startRadosGateway } from "../support/radosgw.ts";

const SHIPPED = new URL("../../models/tiny-en-de-fr-es", import.meta.url).pathname;

const test = testNeeding("radosgw");
let gateway: RadosGateway | undefined, store: S3Store;
Deno.test.beforeAll(async () => {
  if (!isThere("radosgw")) return;
  gateway = await startRadosGateway();
  await makeBucket("models", gateway.env);
  store = s3Store("s3://models/tiny", gateway.env);
  await putModel(SHIPPED, store);
});
Deno.test.afterAll(() => gateway?.close());
const { manifest } = await openModel(SHIPPED);
const refs: BlockRef[] = [
  ...manifest.trunk.flatMap((t) => t.blocks),
  ...manifest.expertLayers.flatMap((l) => l.experts.map((e) => e.block)),
];

/** Which blocks the server itself has wrong when they are asked for alone. */
async function wrongBlocks(): Promise<Set<string>> {
  const wrong = new Set<string>();
  for (const ref of refs) {
    const bytes = await store.readRange(manifest.objects[ref.object]!.name, ref);
    if (sha256(bytes) !== ref.sha256) wrong.add(ref.sha256);
  }
  return wrong;
}

test("every wrong byte of radosgw's dbstore is refused and counted, none gets out", async () => {
  const wrong = await wrongBlocks();
  assertGreater(wrong.size, 100, "it has learnt to answer ranges: another hostile server is due");
  const ledger = new Ledger({ gpuBytes: 0, hostBytes: 64 * 2 ** 20 });
  const fetcher = new StoreFetcher(store, manifest, ledger, { concurrency: 1 });
  for (const ref of refs) {
    if (!wrong.has(ref.sha256)) {
      const block = await fetcher.fetch(ref);
      assertEquals(sha256(block.bytes), ref.sha256);
      block.release();
      continue;
    }
    const before = fetcher.stats().refused;
    const error = await assertRejects(() => fetcher.fetch(ref), MoqeError);
    assertEquals([error.code, fetcher.stats().refused - before], ["corrupt", 2]);
  }
  assertEquals(ledger.snapshot().host.usedBytes, 0);
});

test("with a mirror every block comes right, however it was asked for", async () => {
  const ledger = new Ledger({ gpuBytes: 0, hostBytes: 64 * 2 ** 20 });
  const fetcher = new StoreFetcher(store, manifest, ledger, {
    mirrors: [new FileStore(SHIPPED)],
  });
  await Promise.all(refs.map(async (ref) => {
    const block = await fetcher.fetch(ref);
    assertEquals(sha256(block.bytes), ref.sha256);
    block.release();
  }));
  const { fromMirrors, refused } = fetcher.stats();
  assertGreater(fromMirrors, 100);
  assertGreater(refused, fromMirrors);
  assertEquals(ledger.snapshot().host.usedBytes, 0);
});

test("verify finds the same server's copy damaged", async () => {
  const { faults } = await verifyModel(store, manifest);
  assertGreater(faults.length, 0);
});
