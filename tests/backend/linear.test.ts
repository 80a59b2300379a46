import { assert, assertThrows } from "@std/assert";
import type { Backend, LinearOp } from "../../src/backend/contract.ts";
import { linearTwin } from "../../tools/twin/linear.ts";
import { packedRandom, seeded } from "../../tools/twin/packed.ts";
import * as on from "./device.ts";
import { NMSE } from "./tolerances.ts";

const SHAPES = [[1, 1, 1], [1, 3, 5], [2, 4, 64], [3, 5, 65], [5, 9, 130], [7, 33, 257], [
  66,
  6,
  300,
]];

/** One of each way to decode: a software GPU takes seconds a format. */
const BITS_ON_GPU = [
  "2-bit group 64",
  "2-bit rotated",
  "2-bit trellis",
  "3-bit levels",
  "4-bit group 32",
  "8-bit per channel",
  "f16",
  "f32",
];

for (const [name, format] of Object.entries(on.FORMATS)) {
  on.each(`linear, ${name}: odd shapes against float64`, async (open) => {
    const backend = await open(), random = seeded(11);
    for (const [rows, n, k] of SHAPES as [number, number, number][]) {
      const packed = packedRandom(n, k, format, random);
      const x = on.randoms(rows * k, random), bias = on.randoms(n, random);
      const residual = on.randoms(rows * n, random);
      const w = on.matrix(backend, packed), tx = on.tensor(backend, rows, k, x);
      const out = on.tensor(backend, rows, n);
      const what = `${name} [${rows}, ${n}, ${k}]`;
      backend.linear({ x: tx, w, out });
      const plain = linearTwin({ x, w: packed.dense, rows, n, k });
      on.assertNmse(await on.read(backend, out), plain, NMSE.product, what);
      backend.linear({
        x: tx,
        w,
        out,
        bias: on.vector(backend, bias),
        activation: "relu",
        residual: on.tensor(backend, rows, n, residual),
      });
      const all = linearTwin({ x, w: packed.dense, rows, n, k, bias, relu: true, residual });
      on.assertNmse(await on.read(backend, out), all, NMSE.product, `${what} with all`);
      await on.read(backend, tx);
    }
    backend.close();
  });

  on.each(`linear, ${name}: a row's bits do not depend on the call`, async (open, device) => {
    if (device === "webgpu" && !BITS_ON_GPU.includes(name)) return;
    const backend = await open(), random = seeded(12);
    for (const [n, k] of [[13, 700], [6, 61], [8, 1024]] as [number, number][]) {
      const most = 70, packed = packedRandom(n, k, format, random);
      const x = on.randoms(most * k, random), w = on.matrix(backend, packed);
      const bias = on.vector(backend, on.randoms(n, random));
      const alone = new Float32Array(most * n);
      for (let t = 0; t < most; t++) {
        const tx = on.tensor(backend, 1, k, x.slice(t * k, (t + 1) * k));
        alone.set(await runLinear(backend, { x: tx, w, bias }), t * n);
        backend.free(tx.buffer);
      }
      for (const count of [...Array(33).keys()].map((i) => i + 1).concat(64, 65, 70)) {
        const first = count < 35 ? (count * 7) % (most - count + 1) : 0;
        const tx = on.tensor(backend, count, k, x.slice(first * k, (first + count) * k));
        const got = await runLinear(backend, { x: tx, w, bias });
        const expected = alone.subarray(first * n, (first + count) * n);
        on.assertSameBits(got, expected, `${name} [${n}, ${k}] rows ${first}+${count}`);
        backend.free(tx.buffer);
      }
    }
    backend.close();
  });
}

on.each("linear: random shapes of random widths against float64", async (open, device) => {
  const backend = await open(), random = seeded(10), names = Object.keys(on.FORMATS);
  const below = (n: number) => Math.floor(random() * n);
  for (let i = 0; i < (device === "cpu" ? 100 : 30); i++) {
    const name = names[below(names.length)]!, rows = 1 + below(12);
    const n = 1 + below(70), k = 1 + below(600);
    const packed = packedRandom(n, k, on.FORMATS[name]!, random);
    const x = on.randoms(rows * k, random), w = on.matrix(backend, packed);
    const tx = on.tensor(backend, rows, k, x);
    const expected = linearTwin({ x, w: packed.dense, rows, n, k });
    const got = await runLinear(backend, { x: tx, w });
    on.assertNmse(got, expected, NMSE.product, `case ${i}: ${name} [${rows}, ${n}, ${k}]`);
    for (const buffer of [w.buffer, tx.buffer]) backend.free(buffer);
  }
  backend.close();
});

async function runLinear(backend: Backend, op: Omit<LinearOp, "out">): Promise<Float32Array> {
  const out = on.tensor(backend, op.x.rows, op.w.layout.rows);
  backend.linear({ ...op, out });
  const values = await on.read(backend, out);
  backend.free(out.buffer);
  return values;
}

on.each("linear: masked rows are not written, the others keep their bits", async (open) => {
  const backend = await open(), random = seeded(13), rows = 9, n = 7, k = 100;
  for (const format of [on.FORMATS["2-bit group 64"]!, on.FORMATS["f32"]!]) {
    const w = on.matrix(backend, packedRandom(n, k, format, random));
    const x = on.tensor(backend, rows, k, on.randoms(rows * k, random));
    const whole = await runLinear(backend, { x, w });
    const mask = Int32Array.from([1, 0, 0, 1, 1, 0, 1, 0, 1]);
    for (const given of [mask, on.indices(backend, mask), new Int32Array(rows)]) {
      const got = await runLinear(backend, { x, w, mask: given });
      for (let t = 0; t < rows; t++) {
        const row = got.subarray(t * n, (t + 1) * n);
        const live = given instanceof Int32Array ? given[t] : mask[t];
        if (live === 0) assert(on.untouched(row), `row ${t} was written`);
        else on.assertSameBits(row, whole.subarray(t * n, (t + 1) * n), `row ${t}`);
      }
    }
  }
  backend.close();
});

on.each("linear: out may be the residual itself", async (open) => {
  const backend = await open(), random = seeded(14), rows = 5, n = 6, k = 64;
  const packed = packedRandom(n, k, on.FORMATS["4-bit group 64"]!, random);
  const x = on.randoms(rows * k, random), residual = on.randoms(rows * n, random);
  const out = on.tensor(backend, rows, n, residual);
  const tx = on.tensor(backend, rows, k, x);
  backend.linear({ x: tx, w: on.matrix(backend, packed), residual: out, out });
  const expected = linearTwin({ x, w: packed.dense, rows, n, k, residual });
  on.assertNmse(await on.read(backend, out), expected, NMSE.product, "in place");
  backend.close();
});

Deno.test("cpu, linear: hot and cold calls give the same bits", async () => {
  const backend = await on.cpu(), random = seeded(15), n = 16, k = 256;
  for (const name of ["2-bit group 64", "2-bit trellis", "8-bit per channel", "f16"]) {
    const w = on.matrix(backend, packedRandom(n, k, on.FORMATS[name]!, random));
    for (const rows of [1, 3]) {
      const x = on.tensor(backend, rows, k, on.randoms(rows * k, random));
      const cold = await runLinear(backend, { x, w });
      const out = on.tensor(backend, rows, n);
      for (let i = 0; i < 10_000; i++) backend.linear({ x, w, out });
      on.assertSameBits(await on.read(backend, out), cold, `${name}, ${rows} rows`);
    }
  }
  backend.close();
});

on.each("linear: all 65,536 halves come out exact, by row and by tile", async (open) => {
  const backend = await open(), n = 65536;
  const packed = packedRandom(n, 1, on.FORMATS["f16"]!, () => 0.5);
  const bits = new Uint16Array(packed.bytes.buffer), width = packed.layout.colsPadded;
  for (let i = 0; i < n; i++) bits[i * width] = i;
  const w = on.matrix(backend, packed), halves = new Float16Array(Uint16Array.from(bits).buffer);
  for (const rows of [1, 2]) {
    const x = on.tensor(backend, rows, 1, new Float32Array(rows).fill(1));
    const got = await runLinear(backend, { x, w });
    for (let i = 0; i < rows * n; i++) {
      const expected = halves[(i % n) * width]!;
      // +0 and -0 are the same sum; NaN is not equal to itself.
      const same = got[i] === expected || Number.isNaN(got[i]!) && Number.isNaN(expected);
      assert(same, `half ${(i % n).toString(16)} is ${got[i]}, not ${expected}`);
    }
  }
  backend.close();
});

on.each("linear: shapes that do not meet are refused", async (open) => {
  const backend = await open(), random = seeded(16);
  const w = on.matrix(backend, packedRandom(4, 64, on.FORMATS["f32"]!, random));
  const x = on.tensor(backend, 2, 64), out = on.tensor(backend, 2, 4);
  const refused = (op: Partial<LinearOp>, text: string) =>
    assertThrows(() => backend.linear({ x, w, out, ...op }), RangeError, text);
  refused({ x: on.tensor(backend, 2, 63) }, "w must have 63 columns");
  refused({ out: on.tensor(backend, 1, 4) }, "out must be [2, 4] (got [1, 4])");
  refused({ out: on.tensor(backend, 2, 5) }, "out must be [2, 4]");
  refused({ bias: on.vector(backend, new Float32Array(3)) }, "bias must be [4]");
  refused({ x: { ...x, rows: 30 }, out: on.tensor(backend, 30, 4) }, "a range must lie inside");
  refused({ mask: new Int32Array(1) }, "it needs 2 indices");
  backend.free(w.buffer);
  refused({}, "its buffer was freed");
  backend.close();
});
