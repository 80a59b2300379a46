import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { Ledger } from "../../src/base/ledger.ts";
import { createCpuBackend } from "../../src/backend/cpu/backend.ts";
import { Heap, HEAP_MOST_BYTES } from "../../src/backend/cpu/heap.ts";
import { seeded } from "../../tools/twin/packed.ts";
import { cpuScratchBytes } from "../../src/backend/cpu/scratch.ts";
import * as on from "./device.ts";

Deno.test("heap: ranges never overlap, come zeroed, and are used again", () => {
  const heap = new Heap(4 << 20), random = seeded(71);
  const held: { at: number; bytes: number; mark: number }[] = [];
  for (let step = 1; step < 2000; step++) {
    if (held.length < 12 && random() < 0.6) {
      const bytes = Math.floor(random() * 200_000), at = heap.take(bytes, "test");
      assertEquals(at % 64, 0);
      assert(heap.u8.subarray(at, at + bytes).every((b) => b === 0), "a range came dirty");
      heap.u8.fill(step % 255 + 1, at, at + bytes);
      held.push({ at, bytes, mark: step % 255 + 1 });
    } else if (held.length > 0) {
      const [one] = held.splice(Math.floor(random() * held.length), 1);
      const { at, bytes, mark } = one!;
      assert(heap.u8.subarray(at, at + bytes).every((b) => b === mark), "a range was overwritten");
      heap.give(at, bytes);
    }
  }
  for (const { at, bytes } of held) heap.give(at, bytes);
  assertEquals(heap.take(4 << 20, "everything again"), 65536);
});

Deno.test("heap: what does not fit is refused, also between gaps", () => {
  const heap = new Heap(0); // leaves only the slack
  const parts = [...Array(16).keys()].map(() => heap.take(1 << 16, "part"));
  parts.forEach((at, i) => i % 2 === 0 && heap.give(at, 1 << 16));
  const error = assertThrows(() => heap.take(1 << 17, "two parts"), MoqeError);
  assertEquals(error.code, "over_budget");
  heap.take(1 << 16, "one part");
});

Deno.test("alloc: the ledger is asked, refuses, and gets back what is freed", async () => {
  const ledger = new Ledger({ gpuBytes: 1 << 20, hostBytes: 0 });
  const backend = await createCpuBackend({ ledger });
  const a = backend.alloc("a", 1 << 19, "trunk"), b = backend.alloc("b", 1 << 19, "kv");
  assertEquals(ledger.snapshot().gpu.lines.trunk, 1 << 19);
  const error = assertThrows(() => backend.alloc("c", 1, "kv"), MoqeError, "for c");
  assertEquals(error.code, "over_budget");
  backend.free(a);
  assertThrows(() => backend.free(a), RangeError, "not yet freed");
  assertThrows(() => backend.write(a, 0, new Uint8Array(1)), RangeError, "freed");
  backend.alloc("c", 1 << 19, "arena");
  assertEquals(ledger.left("gpu"), 0);
  backend.write(b, 0, Uint8Array.of(1, 2, 3));
  assertThrows(() => backend.write(b, (1 << 19) - 2, new Uint8Array(3)), RangeError, "inside");
  backend.close();
  assertEquals(ledger.snapshot().gpu.usedBytes, 0);
});

Deno.test("write, copy, readback: in order, within bounds, counted", async () => {
  const backend = await on.cpu();
  const a = backend.alloc("a", 100, "staging"), b = backend.alloc("b", 100, "staging");
  assert((await backend.readback(a, 0, 100)).every((byte) => byte === 0));
  backend.write(a, 10, Uint8Array.of(1, 2, 3, 4));
  backend.copy(a, 11, b, 50, 2);
  backend.copy(a, 10, a, 20, 4);
  backend.submit();
  assertEquals([...await backend.readback(b, 49, 4)], [0, 2, 3, 0]);
  assertEquals([...await backend.readback(a, 20, 4)], [1, 2, 3, 4]);
  assertThrows(() => backend.copy(a, 0, a, 3, 4), RangeError, "overlap");
  assertThrows(() => backend.copy(a, 97, b, 0, 4), RangeError, "inside");
  await assertRejects(() => backend.readback(a, 97, 4), RangeError, "inside");
  assertEquals(backend.counters(), { operations: 0, submits: 1, readbacks: 4 });
  backend.close();
});

Deno.test("prepare: takes what cpuScratchBytes says, once, and comes before operations", async () => {
  const ledger = new Ledger({ gpuBytes: 1 << 26, hostBytes: 0 });
  const backend = await createCpuBackend({ ledger });
  const x = on.tensor(backend, 1, 4), before = ledger.snapshot().gpu.lines.activations;
  const weight = on.vector(backend, new Float32Array(4));
  const op = { x, out: x, weight, bias: weight, epsilon: 1e-5 };
  assertThrows(() => backend.layerNorm(op), RangeError, "prepare comes first");
  backend.prepare(on.SHAPE);
  const used = ledger.snapshot().gpu.lines.activations - before;
  assert(used - cpuScratchBytes(on.SHAPE) < 1024);
  assertThrows(() => backend.prepare(on.SHAPE), RangeError, "once");
  backend.layerNorm(op);
  const many = { ...op, x: on.tensor(backend, 301, 4), out: on.tensor(backend, 301, 4) };
  assertThrows(() => backend.layerNorm(many), RangeError, "at most the 300 rows");
  backend.close();
});

Deno.test("createArenas: none is larger than a binding, a slot that is larger is refused", async () => {
  const backend = await on.cpu({ maxBindingBytes: 10_000 });
  const arenas = backend.createArenas(2560, 8);
  assertEquals(arenas.map((a) => [a.slots, a.buffer.bytes]), [[3, 7680], [3, 7680], [2, 5120]]);
  assertEquals(backend.createArenas(2560, 0), []);
  assertThrows(() => backend.createArenas(10_240, 1), RangeError, "a slot fits in a binding");
  backend.close();
});

Deno.test("a heap has room for all that a budget beyond it is cut to", () => {
  const heap = new Heap(6 * 2 ** 30), pieces = [2 ** 30, 2 ** 30, 2 ** 30, 2 ** 20];
  let left = HEAP_MOST_BYTES;
  for (const bytes of pieces) {
    heap.take(bytes, "arena");
    left -= bytes;
  }
  heap.take(left, "arena");
  const error = assertThrows(() => heap.take(2 * 2 ** 20, "arena"), MoqeError);
  assertEquals(error.code, "over_budget");
});
