import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Stack } from "../../src/base/plan.ts";
import { lru } from "../../tools/replay/lru.ts";
import { SlotTable } from "../../src/experts/slots.ts";

const table = (slots: number, encoder: number) =>
  new SlotTable(slots, { encoder: lru(), decoder: lru() }, { encoder, decoder: slots - encoder });

Deno.test("LRU gives up the expert used longest ago, and never a pinned one", () => {
  const t = table(3, 0);
  for (const key of [1, 2, 3]) t.place(key, "decoder");
  t.hit(1);
  assertEquals(t.place(4, "decoder")?.evicted, [2]);
  t.pin(3);
  assertEquals(t.place(5, "decoder")?.evicted, [1]);
  assertThrows(() => t.evict(3), Error, "pinned");
  t.unpin(3);
  t.evict(3);
  assertEquals(t.slotOf(3), undefined);
  assertEquals(t.resident, 2);
});

Deno.test("with every slot pinned there is no place, and nothing is lost", () => {
  const t = table(2, 1);
  for (const key of [1, 2]) {
    t.place(key, "encoder");
    t.pin(key);
  }
  assertEquals(t.place(3, "encoder"), undefined);
  assert(t.slotOf(1) !== undefined && t.slotOf(2) !== undefined);
  assertThrows(() => t.unpin(9), Error, "not resident");
});

Deno.test("a stack at its quota takes from itself, below it from the other", () => {
  const t = table(4, 2);
  for (const key of [10, 11, 12]) t.place(key, "encoder"); // one over quota: slots were free
  t.place(20, "decoder");
  assertEquals(t.place(21, "decoder")?.evicted, [10], "the decoder is below its quota");
  assertEquals(t.place(13, "encoder")?.evicted, [11], "the encoder is at its quota");
  assertEquals(t.place(22, "decoder")?.evicted, [20]);
});

Deno.test("any run of places, hits and pins keeps slots unique and the pinned in place", () => {
  let seed = 7;
  const random = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
  const t = table(6, 3);
  const pinned = new Map<number, number>();
  for (let step = 0; step < 5000; step++) {
    const key = random(20);
    const stack: Stack = key < 10 ? "encoder" : "decoder";
    if (t.slotOf(key) !== undefined) {
      t.hit(key);
      if (pinned.has(key)) {
        t.unpin(key);
        pinned.delete(key);
      } else if (pinned.size < 5) {
        t.pin(key);
        pinned.set(key, t.slotOf(key)!);
      }
    } else {
      const placed = t.place(key, stack);
      assert(placed !== undefined, "there is always an unpinned slot");
      assert(!placed.evicted.some((k) => pinned.has(k)));
    }
    const slots = Array.from({ length: 20 }, (_, k) => t.slotOf(k)).filter((s) => s !== undefined);
    assertEquals(new Set(slots).size, slots.length);
    for (const [k, slot] of pinned) assertEquals(t.slotOf(k), slot);
  }
});

Deno.test("blocks of several widths lie side by side in one slot, whatever comes and goes", () => {
  let seed = 11;
  const random = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
  const count = 5, units = 4, widthOf = (key: number) => 1 + key % units;
  for (const quota of [undefined, { encoder: 2, decoder: 3 }]) {
    const policy = lru();
    const t = new SlotTable(count, { encoder: policy, decoder: policy }, quota, units);
    const pinned = new Map<number, number>();
    let shared = 0;
    for (let step = 0; step < 4000; step++) {
      const key = random(30);
      if (t.slotOf(key) !== undefined) {
        t.hit(key);
        if (pinned.delete(key)) t.unpin(key);
        else if (pinned.size < count - 1) {
          t.pin(key);
          pinned.set(key, t.slotOf(key)!);
        }
        continue;
      }
      // One pin fewer than slots: there is always a slot without one, and so room for the widest.
      const placed = t.place(key, key < 15 ? "encoder" : "decoder", { width: widthOf(key) });
      assert(placed !== undefined, "a slot without a pin");
      assert(!placed.evicted.some((k) => pinned.has(k)));
      const owners = new Array<number>(count * units).fill(-1);
      for (let k = 0; k < 30; k++) {
        const at = t.slotOf(k), width = widthOf(k);
        if (at === undefined) continue;
        assertEquals(Math.floor(at / units), Math.floor((at + width - 1) / units), "within a slot");
        for (let u = at; u < at + width; u++) {
          assertEquals(owners[u], -1, "units are one expert's");
          owners[u] = k;
        }
      }
      for (const [k, slot] of pinned) assertEquals(t.slotOf(k), slot);
      if (t.resident > count) shared++;
    }
    assert(shared > 1000, "more experts than slots");
  }
});
