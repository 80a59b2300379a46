import { assert, assertEquals, assertThrows } from "@std/assert";
import { F32 } from "../../src/base/layout.ts";
import type { Backend, RouterOp } from "../../src/backend/contract.ts";
import { linearTwin } from "../../tools/twin/linear.ts";
import { packedRandom, seeded } from "../../tools/twin/packed.ts";
import { combineTwin, routerTwin } from "../../tools/twin/router.ts";
import * as on from "./device.ts";
import { NMSE } from "./tolerances.ts";

async function route(backend: Backend, op: Omit<RouterOp, "experts" | "weights">) {
  const rows = op.x.rows;
  const experts = on.tensor(backend, rows, op.topK), weights = on.tensor(backend, rows, op.topK);
  // The contract has expert ids at the start of a buffer; the trailing sentinel is checked all the same.
  const buffer = backend.alloc("experts", rows * op.topK * 4, "activations");
  backend.write(buffer, 0, new Uint8Array(rows * op.topK * 4).fill(0xff));
  backend.router({ ...op, experts: { buffer, offset: 0 }, weights });
  await on.read(backend, experts);
  const ids = new Int32Array((await backend.readback(buffer, 0, buffer.bytes)).buffer);
  return {
    buffer: { buffer, offset: 0 },
    ids,
    tensor: weights,
    weights: await on.read(backend, weights),
  };
}

on.each("router: experts and weights against float64", async (open) => {
  const backend = await open({ shape: on.MANY_EXPERTS }), random = seeded(31);
  const cases = [[1, 2, 8], [5, 4, 33], [70, 7, 64], [3, 130, 48], [9, 16, 20], [66, 128, 40]];
  for (const [rows, n, d] of cases as [number, number, number][]) {
    const packed = packedRandom(n, d, F32, random);
    const x = on.randoms(rows * d, random, 0.5), bias = on.randoms(n, random);
    const logits = linearTwin({ x, w: packed.dense, rows, n, k: d, bias });
    for (const topK of [1, 2, 3, 4, 8, 16].filter((k) => k <= n)) {
      for (const weighting of ["share", "probability"] as const) {
        const got = await route(backend, {
          x: on.tensor(backend, rows, d, x),
          classifier: on.matrix(backend, packed),
          bias: on.vector(backend, bias),
          topK,
          weighting,
        });
        const twins = Array.from(
          { length: rows },
          (_, t) => routerTwin(logits.subarray(t * n, (t + 1) * n), topK, weighting),
        );
        assertEquals([...got.ids], twins.flatMap((twin) => twin.experts));
        const expected = twins.flatMap((twin) => twin.weights);
        on.assertNmse(got.weights, expected, NMSE.router, `${n} ${topK} ${weighting}`);
      }
    }
  }
  backend.close();
});

on.each("router: equal logits go to the lower index, NaN to a valid one", async (open) => {
  const backend = await open({ shape: on.MANY_EXPERTS }), random = seeded(32), n = 9, d = 4;
  const packed = packedRandom(n, d, F32, random);
  const op = { classifier: on.matrix(backend, packed), topK: 2, weighting: "share" } as const;
  const zero = await route(backend, { ...op, x: on.tensor(backend, 1, d, new Float32Array(d)) });
  assertEquals([...zero.ids], [0, 1]);
  assertEquals([...zero.weights], [0.5, 0.5]);
  const nan = on.tensor(backend, 1, d, new Float32Array(d).fill(NaN));
  assertEquals([...(await route(backend, { ...op, x: nan })).ids], [0, 1]);
  const all = await route(backend, { ...op, topK: n, x: nan });
  assertEquals([...all.ids], [...Array(n).keys()]);
  const tied = new Float32Array(n).fill(1);
  tied[6] = 3;
  tied[2] = 2;
  tied[8] = 2;
  const x = on.tensor(backend, 1, d, new Float32Array(d));
  const got = await route(backend, { ...op, x, bias: on.vector(backend, tied) });
  assertEquals([...got.ids], [6, 2]);
  const bias = on.vector(backend, tied), five = { ...op, x, bias, topK: 5 };
  const { ids, weights } = await route(backend, five);
  assertEquals([...ids], [6, 2, 8, 0, 1]);
  assertEquals([weights[1], weights[3]], [weights[2], weights[4]]);
  const low = tied.map((_, i) => i % 2 === 0 ? -Infinity : 0);
  const some = await route(backend, { ...five, bias: on.vector(backend, low), topK: 7 });
  assertEquals([...some.ids], [1, 3, 5, 7, 0, 2, 4]);
  assertEquals([...some.weights], [0.25, 0.25, 0.25, 0.25, 0, 0, 0]);
  backend.close();
});

on.each("router: bits do not depend on the call, masked rows are not written", async (open) => {
  const backend = await open({ shape: on.MANY_EXPERTS }), random = seeded(33);
  const n = 16, d = 96, rows = 67, classifier = on.matrix(backend, packedRandom(n, d, F32, random));
  const x = on.randoms(rows * d, random);
  for (const topK of [2, 8]) {
    const op = { classifier, topK, weighting: "share" } as const;
    const whole = await route(backend, { ...op, x: on.tensor(backend, rows, d, x) });
    const mask = Int32Array.from({ length: rows }, (_, t) => t % 2);
    const masked = await route(backend, { ...op, x: on.tensor(backend, rows, d, x), mask });
    for (let t = 0; t < rows; t++) {
      const alone = await route(backend, {
        ...op,
        x: on.tensor(backend, 1, d, x.slice(t * d, (t + 1) * d)),
      });
      const from = t * topK, to = from + topK, row = whole.weights.subarray(from, to);
      on.assertSameBits(alone.weights, row, `row ${t} alone`);
      assertEquals([...alone.ids], [...whole.ids.subarray(from, to)]);
      const got = masked.weights.subarray(from, to);
      if (mask[t] === 0) {
        assert(on.untouched(got));
        assert(masked.ids.subarray(from, to).every((id) => id === -1));
      } else on.assertSameBits(got, row, `row ${t} masked`);
    }
  }
  backend.close();
});

on.each(
  "router, combine: more experts a token than there are or may be are refused",
  async (open) => {
    const backend = await open({ shape: on.MANY_EXPERTS }), random = seeded(35), d = 8;
    const x = on.tensor(backend, 1, d), experts = on.indices(backend, new Int32Array(32));
    const run = (n: number, topK: number) => () =>
      backend.router({
        x,
        classifier: on.matrix(backend, packedRandom(n, d, F32, random)),
        topK,
        weighting: "share",
        experts,
        weights: on.tensor(backend, 1, topK),
      });
    run(16, 16)();
    assertThrows(run(1, 2), RangeError, "experts are 2 to");
    assertThrows(run(15, 16), RangeError, "experts are 16 to");
    assertThrows(run(40, 17), RangeError);
    assertThrows(run(4, 0), RangeError);
    const many = { expertOut: on.tensor(backend, 17, d), weights: on.tensor(backend, 1, 17) };
    const sum = { ...many, topK: 17, scale: 1, residual: x, out: x };
    assertThrows(() => backend.combine(sum), RangeError);
    backend.close();
  },
);

on.each("combine: in rank order, scaled, in place, masked", async (open) => {
  const backend = await open({ shape: on.MANY_EXPERTS }), random = seeded(34), rows = 6;
  for (const topK of [1, 2, 3, 8, 16]) {
    for (const d of [1, 7, 32, 85]) {
      const outputs = on.randoms(rows * topK * d, random),
        weights = on.randoms(rows * topK, random);
      const residual = on.randoms(rows * d, random);
      const mask = Int32Array.from({ length: rows }, (_, t) => t === 2 ? 0 : 1);
      const out = on.tensor(backend, rows, d, residual);
      backend.combine({
        expertOut: on.tensor(backend, rows * topK, d, outputs),
        weights: on.tensor(backend, rows, topK, weights),
        topK,
        scale: 0.8,
        residual: out,
        out,
        mask,
      });
      const expected = new Float64Array(rows * d);
      for (let t = 0; t < rows; t++) {
        const row = residual.subarray(t * d, (t + 1) * d);
        const ranks = [...Array(topK).keys()].map((r) =>
          outputs.subarray((t * topK + r) * d, (t * topK + r + 1) * d)
        );
        const w = weights.subarray(t * topK, (t + 1) * topK);
        expected.set(t === 2 ? row : combineTwin(ranks, w, 0.8, row), t * d);
      }
      const whole = await on.read(backend, out);
      on.assertNmse(whole, expected, NMSE.combine, `${topK} ${d}`);
      const alone = on.tensor(backend, 1, d);
      backend.combine({
        expertOut: on.tensor(backend, topK, d, outputs.slice(5 * topK * d)),
        weights: on.tensor(backend, 1, topK, weights.slice(5 * topK)),
        topK,
        scale: 0.8,
        residual: on.tensor(backend, 1, d, residual.slice(5 * d)),
        out: alone,
      });
      on.assertSameBits(await on.read(backend, alone), whole.subarray(5 * d), "a row alone");
    }
  }
  backend.close();
});
