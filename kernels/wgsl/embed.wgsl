// out[t, c] = table[ids[t], c] * scale + position_table[positions[t], c], a workgroup a row.
// Compiled behind weights.wgsl. Dispatch: [rows]. Ids of rows that this binding does not hold are left alone.

struct Params {
  d: u32,
  units: u32,
  codes: u32,
  scales: u32,
  groups: u32,
  first: u32,        // rows of the table bound: first .. first + count - 1
  count: u32,
  scale: f32,
  ids: u32,
  positions: u32,
  position_rows: u32,
  position_table: u32,
  out: u32,
  mask: u32,         // NONE where every row is live
}
const NONE: u32 = 0xffffffffu;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> position_table: array<f32>; // [positions, d]
@group(0) @binding(4) var<storage, read> ids: array<i32>;            // [T]
@group(0) @binding(5) var<storage, read> positions: array<i32>;      // [T]
@group(0) @binding(6) var<storage, read> mask: array<u32>;           // [T]
@group(0) @binding(7) var<storage, read_write> out: array<f32>;      // [T, d]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
  let t = wg.x;
  if (p.mask != NONE) {
    if (mask[p.mask + t] == 0u) { return; }
  }
  let row = u32(ids[p.ids + t]) - p.first;
  let position = u32(positions[p.positions + t]);
  if (row >= p.count || position >= p.position_rows) { return; }
  for (var k = li; 4u * k < p.d; k += 64u) {
    var scale = 1.0;
    if (BITS < 16u) { scale = half_at(p.scales + row * p.groups + k / GROUP_KV); }
    let w = weights_at(p.codes + (row * p.units + k / KV) * VECS, k % KV, scale, row, p.units);
    for (var c = 0u; c < 4u; c++) {
      let i = 4u * k + c;
      if (i < p.d) {
        out[p.out + t * p.d + i] =
          fma(w[c], p.scale, position_table[p.position_table + position * p.d + i]);
      }
    }
  }
}
