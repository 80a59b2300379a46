// The router's choice: the top_k most likely experts of each row and their weights, a workgroup a row.
// Equal logits go to the lower index; where only NaN are left, the lowest index that is not chosen is next.
// Dispatch: [rows].

struct Params {
  n: u32,       // experts
  stride: u32,  // floats a row of logits
  logits: u32,
  top_k: u32,   // 1 to MOST_TOP_K
  share: u32,   // 1: chosen probabilities over their sum; 0: as they are
  first: u32,   // row of the call that logits begin with
  ids: u32,
  weights: u32,
  mask: u32,    // NONE where every row is live
}
const NONE: u32 = 0xffffffffu;
const MOST_TOP_K: u32 = 16u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;         // [rows, n]
@group(0) @binding(5) var<storage, read_write> ids: array<i32>;      // [T, top_k]
@group(0) @binding(6) var<storage, read> mask: array<u32>;           // [T]
@group(0) @binding(7) var<storage, read_write> weights: array<f32>;  // [T, top_k]

var<workgroup> values: array<f32, 64>;
var<workgroup> indices: array<u32, 64>;
var<workgroup> chosen: array<u32, MOST_TOP_K>; // in rank order

/// An expert and its logit.
struct Choice {
  index: u32, // NONE where no expert is left but those of NaN
  value: f32,
}

/// The greatest logit of those that come after `last`, which has the rank before; the lowest index of equal ones.
fn next(li: u32, base: u32, rank: u32, last: Choice) -> Choice {
  var value = -3.4e38;
  var index = NONE;
  for (var e = li; e < p.n; e += 64u) {
    let l = logits[base + e];
    let after = rank == 0u || l < last.value || (l == last.value && e > last.index);
    if (after && (l > value || (l == value && e < index))) {
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
  let found = Choice(indices[0], values[0]);
  workgroupBarrier();
  return found;
}

/// The lowest index that is not among the first `count` chosen.
fn lowest_left(count: u32) -> u32 {
  for (var e = 0u; e < count; e++) {
    var taken = false;
    for (var rank = 0u; rank < count; rank++) { taken = taken || chosen[rank] == e; }
    if (!taken) { return e; }
  }
  return count;
}

/// The sum of exp(logit - top) over all experts.
fn whole(li: u32, base: u32, top: f32) -> f32 {
  var sum = 0.0;
  for (var e = li; e < p.n; e += 64u) { sum += exp(logits[base + e] - top); }
  values[li] = sum;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half >>= 1u) {
    if (li < half) { values[li] += values[li + half]; }
    workgroupBarrier();
  }
  let found = values[0];
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
  var last = Choice();
  for (var rank = 0u; rank < p.top_k; rank++) {
    last = next(li, base, rank, last);
    if (li == 0u) {
      if (last.index == NONE) { chosen[rank] = lowest_left(rank); }
      else { chosen[rank] = last.index; }
    }
  }
  workgroupBarrier();
  let top = logits[base + chosen[0]];
  var over = 0.0;
  if (p.share == 0u) { over = whole(li, base, top); }
  if (li < p.top_k && li > 0u) { values[li] = exp(logits[base + chosen[li]] - top); }
  if (li == 0u) { values[li] = 1.0; }
  workgroupBarrier();
  if (p.share == 1u) {
    for (var rank = 0u; rank < p.top_k; rank++) { over += values[rank]; }
  }
  if (li < p.top_k) {
    let at = t * p.top_k + li;
    ids[p.ids + at] = i32(chosen[li]);
    weights[p.weights + at] = values[li] / over;
  }
}
