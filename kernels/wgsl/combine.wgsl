// out[t, c] = residual[t, c] + scale * sum over rank of weights[t, rank] * expert_out[t, rank, c], in rank order.
// Dispatch: [ceil(d / 64), rows].

struct Params {
  d: u32,
  top_k: u32,
  scale: f32,
  expert_out: u32,
  weights: u32,
  residual: u32, // NONE: the residual is out
  out: u32,
  mask: u32,     // NONE where every row is live
}
const NONE: u32 = 0xffffffffu;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> expert_out: array<f32>; // [T, top_k, d]
@group(0) @binding(2) var<storage, read> weights: array<f32>;    // [T, top_k]
@group(0) @binding(3) var<storage, read> residual: array<f32>;   // [T, d]
@group(0) @binding(6) var<storage, read> mask: array<u32>;       // [T]
@group(0) @binding(7) var<storage, read_write> out: array<f32>;  // [T, d]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
  let t = wg.y;
  let c = wg.x * 64u + li;
  if (c >= p.d) { return; }
  if (p.mask != NONE) {
    if (mask[p.mask + t] == 0u) { return; }
  }
  var sum = 0.0;
  for (var rank = 0u; rank < p.top_k; rank++) {
    let pair = t * p.top_k + rank;
    sum = fma(weights[p.weights + pair], expert_out[p.expert_out + pair * p.d + c], sum);
  }
  let i = p.out + t * p.d + c;
  var kept = 0.0;
  if (p.residual == NONE) { kept = out[i]; } else { kept = residual[p.residual + t * p.d + c]; }
  out[i] = fma(p.scale, sum, kept);
}
