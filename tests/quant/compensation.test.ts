/** What weights make up for of a changed input, against the plain definition and on rows that it never saw. */
import { assert, assertAlmostEquals, assertEquals, assertLess } from "@std/assert";
import { rotate } from "../../src/base/rotation.ts";
import { Compensation } from "../../src/quant/compensation.ts";
import { Hessian, Moments } from "../../src/quant/moments.ts";
import { randomWeights, uniform } from "./random.ts";

/** A hidden layer relu(A x) and the same after A was changed a little, f32 [count, cols] each. */
function change(count: number, cols: number, seed: number, matrix = 7) {
  const inputs = Math.ceil(cols / 2);
  const a = randomWeights(cols * inputs, "gauss", matrix);
  const d = randomWeights(cols * inputs, "gauss", matrix + 1);
  const x = randomWeights(count * inputs, "gauss", seed);
  const was = new Float32Array(count * cols), is = new Float32Array(count * cols);
  for (let r = 0; r < count; r++) {
    for (let c = 0; c < cols; c++) {
      let [p, q] = [0, 0];
      for (let i = 0; i < inputs; i++) {
        p += a[c * inputs + i]! * x[r * inputs + i]!;
        q += (a[c * inputs + i]! + 0.4 * d[c * inputs + i]!) * x[r * inputs + i]!;
      }
      was[r * cols + c] = Math.max(0, p);
      is[r * cols + c] = Math.max(0, q);
    }
  }
  const next = uniform(seed);
  return { was, is, weights: Float64Array.from({ length: count }, () => 0.5 + next()) };
}

function compensation(of: ReturnType<typeof change>, cols: number, centred: boolean) {
  const moments = new Moments(cols);
  moments.add(of.is, of.weights.length, of.weights);
  const hessian = new Hessian(moments, centred);
  return { hessian, made: new Compensation(hessian, of, centred) };
}

Deno.test("a row and what is added solve the normal equations of least squares", () => {
  const count = 700, cols = 40;
  for (const centred of [false, true]) {
    const of = change(count, cols, 3), { hessian, made } = compensation(of, cols, centred);
    const row = randomWeights(cols, "gauss", 5), out = new Float32Array(cols);
    made.apply(row, out);
    const total = of.weights.reduce((a, b) => a + b);
    const squares = of.weights.reduce((a, b) => a + b * b, 0);
    const share = 1 - cols * squares / total ** 2;
    const mean = (f: (at: number) => number) =>
      of.weights.reduce((sum, w, r) => sum + w / total * f(r * cols), 0);
    for (let j = 0; j < cols; j++) {
      // (out - row) H / share is the covariance of what the change took off the output with input j.
      let left = 0;
      for (let i = 0; i < cols; i++) {
        left += (out[i]! - row[i]!) * hessian.blocks[0]![i * cols + j]! / share;
      }
      const gone = (at: number) =>
        row.reduce((sum, w, i) => sum + w * (of.was[at + i]! - of.is[at + i]!), 0);
      const due = mean((at) => gone(at) * of.is[at + j]!) -
        (centred ? mean(gone) * mean((at) => of.is[at + j]!) : 0);
      assertAlmostEquals(left, due, 1e-4);
    }
  }
});

Deno.test("rows never seen come out nearer", () => {
  const count = 3000, cols = 96;
  const { made } = compensation(change(count, cols, 11), cols, false);
  const fresh = change(60, cols, 12);
  const row = randomWeights(cols, "gauss", 13), out = new Float32Array(cols);
  made.apply(row, out);
  const error = (w: Float32Array) => {
    let sum = 0;
    for (let r = 0; r < 60; r++) {
      let [due, got] = [0, 0];
      for (let c = 0; c < cols; c++) {
        due += row[c]! * fresh.was[r * cols + c]!;
        got += w[c]! * fresh.is[r * cols + c]!;
      }
      sum += (due - got) ** 2;
    }
    return sum;
  };
  assertLess(error(out), 0.6 * error(row));
});

Deno.test("fewer samples than columns change nothing", () => {
  const { made } = compensation(change(60, 64, 1), 64, false);
  const row = randomWeights(64, "gauss", 2), out = new Float32Array(64);
  made.apply(row, out);
  assertEquals(out, row);
});

Deno.test("moments turned are those of turned samples", () => {
  for (const cols of [24, 96, 768]) {
    const { is, weights } = change(50, cols, 21);
    const moments = new Moments(cols), due = new Moments(cols), turned = is.slice();
    moments.add(is, 50, weights);
    for (let r = 0; r < 50; r++) rotate(turned, r * cols, cols);
    due.add(turned, 50, weights);
    const got = moments.rotated();
    assertEquals(got.total, due.total);
    got.sums.forEach((v, i) => assertAlmostEquals(v, due.sums[i]!, 1e-3 * cols));
    let apart = 0, whole = 0;
    for (let i = 0; i < cols; i++) {
      for (let j = i; j < cols; j++) {
        const want = due.blocks[0]![i * cols + j]!;
        apart += (got.blocks[0]![i * cols + j]! - want) ** 2;
        whole += want ** 2;
      }
    }
    assert(apart < 1e-10 * whole, `${cols} columns: ${apart} of ${whole}`);
  }
});
