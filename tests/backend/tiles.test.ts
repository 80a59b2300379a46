/** However products are cut for workgroups, they are right, and few rows and many have the same bits. */
import { assert } from "@std/assert";
import { linearTwin } from "../../tools/twin/linear.ts";
import { packedRandom, seeded } from "../../tools/twin/packed.ts";
import {
  CANDIDATES,
  lanesOf,
  tileFits,
  TILES,
  type Tiles,
} from "../../src/backend/webgpu/tiles.ts";
import { testNeeding } from "../support/needs.ts";
import * as on from "./device.ts";
import { expertTwin, layer, load } from "./expert_blocks.ts";
import { NMSE } from "./tolerances.ts";

const test = testNeeding("vulkan");

const n = 37, k = 700, rows = 40;

/** Some of the candidates, of every kind: a software GPU takes seconds to compile one. */
const some = <T>(candidates: readonly T[]) => candidates.filter((_, i) => i % 4 === 1);

/** Results of `rows` rows at once, row by row, and up to 16 at once; of one format. */
async function products(tiles: Tiles, format: string): Promise<Float32Array[]> {
  const backend = await on.webgpu({ tiles }), random = seeded(81);
  const packed = packedRandom(n, k, on.FORMATS[format]!, random);
  const x = on.randoms(rows * k, random), w = on.matrix(backend, packed);
  const found: Float32Array[] = [];
  for (const each of [rows, 16, 1]) {
    const out = new Float32Array(rows * n);
    for (let t = 0; t < rows; t += each) {
      const count = Math.min(each, rows - t);
      const part = on.tensor(backend, count, k, x.slice(t * k, (t + count) * k));
      const to = on.tensor(backend, count, n);
      backend.linear({ x: part, w, out: to });
      out.set(await on.read(backend, to), t * n);
    }
    found.push(out);
  }
  on.assertNmse(found[0]!, linearTwin({ x, w: packed.dense, rows, n, k }), NMSE.product, format);
  backend.close();
  return found;
}

test("webgpu: tiles of many rows give the bits of one row", async () => {
  const want = await products({ ...TILES, gemvRows: 40 }, "2-bit group 64");
  assert(CANDIDATES.gemm.every(tileFits));
  for (const tile of some(CANDIDATES.gemm)) {
    const tiles = { ...TILES, gemvRows: 1, few: tile, many: tile };
    for (const found of await products(tiles, "2-bit group 64")) {
      on.assertSameBits(found, want[0]!, JSON.stringify(tile));
    }
  }
});

test("webgpu: whatever threads and lanes a row has, tiles have its bits", async () => {
  for (const [i, gemv] of some(CANDIDATES.gemv).entries()) {
    const format = i === 0 ? "f16" : "2-bit group 64";
    const found = await products({ ...TILES, ...gemv, gemvRows: 4 }, format);
    for (const other of found) on.assertSameBits(other, found[0]!, JSON.stringify(gemv));
  }
});

test("webgpu: experts are the same in every tile, and pair by pair", async () => {
  const d = 64, ff = 96, pairs = 120, random = seeded(82);
  const made = layer(3, d, ff, on.FORMATS["2-bit group 64"]!, random);
  const x = on.randoms(pairs * d, random);
  const chosen = Int32Array.from({ length: pairs }, (_, i) => i % 3);
  const run = async (tiles: Tiles, each: number) => {
    const backend = await on.webgpu({ tiles }), out = new Float32Array(pairs * d);
    const arenas = backend.createArenas(made.layout.bytes, 3);
    const resident = load(backend, arenas, made, [0, 1, 2]);
    for (let t = 0; t < pairs; t += each) {
      const to = on.tensor(backend, each, d);
      backend.experts({
        x: on.tensor(backend, each, d, x.slice(t * d, (t + each) * d)),
        places: chosen.slice(t, t + each).map((e) => resident[e]!),
        topK: 1,
        arenas,
        layout: made.layout,
        layoutIndex: 0,
        activation: "relu",
        out: to,
      });
      out.set(await on.read(backend, to), t * d);
    }
    backend.close();
    return out;
  };
  const want = await run(TILES, 1);
  const twin = Array.from(
    { length: pairs },
    (_, i) => expertTwin(made, chosen[i]!, x.subarray(i * d, (i + 1) * d)),
  ).flatMap((v) => [...v]);
  on.assertNmse(want, twin, NMSE.experts, "experts");
  for (const experts of CANDIDATES.experts) {
    on.assertSameBits(await run({ ...TILES, experts }, pairs), want, JSON.stringify(experts));
  }
});

Deno.test("lanes: no more than there are units or tiles allow, and eight at the least", () => {
  const lanes = (units: number, mostLanes: number) => lanesOf(units, { ...TILES, mostLanes });
  const found = [[1, 32], [8, 32], [9, 32], [17, 32], [1000, 32], [1000, 8], [40, 64]];
  const want = [8, 8, 16, 32, 32, 8, 64];
  assert(found.every(([units, most], i) => lanes(units!, most!) === want[i]));
});
