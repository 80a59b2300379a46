import { assert, assertThrows } from "@std/assert";
import { embedTwin, layerNormTwin, rmsNormTwin } from "../../tools/twin/linear.ts";
import { packedRandom, seeded } from "../../tools/twin/packed.ts";
import * as on from "./device.ts";
import { NMSE } from "./tolerances.ts";

on.each("layerNorm: any width against float64, in place, masked, same bits", async (open) => {
  const backend = await open(), random = seeded(41), rows = 5;
  for (const d of [1, 2, 3, 4, 31, 256, 1023]) {
    const x = on.randoms(rows * d, random, 3).map((value) => value + 2);
    const weight = on.randoms(d, random), bias = on.randoms(d, random);
    const mask = Int32Array.from([1, 1, 0, 1, 1]);
    const op = {
      weight: on.vector(backend, weight),
      bias: on.vector(backend, bias),
      epsilon: 1e-5,
    };
    const expected = layerNormTwin(x, weight, bias, 1e-5);
    const out = on.tensor(backend, rows, d);
    backend.layerNorm({ ...op, x: on.tensor(backend, rows, d, x), out });
    const whole = (await on.read(backend, out)).slice();
    on.assertNmse(whole, expected, NMSE.layerNorm, `width ${d}`);
    const masked = on.tensor(backend, rows, d);
    backend.layerNorm({ ...op, x: on.tensor(backend, rows, d, x), out: masked, mask });
    const place = on.tensor(backend, rows, d, x);
    backend.layerNorm({ ...op, x: place, out: place });
    on.assertSameBits(await on.read(backend, place), whole, "in place");
    const got = await on.read(backend, masked);
    for (let t = 0; t < rows; t++) {
      const row = got.subarray(t * d, (t + 1) * d);
      if (mask[t] === 0) assert(on.untouched(row));
      else on.assertSameBits(row, whole.subarray(t * d, (t + 1) * d), `row ${t}`);
    }
  }
  backend.close();
});

on.each("rmsNorm: any width against float64, in place, masked, same bits", async (open) => {
  const backend = await open(), random = seeded(43), rows = 4;
  for (const d of [1, 2, 3, 4, 31, 256, 1023]) {
    const x = on.randoms(rows * d, random, 3).map((value) => value + 2);
    const weight = on.randoms(d, random), mask = Int32Array.from([1, 0, 1, 1]);
    const op = { weight: on.vector(backend, weight), epsilon: 1e-6, scale: d ** -0.5 };
    const out = on.tensor(backend, rows, d);
    backend.rmsNorm({ ...op, x: on.tensor(backend, rows, d, x), out });
    const whole = (await on.read(backend, out)).slice();
    on.assertNmse(whole, rmsNormTwin(x, weight, 1e-6, d ** -0.5), NMSE.layerNorm, `width ${d}`);
    const masked = on.tensor(backend, rows, d);
    backend.rmsNorm({ ...op, x: on.tensor(backend, rows, d, x), out: masked, mask });
    const got = await on.read(backend, masked);
    assert(on.untouched(got.subarray(d, 2 * d)));
    on.assertSameBits(got.subarray(2 * d), whole.subarray(2 * d), "masked");
    const place = on.tensor(backend, rows, d, x);
    backend.rmsNorm({ ...op, x: place, out: place });
    on.assertSameBits(await on.read(backend, place), whole, "in place");
  }
  backend.close();
});

for (const [name, format] of Object.entries(on.FORMATS)) {
  if (format.rotated || format.trellis) {
    on.each(`embed, ${name}: refused, as its rows are not read one by one`, async (open) => {
      const backend = await open(), packed = packedRandom(5, 64, format, seeded(1));
      const table = on.matrix(backend, packed), positions = new Int32Array(1);
      const out = on.tensor(backend, 1, 64), positionTable = on.tensor(backend, 1, 64);
      assertThrows(
        () =>
          backend.embed({ ids: new Int32Array(1), positions, table, scale: 1, positionTable, out }),
        RangeError,
        "a table's rows are",
      );
      backend.close();
    });
    continue;
  }
  on.each(`embed, ${name}: rows, positions and scale against float64`, async (open) => {
    const backend = await open(), random = seeded(42), vocab = 11, length = 6;
    for (const d of [1, 30, 64, 200]) {
      const packed = packedRandom(vocab, d, format, random);
      const positionTable = on.randoms(length * d, random);
      const ids = Int32Array.from([10, 0, 3, 3]), positions = Int32Array.from([0, 5, 2, 1]);
      const out = on.tensor(backend, 4, d), scale = Math.fround(Math.sqrt(d));
      const op = {
        ids,
        positions: on.indices(backend, positions),
        table: on.matrix(backend, packed),
        scale,
        positionTable: on.tensor(backend, length, d, positionTable),
      };
      backend.embed({ ...op, out });
      const got = await on.read(backend, out);
      const expected = embedTwin({ ids, positions, table: packed.dense, positionTable, scale, d });
      on.assertNmse(got, expected, NMSE.embed, `${name} width ${d}`);
      const masked = on.tensor(backend, 4, d);
      backend.embed({ ...op, out: masked, mask: Int32Array.from([0, 1, 1, 0]) });
      const rows = await on.read(backend, masked);
      assert(on.untouched(rows.subarray(0, d)) && on.untouched(rows.subarray(3 * d)));
      on.assertSameBits(rows.subarray(d, 3 * d), got.subarray(d, 3 * d), name);
      const beyond = { ...op, ids: Int32Array.from([0, 11, 0, 0]), out };
      assertThrows(() => backend.embed(beyond), RangeError, "ids must be 0 to 10 (got 11)");
    }
    backend.close();
  });
}
