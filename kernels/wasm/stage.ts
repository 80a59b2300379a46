// Activations made ready for a product: gathered by row, padded with zeros, and prescaled.
//
// A kernel leaves codes where they lie in their word: a 2-bit code c at step s reads as c * 4^s. The activations
// of that step are multiplied by 4^-s here instead (exactly: a power of two), once a row and not once a weight.
// Levels of a trellis are bytes that stay in their word: four steps of 256^0, four of 256^-1 and so on.
// For the code that stands for zero, each group's sum of the true activations is kept, lane by lane.
import { loadLanes } from "./simd";

/**
 * xs[m] = x[rows[m]] padded to kPadded columns, step s (four columns) multiplied by base^-floor(s % period / each);
 * sums[m, g] = lane sums of the true x over a group of `group` columns (none where group is 0).
 * x f32 [*, k]; rows i32 [count]; xs f32 [count, kPadded]; sums v128 [count, kPadded / group].
 * base^-1 is `ratio`, a power of two.
 */
export function stage(
  x: usize, rows: usize, count: i32, k: i32, kPadded: i32,
  ratio: f32, period: i32, each: i32, group: i32, xs: usize, sums: usize,
): void {
  for (let m = 0; m < count; m++) {
    const from = x + <usize>load<i32>(rows + (<usize>m << 2)) * <usize>k * 4;
    stageRow(from, k, kPadded, ratio, period, each, group, xs, sums);
    xs += <usize>kPadded << 2;
    if (group != 0) sums += <usize>(kPadded / group) << 4;
  }
}

function stageRow(
  from: usize, k: i32, kPadded: i32, ratio: f32, period: i32, each: i32, group: i32, xs: usize, sums: usize,
): void {
  let factor: f32 = 1;
  let step = 0, held = 0;
  let inGroup = 0;
  let total = f32x4.splat(0);
  for (let c = 0; c < kPadded; c += 4) {
    const left = k - c;
    const v = left >= 4
      ? v128.load(from)
      : left > 0
      ? loadLanes(from, left, 0)
      : f32x4.splat(0);
    from += 16;
    v128.store(xs, f32x4.mul(v, f32x4.splat(factor)));
    xs += 16;
    if (++held == each) {
      held = 0;
      factor *= ratio;
    }
    if (++step == period) {
      step = held = 0;
      factor = 1;
    }
    if (group == 0) continue;
    total = f32x4.add(total, v);
    inGroup += 4;
    if (inGroup == group) {
      v128.store(sums, total);
      sums += 16;
      inGroup = 0;
      total = f32x4.splat(0);
    }
  }
}
