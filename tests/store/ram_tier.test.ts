/** Blocks kept in host memory that nothing else needs. */
import { assert, assertEquals } from "@std/assert";
import { Ledger } from "../../src/base/ledger.ts";
import type { BlockRef } from "../../src/store/manifest.ts";
import { RamTier } from "../../src/store/ram_tier.ts";
import { behind, block, LENGTH, read, ref } from "../support/tiered.ts";

Deno.test("the RAM tier takes what is left and gives way to blocks and to whoever asks the ledger", async () => {
  const tiers: RamTier[] = [];
  const hostBytes = 8 * LENGTH;
  await behind((ledger) => [tiers[0] = new RamTier(ledger, { keepFreeBytes: 2 * LENGTH })], async (
    fetcher,
    requests,
    ledger,
  ) => {
    const tier = tiers[0]!;
    for (let i = 0; i < 10; i++) await read(fetcher, i);
    assertEquals(requests(), 10);
    const held = tier.stats().blocks;
    assertEquals([held, ledger.snapshot().host.lines.ram_tier], [5, 5 * LENGTH]);
    for (let i = 0; i < 10; i++) await read(fetcher, i);
    assertEquals(requests(), 10 + 10 - held, "a scan of more than fits still finds what is held");
    const room = ledger.host("requests", 2 * LENGTH, "a test");
    const three = await Promise.all([10, 11, 9].map((i) => fetcher.fetch(ref(i))));
    assert(tier.stats().shrunk > 0, "blocks under way come first");
    for (const b of three) b.release();
    room.release();
    const all = ledger.host("requests", hostBytes, "everything");
    assertEquals(tier.stats().blocks, 0, "the ledger took it all");
    all.release();
    assertEquals(ledger.snapshot().host.usedBytes, 0);
  }, hostBytes);
});

Deno.test("the RAM tier keeps what is asked for most, and only what it is told to", () => {
  const ledger = new Ledger({ gpuBytes: 0, hostBytes: 3 * LENGTH });
  const accepts = ({ sha256 }: BlockRef) => sha256 !== ref(9).sha256;
  const tier = new RamTier(ledger, { keepFreeBytes: LENGTH, accepts });
  const ask = (i: number) => {
    if (tier.has(ref(i))) return true;
    tier.put(ref(i), { bytes: block(i), release: () => {} });
    return false;
  };
  for (const i of [0, 1, 0, 1, 2, 3, 9]) ask(i);
  assertEquals([0, 1, 2, 3, 9].map((i) => tier.has(ref(i))), [true, true, false, false, false]);
  for (let n = 0; n < 5; n++) ask(2);
  assert(tier.has(ref(2)), "asked for more often than another");
  tier.drop(ref(2));
  assert(!tier.has(ref(2)));
  tier.clear();
  assertEquals(ledger.snapshot().host.usedBytes, 0);
});
