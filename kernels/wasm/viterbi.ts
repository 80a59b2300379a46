// Viterbi's algorithm over the 64 states of the trellis code (src/base/trellis.ts): codes of one column of weights.
//
// A state is the codes of the three rows above, the nearest in the low two bits. The four states 4j .. 4j + 3 have the
// same four predecessors j, 16 + j, 32 + j and 48 + j, and differ by the code, so a vector holds what the four cost.

const STATES = 64;
const OLDEST = 16;
const STATE_BYTES: usize = STATES * 4;

/**
 * codes u8 [rows], of least sum of (target - scale * level)^2, behind the rows of `state`. targets, scales f32 [rows];
 * levels f32 [16]; offsets i32 [64], 16 times the upper bits that each state gives a level, as [j, k]; scratch: errors
 * f32 [16], costs f32 [rows + 1, 64].
 */
export function viterbi(
  targets: usize, scales: usize, rows: i32, state: i32, levels: usize, offsets: usize, errors: usize,
  costs: usize, codes: usize,
): void {
  for (let s = 0; s < STATES; s++) store<f32>(costs + (<usize>s << 2), f32.MAX_VALUE);
  store<f32>(costs + (<usize>state << 2), 0);
  let at = costs;
  for (let r: usize = 0; r < <usize>rows; r++) {
    errorsOf(load<f32>(targets + (r << 2)), load<f32>(scales + (r << 2)), levels, errors);
    step(at, offsets, errors);
    at += STATE_BYTES;
  }
  back(targets, scales, rows, levels, offsets, errors, at, codes);
}

// @ts-ignore: decorator
@inline function errorsOf(target: f32, scale: f32, levels: usize, errors: usize): void {
  const t = f32x4.splat(target), s = f32x4.splat(scale);
  for (let i: usize = 0; i < 64; i += 16) {
    const d = f32x4.sub(t, f32x4.mul(s, v128.load(levels + i)));
    v128.store(errors + i, f32x4.mul(d, d));
  }
}

/** One row: what the best way to each state costs. Which one it was is found again on the way back. */
function step(costs: usize, offsets: usize, errors: usize): void {
  let next = costs + STATE_BYTES;
  for (let j = 0; j < OLDEST; j++) {
    const best = f32x4.pmin(
      f32x4.pmin(
        f32x4.add(v128.load32_splat(costs), v128.load(errors + load<i32>(offsets))),
        f32x4.add(v128.load32_splat(costs, 64), v128.load(errors + load<i32>(offsets, 4))),
      ),
      f32x4.pmin(
        f32x4.add(v128.load32_splat(costs, 128), v128.load(errors + load<i32>(offsets, 8))),
        f32x4.add(v128.load32_splat(costs, 192), v128.load(errors + load<i32>(offsets, 12))),
      ),
    );
    v128.store(next, best);
    costs += 4;
    next += 16;
    offsets += 16;
  }
}

/** From the cheapest state at the end, whose costs are at `end`, to the first row. */
function back(
  targets: usize, scales: usize, rows: i32, levels: usize, offsets: usize, errors: usize, end: usize,
  codes: usize,
): void {
  let to = 0;
  for (let s = 1; s < STATES; s++) {
    if (load<f32>(end + (<usize>s << 2)) < load<f32>(end + (<usize>to << 2))) to = s;
  }
  for (let r = rows - 1; r >= 0; r--) {
    end -= STATE_BYTES;
    const code = to & 3, j = to >> 2, at = <usize>r;
    store<u8>(codes + at, code);
    errorsOf(load<f32>(targets + (at << 2)), load<f32>(scales + (at << 2)), levels, errors);
    let best = f32.MAX_VALUE, found = 0;
    for (let k = 0; k < 4; k++) {
      const offset = load<i32>(offsets + (<usize>(j * 4 + k) << 2)) + (code << 2);
      const cost = load<f32>(end + (<usize>(k * OLDEST + j) << 2)) + load<f32>(errors + offset);
      if (cost < best) best = cost, found = k;
    }
    to = found * OLDEST + j;
  }
}
