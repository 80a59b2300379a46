import { assert, assertThrows } from "@std/assert";
import { clampTwin } from "../../tools/twin/clamp.ts";
import { seeded } from "../../tools/twin/packed.ts";
import * as on from "./device.ts";
import { NMSE } from "./tolerances.ts";

on.each("clamp: any width and bound, in place, masked, a row alone", async (open) => {
  const backend = await open(), random = seeded(92), rows = 5;
  const mask = Int32Array.of(0, 1, 1, 0, 1);
  for (const width of [1, 2, 3, 4, 6, 33, 256, 1023]) {
    const x = on.randoms(rows * width, random, 4);
    x[0] = 3e38, x[x.length - 1] = -3e38;
    for (const limit of [0.5, 6, 1e30]) {
      const run = async (first: number, n: number, live?: Int32Array) => {
        const t = on.tensor(backend, n, width, x.slice(first * width, (first + n) * width));
        backend.clamp({ x: t, limit, mask: live });
        return (await on.read(backend, t)).slice();
      };
      const whole = await run(0, rows), masked = await run(0, rows, mask);
      on.assertNmse(whole, clampTwin(x, limit), NMSE.clamp, `${width} within ${limit}`);
      for (let t = 0; t < rows; t++) {
        const [from, to] = [t * width, (t + 1) * width], row = whole.subarray(from, to);
        on.assertSameBits(await run(t, 1), row, `row ${t} alone`);
        const want = mask[t] === 0 ? x.subarray(from, to) : row;
        on.assertSameBits(masked.subarray(from, to), want, `row ${t} among masked ones`);
      }
    }
  }
  backend.close();
});

on.each("clamp: a bound that is none is refused", async (open) => {
  const backend = await open(), x = on.tensor(backend, 1, 8, new Float32Array(8).fill(2));
  for (const limit of [-1, NaN]) {
    assertThrows(() => backend.clamp({ x, limit }), RangeError);
  }
  assert((await on.read(backend, x)).every((value) => value === 2));
  backend.close();
});
