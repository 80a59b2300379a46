// Keys and values into pages.
import { toHalves } from "./simd";

export const PAGE_TOKENS = 16;

/** `count` floats as halves. */
function storeHalves(to: usize, from: usize, count: i32): void {
  let c = 0;
  for (; c + 4 <= count; c += 4) {
    v128.store64_lane(to + (<usize>c << 1), toHalves(v128.load(from + (<usize>c << 2))), 0);
  }
  for (; c < count; c++) {
    const h = toHalves(f32x4.splat(load<f32>(from + (<usize>c << 2))));
    store<u16>(to + (<usize>c << 1), <u16>i16x8.extract_lane_u(h, 0));
  }
}

/** Row t of k and v [*, width] to place places[t] = page * 16 + position; a negative place writes nothing. kv as in attention.ts. */
export function storeKv(
  k: usize, v: usize, rows: usize, count: i32, places: usize, width: i32, kv: usize, bits: i32,
): void {
  const row4 = <usize>width << 2;
  const stride = <usize>width * <usize>(bits >> 3);
  const half = stride * PAGE_TOKENS;
  for (let m = 0; m < count; m++) {
    const row = <usize>load<i32>(rows + (<usize>m << 2));
    const place = load<i32>(places + (row << 2));
    if (place < 0) continue;
    const to = kv + <usize>(place >> 4) * half * 2 + <usize>(place & 15) * stride;
    if (bits == 32) {
      memory.copy(to, k + row * row4, row4);
      memory.copy(to + half, v + row * row4, row4);
    } else {
      storeHalves(to, k + row * row4, width);
      storeHalves(to + half, v + row * row4, width);
    }
  }
}
