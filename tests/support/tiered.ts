/** Blocks behind a server that counts requests, and a fetcher with tiers before it. */
import { assertEquals } from "@std/assert";
import { Ledger } from "../../src/base/ledger.ts";
import type { BlockTier } from "../../src/store/contract.ts";
import { StoreFetcher } from "../../src/store/fetcher.ts";
import { HttpStore } from "../../src/store/http_store.ts";
import { testObject } from "./blocks.ts";
import { hostileStore } from "./hostile_store.ts";

/** Bytes of a block. */
export const LENGTH = 50_000;
/** Twelve of them, one behind the other. */
export const object = testObject(12, LENGTH);
const manifest = { objects: [{ name: object.name, bytes: object.bytes.length }] };
/** Where block i is. */
export const ref = (i: number) => object.refs[i]!;
/** The bytes of block i. */
export const block = (i: number) => object.bytes.slice(i * LENGTH, (i + 1) * LENGTH);

/** A fetcher over HTTP with tiers; counts requests. */
export async function behind(
  tiers: (ledger: Ledger) => BlockTier[],
  use: (fetcher: StoreFetcher, requests: () => number, ledger: Ledger) => Promise<void>,
  hostBytes = 4e6,
): Promise<void> {
  let requests = 0;
  const server = hostileStore({ [object.name]: object.bytes }, () => {
    requests++;
    return { kind: "none" };
  });
  const ledger = new Ledger({ gpuBytes: 0, hostBytes });
  try {
    const store = new HttpStore(new URL(server.url));
    const fetcher = new StoreFetcher(store, manifest, ledger, { tiers: tiers(ledger) });
    await use(fetcher, () => requests, ledger);
  } finally {
    await server.close();
  }
}

/** Fetches block i and looks at its bytes. */
export async function read(fetcher: StoreFetcher, i: number): Promise<void> {
  const got = await fetcher.fetch(ref(i));
  assertEquals(got.bytes, block(i));
  got.release();
}
