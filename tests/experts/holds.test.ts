import { assert, assertEquals } from "@std/assert";
import { seeded } from "../../tools/twin/packed.ts";
import type { Hold } from "../../src/experts/contract.ts";
import { Holds } from "../../src/experts/holds.ts";
import { SlotTable } from "../../src/experts/slots.ts";
import { lru } from "../../tools/replay/lru.ts";

/** Holds over a real slot table; blocks come when `arrive` says so. */
function host(slots: number) {
  const policy = lru();
  const table = new SlotTable(slots, { encoder: policy, decoder: policy }, undefined);
  const coming: { key: number; come(): void; fail(): void }[] = [];
  let blocks = 0;
  const key = (layer: number, expert: number) => 100 * layer + expert;
  const holds = new Holds({
    slots,
    isResident: (l, e) => table.slotOf(key(l, e)) !== undefined,
    pin: (l, e) => table.pin(key(l, e)),
    unpin: (l, e) => table.unpin(key(l, e)),
    put: (l, e) => table.place(key(l, e), "decoder") !== undefined,
    fetch: (l, e, signal) => {
      const { promise, resolve, reject } = Promise.withResolvers<
        { bytes: Uint8Array<ArrayBuffer>; release(): void }
      >();
      signal.addEventListener("abort", () => reject(signal.reason));
      coming.push({
        key: key(l, e),
        come: () => {
          if (signal.aborted) return;
          blocks++;
          resolve({ bytes: new Uint8Array(4), release: () => void blocks-- });
        },
        fail: () => reject(new Error("gone")),
      });
      return promise;
    },
  });
  const arrive = async (index = 0) => {
    coming.splice(index, 1)[0]?.come();
    for (let i = 0; i < 4; i++) await Promise.resolve();
  };
  return { table, holds, coming, arrive, key, heldBlocks: () => blocks };
}

Deno.test("holds are granted in order, as many as leave slots for others", async () => {
  const { holds, arrive, coming, table, key } = host(8);
  const told: string[] = [];
  const a = holds.add(0, [1, 2, 3], () => told.push("a"))!;
  const b = holds.add(0, [3, 4, 5], () => told.push("b"))!;
  const c = holds.add(1, [1, 2], () => told.push("c"))!;
  assertEquals(coming.length, 6, "a and b ask for theirs, c would leave too little");
  assertEquals(holds.room, 3);
  while (coming.length > 0) await arrive();
  assertEquals([a.ready, b.ready, c.ready, told], [true, true, false, ["a", "b"]]);
  a.release();
  a.release();
  assertEquals(holds.room, 3, "c has taken the room");
  while (coming.length > 0) await arrive();
  assert(c.ready);
  assert(table.slotOf(key(0, 3)) !== undefined, "b still holds it");
  b.release();
  c.release();
  assertEquals(holds.room, 8);
});

Deno.test("a hold as large as the arena runs alone; a failed one is told and lets go", async () => {
  const { holds, arrive, coming } = host(2);
  let changed = 0;
  const all = holds.add(0, [1, 2], () => changed++)!;
  const next = holds.add(0, [3], () => changed++)!;
  assertEquals(holds.room, 0);
  await arrive();
  await arrive();
  assert(all.ready && !next.ready);
  all.release();
  coming.shift()!.fail();
  for (let i = 0; i < 4; i++) await Promise.resolve();
  assertEquals((next.failure!.error as Error).message, "gone");
  assertEquals(changed, 2);
  next.release();
  assertEquals(holds.room, 2);
});

Deno.test("a slot that is kept for a pass in waves is taken by no hold, and held by none afterwards", async () => {
  const { holds, arrive, coming, table } = host(3);
  const before = holds.add(0, [1], () => {});
  await arrive();
  const release = holds.keepSlot();
  assert(before.ready);
  before.release();
  const all = holds.add(1, [1, 2, 3], () => {});
  const two = holds.add(2, [1, 2], () => {});
  assertEquals([coming.length, holds.room], [0, 3], "nobody overtakes, and the first waits");
  assert(table.place(1000, "encoder") !== undefined);
  release();
  assertEquals([coming.length, holds.room], [3, 0]);
  while (coming.length > 0) await arrive();
  assert(all.ready && !two.ready);
  const again = holds.keepSlot();
  all.release();
  assertEquals(holds.room, 1, "two of three leave the one that is kept");
  two.release();
  again();
});

Deno.test("any run of holds, arrivals and waves: every hold gets its turn, nothing stays pinned", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seeded(seed), slots = 2 + Math.floor(random() * 8);
    const { holds, arrive, coming, table, key, heldBlocks } = host(slots);
    const open: { hold: Hold; layer: number; experts: number[] }[] = [];
    let done = 0;
    for (let made = 0, turn = 0; done < 40; turn++) {
      assert(turn < 10_000, "somebody waits for ever");
      if (made < 40 && random() < 0.4) {
        const layer = Math.floor(random() * 3);
        const size = 1 + Math.floor(random() * Math.min(slots, 4));
        const experts = [...new Set(Array.from({ length: size }, () => Math.floor(random() * 9)))];
        open.push({ hold: holds.add(layer, experts, () => {}), layer, experts });
        made++;
      }
      if (random() < 0.6) await arrive(Math.floor(random() * coming.length));
      if (random() < 0.3) holds.retry();
      const at = open.findIndex(({ hold }) => hold.ready || random() < 0.02);
      if (at < 0) continue;
      const [{ hold, layer, experts }] = open.splice(at, 1) as [typeof open[number]];
      if (hold.ready) {
        for (const e of experts) assert(table.slotOf(key(layer, e)) !== undefined);
      }
      hold.release();
      done++;
      assert(table.resident <= slots && holds.room >= 0);
    }
    while (coming.length > 0) await arrive();
    assertEquals([holds.room, heldBlocks()], [slots, 0]);
    // With every pin gone each slot can be given to another.
    for (let i = 0; i < slots; i++) assert(table.place(1000 + i, "decoder") !== undefined);
  }
});
