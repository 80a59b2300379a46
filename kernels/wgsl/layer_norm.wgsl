// out = (x - mean) / sqrt(variance + epsilon) * weight + bias, a workgroup a row; or, as RMS norm, with no mean taken
// off and no bias: x / sqrt(mean of squares + epsilon) * weight * scale. Dispatch: [rows].

/// x is read through out.
override IN_PLACE: bool = false;
override RMS: bool = false;

struct Params {
  d: u32,
  x: u32,
  weight: u32,
  bias: u32,
  out: u32,
  mask: u32, // NONE where every row is live
  epsilon: f32,
  scale: f32, // RMS only
}
const NONE: u32 = 0xffffffffu;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;         // [T, d]
@group(0) @binding(2) var<storage, read> weight: array<f32>;    // [d]
@group(0) @binding(3) var<storage, read> bias: array<f32>;      // [d]
@group(0) @binding(6) var<storage, read> mask: array<u32>;      // [T]
@group(0) @binding(7) var<storage, read_write> out: array<f32>; // [T, d]

var<workgroup> part: array<f32, 64>;

fn at(row: u32, i: u32) -> f32 {
  if (IN_PLACE) { return out[p.out + row + i]; }
  return x[p.x + row + i];
}

fn total(li: u32, own: f32) -> f32 {
  part[li] = own;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half >>= 1u) {
    if (li < half) { part[li] += part[li + half]; }
    workgroupBarrier();
  }
  let sum = part[0];
  workgroupBarrier();
  return sum;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
  if (p.mask != NONE) {
    if (mask[p.mask + wg.x] == 0u) { return; }
  }
  let row = wg.x * p.d;
  var mean = 0.0;
  if (!RMS) {
    var sum = 0.0;
    for (var i = li; i < p.d; i += 64u) { sum += at(row, i); }
    mean = total(li, sum) / f32(p.d);
  }
  var squares = 0.0;
  for (var i = li; i < p.d; i += 64u) {
    let off = at(row, i) - mean;
    squares = fma(off, off, squares);
  }
  let scale = 1.0 / sqrt(total(li, squares) / f32(p.d) + p.epsilon);
  for (var i = li; i < p.d; i += 64u) {
    let normed = (at(row, i) - mean) * scale;
    if (RMS) { out[p.out + row + i] = normed * weight[p.weight + i] * p.scale; }
    else { out[p.out + row + i] = fma(normed, weight[p.weight + i], bias[p.bias + i]); }
  }
}
