// x[t, c] = min(limit, max(-limit, x[t, c])), in place. Dispatch: [ceil(width / 64), rows].

struct Params {
  width: u32,
  x: u32,
  mask: u32, // NONE where every row is live
  limit: f32,
}
const NONE: u32 = 0xffffffffu;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(6) var<storage, read> mask: array<u32>;    // [T]
@group(0) @binding(7) var<storage, read_write> x: array<f32>; // [T, width]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
  let c = wg.x * 64u + li;
  if (c >= p.width) { return; }
  if (p.mask != NONE) {
    if (mask[p.mask + wg.y] == 0u) { return; }
  }
  let i = p.x + wg.y * p.width + c;
  x[i] = clamp(x[i], -p.limit, p.limit);
}
