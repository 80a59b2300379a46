import { assert, assertEquals, assertThrows } from "@std/assert";
import { F32 } from "../../src/base/layout.ts";
import type { Backend, RouterOp } from "../../src/backend/contract.ts";
import { linearTwin } from "../../src/backend/cpu/twin/linear.ts";
import { packedRandom, seeded } from "../../src/backend/cpu/twin/packed.ts";
import { combineTwin, routerTwin } from "../../src/backend/cpu/twin/router.ts";
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
  const backend = await open(), random = seeded(31);
  for (const [rows, n, d] of [[1, 2, 8], [5, 4, 33], [70, 7, 64], [3, 130, 48]] as const) {
    const packed = packedRandom(n, d, F32, random);
    const x = on.randoms(rows * d, random, 0.5), bias = on.randoms(n, random);
    const logits = linearTwin({ x, w: packed.dense, rows, n, k: d, bias });
    for (const topK of [1, 2] as const) {
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
  const backend = await open(), random = seeded(32), n = 9, d = 4;
  const packed = packedRandom(n, d, F32, random);
  const op = { classifier: on.matrix(backend, packed), topK: 2, weighting: "share" } as const;
  const zero = await route(backend, { ...op, x: on.tensor(backend, 1, d, new Float32Array(d)) });
  assertEquals([...zero.ids], [0, 1]);
  assertEquals([...zero.weights], [0.5, 0.5]);
  const nan = on.tensor(backend, 1, d, new Float32Array(d).fill(NaN));
  assertEquals([...(await route(backend, { ...op, x: nan })).ids], [0, 1]);
  const tied = new Float32Array(n).fill(1);
  tied[6] = 3;
  tied[2] = 2;
  tied[8] = 2;
  const x = on.tensor(backend, 1, d, new Float32Array(d));
  const got = await route(backend, { ...op, x, bias: on.vector(backend, tied) });
  assertEquals([...got.ids], [6, 2]);
  backend.close();
});

on.each("router: bits do not depend on the call, masked rows are not written", async (open) => {
  const backend = await open(), random = seeded(33), n = 16, d = 96, rows = 67;
  const classifier = on.matrix(backend, packedRandom(n, d, F32, random));
  const x = on.randoms(rows * d, random);
  const op = { classifier, topK: 2, weighting: "share" } as const;
  const whole = await route(backend, { ...op, x: on.tensor(backend, rows, d, x) });
  const mask = Int32Array.from({ length: rows }, (_, t) => t % 2);
  const masked = await route(backend, { ...op, x: on.tensor(backend, rows, d, x), mask });
  for (let t = 0; t < rows; t++) {
    const alone = await route(backend, {
      ...op,
      x: on.tensor(backend, 1, d, x.slice(t * d, (t + 1) * d)),
    });
    const row = whole.weights.subarray(t * 2, t * 2 + 2);
    on.assertSameBits(alone.weights, row, `row ${t} alone`);
    assertEquals([...alone.ids], [...whole.ids.subarray(t * 2, t * 2 + 2)]);
    const got = masked.weights.subarray(t * 2, t * 2 + 2);
    if (mask[t] === 0) {
      assert(on.untouched(got));
      assertEquals([...masked.ids.subarray(t * 2, t * 2 + 2)], [-1, -1]);
    } else on.assertSameBits(got, row, `row ${t} masked`);
  }
  const one = { ...op, topK: 2 as const, x: on.tensor(backend, 1, d) };
  const single = on.matrix(backend, packedRandom(1, d, F32, random));
  assertThrows(
    () =>
      backend.router({ ...one, classifier: single, experts: whole.buffer, weights: whole.tensor }),
    RangeError,
    "experts are 2 to",
  );
  backend.close();
});

on.each("combine: in rank order, scaled, in place, masked", async (open) => {
  const backend = await open(), random = seeded(34), rows = 6;
  for (const topK of [1, 2] as const) {
    for (const d of [1, 7, 32]) {
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
      on.assertNmse(await on.read(backend, out), expected, NMSE.combine, `${topK} ${d}`);
    }
  }
  backend.close();
});
