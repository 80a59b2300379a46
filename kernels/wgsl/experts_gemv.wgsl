// One projection of the experts of (row, rank) pairs, a workgroup a pair and ROWS matrix rows:
// out[pair, n] = act(sum_k x[pair, k] w_slot[n, k] + bias_slot[n]), where slot is that of the pair's place; where
// SUM is set, what out[pair, n] was is part of the sum. Slots of no units are one matrix that all experts share.
// Compiled behind weights.wgsl and gemv.wgsl. Dispatch: [ceil(n / ROWS), pairs]. Pairs whose place is
// of another layout or arena, and masked rows, are left alone.

const PLACE_SLOTS: u32 = 0x1000000u;

struct Params {
  n: u32,
  kq: u32,
  units: u32,
  codes: u32,        // where the projection begins in a block, in vec4<u32>
  scales: u32,       // its first scale in a block, in halves
  groups: u32,
  bias: u32,         // its first bias in a block, in words; NONE without
  flags: u32,        // RELU, SUM
  first_pair: u32,   // of the call: row * top_k + rank
  top_k: u32,
  x: u32,            // first vector of x
  x_from: u32,       // pair or row that lies first in x
  x_each: u32,       // pairs a row of x: top_k where x has rows, 1 where it has pairs
  out: u32,          // first float of out
  out_from: u32,     // pair that lies first in out
  places: u32,       // first of the places
  first_place: u32,  // of this layout
  first_slot: u32,   // this arena's slots are first_slot .. first_slot + slots - 1
  slots: u32,
  slot_units: u32,   // vec4<u32> a slot
  mask: u32,         // first word of mask; NONE where every row is live
}
const NONE: u32 = 0xffffffffu;
const RELU: u32 = 1u;
const SUM: u32 = 2u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(4) var<storage, read> places: array<i32>;    // [T, top_k], -1 for none
@group(0) @binding(6) var<storage, read> mask: array<u32>;      // [T]
@group(0) @binding(7) var<storage, read_write> out: array<f32>; // [pairs, n]

/// The pair's slot in this arena, or more than it has.
fn slot_of(pair: u32) -> u32 {
  let slot = u32(places[p.places + pair]) - p.first_place;
  return select(NONE, slot - p.first_slot, slot < PLACE_SLOTS);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
  let pair = p.first_pair + wg.y;
  if (p.mask != NONE) {
    if (mask[p.mask + pair / p.top_k] == 0u) { return; }
  }
  let slot = slot_of(pair);
  if (slot >= p.slots) { return; }
  let block = slot * p.slot_units;
  let first = wg.x * ROWS;
  let row = p.x + (pair / p.x_each - p.x_from) * p.kq;
  let source = Source(row, p.kq, p.units, block + p.codes, block * 8u + p.scales, p.groups);
  var v = products(source, li, first, p.n);
  let n = own_row(li, first);
  if (li % LANES >= 4u || n >= p.n) { return; }
  if (p.bias != NONE) { v += bitcast<f32>(words[block * 4u + p.bias + n]); }
  let at = p.out + (pair - p.out_from) * p.n + n;
  if ((p.flags & SUM) != 0u) { v += out[at]; }
  if ((p.flags & RELU) != 0u) { v = max(v, 0.0); }
  out[at] = v;
}
