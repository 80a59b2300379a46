// Keys and values of rows to their places in pages, a workgroup a row. Dispatch: [rows].

/// Pages hold halves, two channels a word; the width is even then.
override HALVES: bool = false;
const PAGE: u32 = 16u;

struct Params {
  width: u32, // of a key: key heads * head
  k: u32,
  v: u32,
  kv: u32,    // element of kv's first
  places: u32,
  count: u32, // places that exist
  mask: u32,  // NONE where every row is live
}
const NONE: u32 = 0xffffffffu;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> k: array<f32>;        // [T, width]
@group(0) @binding(2) var<storage, read> v: array<f32>;        // [T, width]
@group(0) @binding(4) var<storage, read> places: array<i32>;   // [T] page * 16 + place in page; -1 writes nothing
@group(0) @binding(6) var<storage, read> mask: array<u32>;     // [T]
@group(0) @binding(7) var<storage, read_write> kv: array<u32>; // [pages, 2, 16, width] f32 or f16

/// Bits of the half nearest to x, ties to even, as the CPU backend rounds: what is beyond 65504 becomes 65504, NaN
/// stays NaN. Below 2^-14 the sum with 1/2, whose last bit is 2^-24, rounds.
fn half_bits(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let sign = (bits >> 16u) & 0x8000u;
  let size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) { return sign | 0x7e00u; }
  let kept = min(size, 0x477fe000u);
  if (kept < 0x38800000u) { return sign | (bitcast<u32>(bitcast<f32>(kept) + 0.5) - 0x3f000000u); }
  return sign | ((kept - 0x38000000u + 0xfffu + ((kept >> 13u) & 1u)) >> 13u);
}

fn pair(a: f32, b: f32) -> u32 { return half_bits(a) | (half_bits(b) << 16u); }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
  let t = wg.x;
  if (p.mask != NONE) {
    if (mask[p.mask + t] == 0u) { return; }
  }
  let place = u32(places[p.places + t]);
  if (place >= p.count) { return; }
  let at = p.kv + (place / PAGE * 2u * PAGE + place % PAGE) * p.width;
  let row_k = p.k + t * p.width;
  let row_v = p.v + t * p.width;
  if (HALVES) {
    for (var c = 2u * li; c < p.width; c += 128u) {
      kv[(at + c) / 2u] = pair(k[row_k + c], k[row_k + c + 1u]);
      kv[(at + PAGE * p.width + c) / 2u] = pair(v[row_v + c], v[row_v + c + 1u]);
    }
    return;
  }
  for (var c = li; c < p.width; c += 64u) {
    kv[at + c] = bitcast<u32>(k[row_k + c]);
    kv[at + PAGE * p.width + c] = bitcast<u32>(v[row_v + c]);
  }
}
