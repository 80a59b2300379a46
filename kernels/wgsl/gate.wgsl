// Gated hidden layers: of each row of x, [gate, up], out[r, c] = gate[c] * sigmoid(gate[c]) * up[c]; or, clamped,
// with gate at most 7 and up within -7..7: gate * sigmoid(1.702 * gate) * (up + 1).
// Dispatch: [ceil(width / 64), rows].

override CLAMPED: bool = false;
/// x is read through out, and overlaps nothing of what is written.
override SHARED: bool = false;

struct Params {
  width: u32, // of out
  x: u32,
  out: u32,
  mask: u32,  // NONE where every row is live
}
const NONE: u32 = 0xffffffffu;
const MOST: f32 = 7.0;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;         // [rows, 2 * width]
@group(0) @binding(6) var<storage, read> mask: array<u32>;      // [rows]
@group(0) @binding(7) var<storage, read_write> out: array<f32>; // [rows, width]

fn at(i: u32) -> f32 {
  if (SHARED) { return out[p.x + i]; }
  return x[p.x + i];
}

/// gate * sigmoid(slope * gate). The power is never above 1, so that nothing overflows.
fn sigmoid_times(gate: f32, slope: f32) -> f32 {
  let power = exp(-abs(slope * gate));
  return gate * select(power, 1.0, gate >= 0.0) / (1.0 + power);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
  let r = wg.y;
  let c = wg.x * 64u + li;
  if (c >= p.width) { return; }
  if (p.mask != NONE) {
    if (mask[p.mask + r] == 0u) { return; }
  }
  let gate = at(r * 2u * p.width + c);
  let up = at(r * 2u * p.width + p.width + c);
  var result = 0.0;
  if (CLAMPED) { result = sigmoid_times(min(gate, MOST), 1.702) * (clamp(up, -MOST, MOST) + 1.0); }
  else { result = sigmoid_times(gate, 1.0) * up; }
  out[p.out + r * p.width + c] = result;
}
