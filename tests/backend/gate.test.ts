import { assert, assertEquals, assertThrows } from "@std/assert";
import { gateTwin } from "../../tools/twin/gate.ts";
import { seeded } from "../../tools/twin/packed.ts";
import * as on from "./device.ts";
import { NMSE } from "./tolerances.ts";

const GATINGS = ["gated silu", "clamped gated silu"] as const;

on.each("gate: any width against float64, masked, a row alone", async (open) => {
  const backend = await open(), random = seeded(91), rows = 6;
  const mask = Int32Array.of(1, 0, 1, 1, 0, 1);
  for (const width of [1, 2, 3, 4, 7, 64, 129, 512]) {
    // Beyond the clamp's 7 on either side.
    const x = on.randoms(rows * 2 * width, random, 6);
    for (const gating of GATINGS) {
      const run = async (first: number, n: number, live?: Int32Array) => {
        const part = x.slice(first * 2 * width, (first + n) * 2 * width);
        const from = on.tensor(backend, n, 2 * width, part), out = on.tensor(backend, n, width);
        backend.gate({ x: from, gating, out, mask: live });
        on.assertSameBits(await on.read(backend, from), part, "x stays as it is");
        return (await on.read(backend, out)).slice();
      };
      const whole = await run(0, rows), masked = await run(0, rows, mask);
      on.assertNmse(whole, gateTwin(x, width, gating), NMSE.gate, `${gating}, ${width}`);
      for (let t = 0; t < rows; t++) {
        const row = whole.subarray(t * width, (t + 1) * width);
        on.assertSameBits(await run(t, 1), row, `${gating}, ${width}: row ${t} alone`);
        const got = masked.subarray(t * width, (t + 1) * width);
        if (mask[t] === 0) assert(on.untouched(got), `row ${t} was written`);
        else on.assertSameBits(got, row, `${gating}, ${width}: row ${t} among masked ones`);
      }
    }
  }
  backend.close();
});

on.each(
  "gate: what is far from zero stays finite and right, each number by itself",
  async (open) => {
    const backend = await open();
    const sizes = [0, 1e-30, 1e-6, 0.5, 6.99, 7, 7.01, 20, 80, 87, 88, 89, 100, 1000, 1e10, 1.9e38];
    const gates = sizes.flatMap((g) => [g, -g]), n = gates.length;
    for (const gating of GATINGS) {
      for (const up of [1, -1, 0.25, 7, -30]) {
        const x = Float32Array.from([...gates, ...Array(n).fill(up)]);
        // Of large numbers, only the clamped gating bounds a product.
        if (gating === "gated silu" && Math.abs(up) > 1) continue;
        const out = on.tensor(backend, 1, n);
        backend.gate({ x: on.tensor(backend, 1, 2 * n, x), gating, out });
        const got = await on.read(backend, out), want = gateTwin(x, n, gating);
        got.forEach((value, i) => {
          assert(Number.isFinite(value), `${gating} of ${gates[i]} is ${value}`);
          // What is smaller than 1e-35 may be 0.
          const error = Math.abs(value - want[i]!), most = 3e-5 * Math.abs(want[i]!) + 1e-35;
          assert(error <= most, `${gating} of ${gates[i]}, ${up}: ${value}, not ${want[i]}`);
        });
      }
    }
    backend.close();
  },
);

on.each("gate: halves that do not meet and results over x are refused", async (open) => {
  const backend = await open(), x = on.tensor(backend, 4, 32);
  const run = (cols: number) => () =>
    backend.gate({ x, gating: "gated silu", out: on.tensor(backend, 4, cols) });
  run(16)();
  for (const cols of [15, 17, 32]) assertThrows(run(cols), RangeError);
  const short = on.tensor(backend, 3, 16);
  assertThrows(() => backend.gate({ x, gating: "gated silu", out: short }), RangeError);
  const over = { ...x, cols: 16 };
  assertThrows(() => backend.gate({ x, gating: "gated silu", out: over }), RangeError);
  assertEquals((await on.read(backend, x)).length, 128);
  backend.close();
});
