// Rotary positions, in place: pairs of a head's channels turned by the row's angles, after an RMS norm where there is one.
import { rmsRow } from "./norm";

/** (a, b) to (a cos - b sin, b cos + a sin) for channels i and i + pairs, i below `pairs`. */
function turnHalves(at: usize, cosines: usize, pairs: i32): void {
  const half = <usize>pairs << 2, whole = <usize>(pairs & ~3) << 2;
  const sines = cosines + half, second = at + half;
  let i: usize = 0;
  for (; i < whole; i += 16) {
    const a = v128.load(at + i), b = v128.load(second + i);
    const c = v128.load(cosines + i), s = v128.load(sines + i);
    v128.store(at + i, f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s)));
    v128.store(second + i, f32x4.add(f32x4.mul(b, c), f32x4.mul(a, s)));
  }
  for (; i < half; i += 4) turn(at + i, second + i, load<f32>(cosines + i), load<f32>(sines + i));
}

/** The same for channels 2i and 2i + 1. */
function turnNeighbours(at: usize, cosines: usize, pairs: i32): void {
  const half = <usize>pairs << 2, sines = cosines + half;
  for (let i: usize = 0; i < half; i += 4) {
    const pair = at + (i << 1);
    turn(pair, pair + 4, load<f32>(cosines + i), load<f32>(sines + i));
  }
}

// @ts-ignore: decorator
@inline function turn(first: usize, second: usize, c: f32, s: f32): void {
  const a = load<f32>(first), b = load<f32>(second);
  store<f32>(first, a * c - b * s);
  store<f32>(second, b * c + a * s);
}

/**
 * x f32 [*, heads * headDim]; rows i32 [count]; weight f32 [headDim], 0 for no norm; angles f32 [*, turned]: cosines, then
 * sines. Channels of a head from `turned` on stay as they are.
 */
export function rotary(
  x: usize, rows: usize, count: i32, heads: i32, headDim: i32, weight: usize, epsilon: f32, angles: usize,
  turned: i32, neighbours: bool,
): void {
  const head = <usize>headDim << 2, pairs = turned >> 1;
  for (let m = 0; m < count; m++) {
    const row = <usize>load<i32>(rows + (<usize>m << 2));
    const cosines = angles + row * (<usize>turned << 2);
    let at = x + row * <usize>heads * head;
    for (let h = 0; h < heads; h++) {
      if (weight != 0) rmsRow(at, headDim, weight, epsilon, 1, at);
      if (neighbours) turnNeighbours(at, cosines, pairs);
      else turnHalves(at, cosines, pairs);
      at += head;
    }
  }
}
