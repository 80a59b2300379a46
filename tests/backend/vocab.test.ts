import { assert, assertEquals, assertThrows } from "@std/assert";
import { F32 } from "../../src/base/layout.ts";
import type { Backend, Matrix, RowMask } from "../../src/backend/contract.ts";
import { linearTwin } from "../../tools/twin/linear.ts";
import { packedRandom, seeded } from "../../tools/twin/packed.ts";
import { vocabTwin } from "../../tools/twin/router.ts";
import * as on from "./device.ts";
import { NMSE } from "./tolerances.ts";

async function choose(
  backend: Backend,
  x: Float32Array<ArrayBuffer>,
  w: Matrix,
  candidates: number,
  mask?: RowMask,
) {
  const rows = x.length / w.layout.cols;
  const ids = backend.alloc("ids", rows * candidates * 4, "activations");
  backend.write(ids, 0, new Uint8Array(rows * candidates * 4).fill(0xff));
  const logProbs = on.tensor(backend, rows, candidates);
  const tx = on.tensor(backend, rows, w.layout.cols, x);
  backend.vocabTopK({ x: tx, w, candidates, ids: { buffer: ids, offset: 0 }, logProbs, mask });
  const values = await on.read(backend, logProbs);
  const chosen = new Int32Array((await backend.readback(ids, 0, ids.bytes)).buffer);
  for (const buffer of [ids, logProbs.buffer, tx.buffer]) backend.free(buffer);
  return { ids: chosen, logProbs: values };
}

on.each("vocabTopK: ids and log probabilities against float64", async (open) => {
  const backend = await open(), random = seeded(51);
  const formats = ["f32", "f16", "8-bit per channel", "4-bit group 64", "2-bit group 64"];
  for (const name of formats) {
    const cases = [[1, 1, 8, 1], [3, 511, 40, 4], [66, 513, 24, 16], [2, 1600, 65, 3]] as const;
    for (const [rows, vocab, d, candidates] of cases) {
      const packed = packedRandom(vocab, d, on.FORMATS[name]!, random);
      const x = on.randoms(rows * d, random), w = on.matrix(backend, packed);
      const got = await choose(backend, x, w, candidates);
      const logits = linearTwin({ x, w: packed.dense, rows, n: vocab, k: d });
      const expected: number[] = [];
      for (let t = 0; t < rows; t++) {
        const row = logits.subarray(t * vocab, (t + 1) * vocab);
        const best = vocabTwin(row, candidates);
        assertEquals([...got.ids.subarray(t * candidates, (t + 1) * candidates)], best.ids);
        expected.push(...best.logProbs);
      }
      const what = `${name} [${rows}, ${vocab}, ${d}]`;
      if (vocab > 1) on.assertNmse(got.logProbs, expected, NMSE.logProbs, what);
      else assert(Math.abs(got.logProbs[0]!) < 1e-6);
      backend.free(w.buffer);
    }
  }
  backend.close();
});

on.each("vocabTopK: equal values come in order of id, over tiles too", async (open) => {
  const backend = await open(), vocab = 1300, d = 4, random = seeded(52);
  const packed = packedRandom(vocab, d, F32, random);
  const view = new Float32Array(packed.bytes.buffer);
  view.fill(1);
  for (const id of [3, 700, 1299]) view.fill(2, id * d, (id + 1) * d);
  const w = on.matrix(backend, packed);
  const got = await choose(backend, new Float32Array(d).fill(1), w, 6);
  assertEquals([...got.ids], [3, 700, 1299, 0, 1, 2]);
  const same = await choose(backend, new Float32Array(d), w, 5);
  assertEquals([...same.ids], [0, 1, 2, 3, 4]);
  assert(same.logProbs.every((p) => Math.abs(p + Math.log(vocab)) < 1e-5));
  backend.close();
});

on.each("vocabTopK: bits do not depend on the call, masked rows are not written", async (open) => {
  const backend = await open(), random = seeded(53), rows = 67, d = 64, vocab = 1100, c = 8;
  const w = on.matrix(backend, packedRandom(vocab, d, on.FORMATS["8-bit group 64"]!, random));
  const x = on.randoms(rows * d, random);
  const whole = await choose(backend, x, w, c);
  const mask = Int32Array.from({ length: rows }, (_, t) => t % 5 === 0 ? 0 : 1);
  const masked = await choose(backend, x, w, c, mask);
  for (let t = 0; t < rows; t++) {
    const alone = await choose(backend, x.slice(t * d, (t + 1) * d), w, c);
    const row = whole.logProbs.subarray(t * c, (t + 1) * c);
    on.assertSameBits(alone.logProbs, row, `row ${t} alone`);
    assertEquals(alone.ids, whole.ids.slice(t * c, (t + 1) * c));
    const got = masked.logProbs.subarray(t * c, (t + 1) * c);
    if (mask[t] === 0) assert(on.untouched(got), `row ${t}`);
    else on.assertSameBits(got, row, `row ${t} masked`);
  }
  await assertThrowsCandidates(backend, w, x.slice(0, d));
  backend.close();
});

function assertThrowsCandidates(backend: Backend, w: Matrix, x: Float32Array<ArrayBuffer>) {
  const ids = backend.alloc("ids", 400, "activations");
  const op = { x: on.tensor(backend, 1, w.layout.cols, x), w, ids: { buffer: ids, offset: 0 } };
  const run = (candidates: number) =>
    backend.vocabTopK({ ...op, candidates, logProbs: on.tensor(backend, 1, candidates) });
  assertThrows(() => run(17), RangeError, "candidates are 1 to 16 (got 17)");
  assertThrows(() => run(0), RangeError, "candidates are 1 to 16 (got 0)");
}
