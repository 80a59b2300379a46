import { assert, assertEquals, assertLess } from "@std/assert";
import { Ledger } from "../../src/base/ledger.ts";
import { expertLayout } from "../../src/base/layout.ts";
import { type Backend, PAGE_TOKENS } from "../../src/backend/contract.ts";
import { createCpuBackend } from "../../src/backend/cpu/backend.ts";
import { TWINS } from "../../tools/twin/index.ts";
import { packedRandom, type Random, seeded } from "../../tools/twin/packed.ts";
import * as on from "./device.ts";

/** A step that uses every operation; the bytes of all its results. */
async function everyOperation(backend: Backend, random: Random): Promise<number[]> {
  const rows = 3, d = 64, ff = 128, vocab = 600, experts = 4;
  const positionTable = on.tensor(backend, 48, d, on.randoms(48 * d, random));
  const make = () => on.tensor(backend, rows, d);
  const q2 = on.FORMATS["2-bit group 64"]!, places = Int32Array.of(0, 17, 40);
  const matrix = (n: number, k: number, name: string) =>
    on.matrix(backend, packedRandom(n, k, on.FORMATS[name]!, random));
  const vector = (n: number) => on.vector(backend, on.randoms(n, random));
  const table = matrix(vocab, d, "8-bit per channel");
  const h = make(), q = make(), a = make(), y = make(), out = make();
  backend.embed({ ids: places, positions: places, table, scale: 8, positionTable, out: h });
  backend.layerNorm({ x: h, weight: vector(d), bias: vector(d), epsilon: 1e-5, out: y });
  backend.linear({ x: y, w: matrix(d, d, "4-bit group 64"), out: q });
  const ones = new Int32Array(rows).fill(rows), zeros = new Int32Array(rows);
  backend.segmentAttention({ q, k: y, v: h, heads: 4, starts: zeros, lengths: ones, out: a });
  const store = on.tensor(backend, 3 * PAGE_TOKENS * 2, d, on.randoms(96 * d, random));
  const kv = { buffer: store.buffer, offset: store.offset, pages: 3, width: d, bits: 32 as const };
  backend.storeKv({ k: a, v: y, kv, places });
  const pageTable = Int32Array.of(2, 0, 1, 0, 1, 2), lengths = Int32Array.of(1, 20, 32);
  const few = { window: 18, sinks: vector(2) };
  backend.pagedAttention({ q, heads: 2, kv, pageTable, pagesPerRow: 2, lengths, ...few, out });
  const ids = on.indices(backend, new Int32Array(rows * 2)), weights = on.tensor(backend, rows, 2);
  const classifier = matrix(experts, d, "f32");
  const route = { topK: 2, weighting: "share" } as const;
  backend.router({ x: out, classifier, ...route, experts: ids, weights });
  const shapes = [
    { name: "fc1", rows: ff, cols: d, bias: false },
    { name: "fc2", rows: d, cols: ff, bias: false },
  ];
  const layout = expertLayout(shapes, q2), arenas = backend.createArenas(layout.bytes, experts);
  const noise = packedRandom(1, layout.bytes / 2 - 64, on.FORMATS["f16"]!, random, true).bytes;
  for (let slot = 0; slot < experts; slot++) {
    backend.write(arenas[0]!.buffer, slot * layout.bytes, noise);
  }
  const expertOut = on.tensor(backend, rows * 2, d);
  // Slots are the experts' numbers: what the router chose are the places.
  const run = { x: out, places: ids, topK: 2, arenas, layout, layoutIndex: 0 } as const;
  backend.experts({ ...run, activation: "relu", out: expertOut });
  backend.combine({ expertOut, weights, topK: 2, scale: 0.8, residual: h, out: h });
  const gated = on.tensor(backend, rows, d / 2), turns = on.randoms(rows * 8, random);
  const angles = on.tensor(backend, rows, 8, turns);
  backend.rmsNorm({ x: h, weight: vector(d), epsilon: 1e-5, scale: 1, out: h });
  backend.rotary({ x: h, heads: 4, angles, pairs: "halves" });
  backend.gate({ x: h, gating: "gated silu", out: gated });
  backend.clamp({ x: gated, limit: 0.1 });
  const candidateIds = on.indices(backend, new Int32Array(rows * 4));
  const logProbs = on.tensor(backend, rows, 4);
  backend.vocabTopK({ x: h, w: table, candidates: 4, ids: candidateIds, logProbs });
  const bytes: number[] = [];
  assertEquals(backend.counters().operations, Object.keys(TWINS).length);
  for (const t of [a, out, weights, expertOut, h, gated, logProbs]) {
    const values = await on.read(backend, t);
    bytes.push(...new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  for (const b of [ids.buffer, candidateIds.buffer]) {
    bytes.push(...await backend.readback(b, 0, b.bytes));
  }
  return bytes;
}

async function backendBehind(bytes: number): Promise<Backend> {
  const ledger = new Ledger({ gpuBytes: 3.9 * 2 ** 30, hostBytes: 0 });
  const backend = await createCpuBackend({ ledger });
  if (bytes > 0) backend.alloc("in front", bytes, "arena");
  backend.prepare(on.SHAPE);
  return backend;
}

Deno.test("addresses: every operation above 2 GiB gives the bits it gives at the bottom", async () => {
  const low = await backendBehind(0);
  const expected = await everyOperation(low, seeded(81));
  const high = await backendBehind(2 ** 31 + 2 ** 20);
  assertEquals(await everyOperation(high, seeded(81)), expected);
  const top = await backendBehind(2 ** 31 - 2 ** 18); // scratch itself lies across 2 GiB
  assertEquals(await everyOperation(top, seeded(81)), expected);
});

Deno.test("addresses: memory that was never touched is not resident", async () => {
  const child = new URL("./untouched_child.ts", import.meta.url).pathname;
  const lock = new URL("../../dev.lock", import.meta.url).pathname;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", `--lock=${lock}`, child],
  });
  const { success, stdout, stderr } = await command.output();
  assert(success, new TextDecoder().decode(stderr));
  const { bytes, grown } = JSON.parse(new TextDecoder().decode(stdout));
  assertEquals(bytes, 2 ** 30);
  assertLess(grown, 2 ** 28);
});
