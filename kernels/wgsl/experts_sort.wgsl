// Sorts (row, rank) pairs by slot and cuts each slot's pairs into tiles for experts_gemm.wgsl.
// One workgroup. Dispatch: [1]. Which pair comes first within a slot is left to chance: no bit depends on it.

override TILE_M: u32 = 16u;
const PLACE_SLOTS: u32 = 0x1000000u;

struct Params {
  first_pair: u32,
  pairs: u32,
  top_k: u32,
  places: u32,
  first_place: u32, // of this layout
  first_slot: u32,
  slots: u32,       // at most MOST_SLOTS
  mask: u32,        // NONE where every row is live
  order: u32,       // where the sorted pairs start in lists
}
const NONE: u32 = 0xffffffffu;
const MOST_SLOTS: u32 = 2048u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(4) var<storage, read> places: array<i32>;      // [T, top_k], -1 for none
@group(0) @binding(6) var<storage, read> mask: array<u32>;        // [T]
@group(0) @binding(7) var<storage, read_write> lists: array<u32>; // tiles, 0, 0, 0, then (slot, start, count, 0) a tile, then pairs

var<workgroup> counts: array<atomic<u32>, MOST_SLOTS>;
var<workgroup> next: array<atomic<u32>, MOST_SLOTS>;

/// The pair's slot where it is live and lies in this arena, else NONE.
fn slot_of(pair: u32) -> u32 {
  if (p.mask != NONE) {
    if (mask[p.mask + pair / p.top_k] == 0u) { return NONE; }
  }
  let slot = u32(places[p.places + pair]) - p.first_place;
  if (slot >= PLACE_SLOTS) { return NONE; }
  return select(NONE, slot - p.first_slot, slot - p.first_slot < p.slots);
}

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) li: u32) {
  for (var s = li; s < p.slots; s += 64u) { atomicStore(&counts[s], 0u); }
  workgroupBarrier();
  for (var i = li; i < p.pairs; i += 64u) {
    let s = slot_of(p.first_pair + i);
    if (s != NONE) { atomicAdd(&counts[s], 1u); }
  }
  workgroupBarrier();
  if (li == 0u) {
    var start = 0u;
    var tiles = 0u;
    for (var s = 0u; s < p.slots; s++) {
      let count = atomicLoad(&counts[s]);
      atomicStore(&next[s], start);
      for (var begin = 0u; begin < count; begin += TILE_M) {
        let at = 4u + 4u * tiles;
        lists[at] = s;
        lists[at + 1u] = start + begin;
        lists[at + 2u] = min(TILE_M, count - begin);
        tiles += 1u;
      }
      start += count;
    }
    lists[0] = tiles;
  }
  workgroupBarrier();
  for (var i = li; i < p.pairs; i += 64u) {
    let pair = p.first_pair + i;
    let s = slot_of(pair);
    if (s != NONE) { lists[p.order + atomicAdd(&next[s], 1u)] = pair; }
  }
}
