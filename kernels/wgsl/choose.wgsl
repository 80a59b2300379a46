// The router's choice: the top_k most likely experts of each row and their weights, a workgroup a row.
// Equal logits go to the lower index; a row of NaN gets experts 0 and 1. Dispatch: [rows].

struct Params {
  n: u32,       // experts
  stride: u32,  // floats a row of logits
  logits: u32,
  top_k: u32,   // 1 or 2
  share: u32,   // 1: chosen probabilities over their sum; 0: as they are
  first: u32,   // row of the call that logits begin with
  ids: u32,
  weights: u32,
  mask: u32,    // NONE where every row is live
}
const NONE: u32 = 0xffffffffu;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;         // [rows, n]
@group(0) @binding(5) var<storage, read_write> ids: array<i32>;      // [T, top_k]
@group(0) @binding(6) var<storage, read> mask: array<u32>;           // [T]
@group(0) @binding(7) var<storage, read_write> weights: array<f32>;  // [T, top_k]

var<workgroup> values: array<f32, 64>;
var<workgroup> indices: array<u32, 64>;

/// The index of the greatest logit but `not`, the lowest of equal ones; NONE where all are NaN.
fn best(li: u32, base: u32, not_this: u32) -> u32 {
  var value = -3.4e38;
  var index = NONE;
  for (var e = li; e < p.n; e += 64u) {
    let l = logits[base + e];
    if (e != not_this && (l > value || (l == value && e < index))) {
      value = l;
      index = e;
    }
  }
  values[li] = value;
  indices[li] = index;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half >>= 1u) {
    if (li < half) {
      let v = values[li + half];
      let i = indices[li + half];
      if (v > values[li] || (v == values[li] && i < indices[li])) {
        values[li] = v;
        indices[li] = i;
      }
    }
    workgroupBarrier();
  }
  let found = indices[0];
  workgroupBarrier();
  return found;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
  let t = p.first + wg.x;
  if (p.mask != NONE) {
    if (mask[p.mask + t] == 0u) { return; }
  }
  let base = p.logits + wg.x * p.stride;
  var first = best(li, base, NONE);
  if (first == NONE) { first = 0u; }
  let top = logits[base + first];
  var second = NONE;
  if (p.top_k == 2u) {
    second = best(li, base, first);
    if (second == NONE) { second = select(0u, 1u, first == 0u); }
  }
  var sum = 0.0;
  for (var e = li; e < p.n; e += 64u) { sum += exp(logits[base + e] - top); }
  values[li] = sum;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half >>= 1u) {
    if (li < half) { values[li] += values[li + half]; }
    workgroupBarrier();
  }
  if (li != 0u) { return; }
  let whole = values[0];
  let at = t * p.top_k;
  ids[p.ids + at] = i32(first);
  if (p.top_k == 1u) {
    weights[p.weights + at] = select(1.0 / whole, 1.0, p.share == 1u);
    return;
  }
  let other = exp(logits[base + second] - top);
  let over = select(whole, 1.0 + other, p.share == 1u);
  ids[p.ids + at + 1u] = i32(second);
  weights[p.weights + at] = 1.0 / over;
  weights[p.weights + at + 1u] = other / over;
}
