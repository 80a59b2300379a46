// Keys and values of rows to their places in pages, a workgroup a row. Dispatch: [rows].

const PAGE: u32 = 16u;

struct Params {
  d: u32,
  k: u32,
  v: u32,
  kv: u32,
  places: u32,
  count: u32, // places that exist
  mask: u32,  // NONE where every row is live
}
const NONE: u32 = 0xffffffffu;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> k: array<f32>;        // [T, d]
@group(0) @binding(2) var<storage, read> v: array<f32>;        // [T, d]
@group(0) @binding(4) var<storage, read> places: array<i32>;   // [T] page * 16 + place in page; -1 writes nothing
@group(0) @binding(6) var<storage, read> mask: array<u32>;     // [T]
@group(0) @binding(7) var<storage, read_write> kv: array<f32>; // [pages, 2, 16, d]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
  let t = wg.x;
  if (p.mask != NONE) {
    if (mask[p.mask + t] == 0u) { return; }
  }
  let place = u32(places[p.places + t]);
  if (place >= p.count) { return; }
  let at = p.kv + (place / PAGE * 2u * PAGE + place % PAGE) * p.d;
  for (var c = li; c < p.d; c += 64u) {
    kv[at + c] = k[p.k + t * p.d + c];
    kv[at + PAGE * p.d + c] = v[p.v + t * p.d + c];
  }
}
