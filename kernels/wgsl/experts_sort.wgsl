// Sorts (row, rank) pairs by expert and cuts each expert's pairs into tiles for experts_gemm.wgsl.
// One workgroup. Dispatch: [1]. Which pair comes first within an expert is left to chance: no bit depends on it.

override TILE_M: u32 = 16u;

struct Params {
  first_pair: u32,
  pairs: u32,
  top_k: u32,
  ids: u32,
  places: u32,
  place_count: u32, // at most MOST_EXPERTS
  first_slot: u32,
  slots: u32,
  mask: u32,        // NONE where every row is live
  order: u32,       // where the sorted pairs start in lists
}
const NONE: u32 = 0xffffffffu;
const MOST_EXPERTS: u32 = 1024u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(4) var<storage, read> ids: array<i32>;         // [T, top_k]
@group(0) @binding(5) var<storage, read> places: array<i32>;      // [experts] slot over all arenas, -1 for none
@group(0) @binding(6) var<storage, read> mask: array<u32>;        // [T]
@group(0) @binding(7) var<storage, read_write> lists: array<u32>; // tiles, 0, 0, 0, then (slot, start, count, 0) a tile, then pairs

var<workgroup> counts: array<atomic<u32>, MOST_EXPERTS>;
var<workgroup> next: array<atomic<u32>, MOST_EXPERTS>;

/// The pair's expert where it is live and lies in this arena, else NONE.
fn expert_of(pair: u32) -> u32 {
  if (p.mask != NONE) {
    if (mask[p.mask + pair / p.top_k] == 0u) { return NONE; }
  }
  let expert = u32(ids[p.ids + pair]);
  if (expert >= p.place_count) { return NONE; }
  return select(NONE, expert, u32(places[p.places + expert]) - p.first_slot < p.slots);
}

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) li: u32) {
  for (var e = li; e < p.place_count; e += 64u) { atomicStore(&counts[e], 0u); }
  workgroupBarrier();
  for (var i = li; i < p.pairs; i += 64u) {
    let e = expert_of(p.first_pair + i);
    if (e != NONE) { atomicAdd(&counts[e], 1u); }
  }
  workgroupBarrier();
  if (li == 0u) {
    var start = 0u;
    var tiles = 0u;
    for (var e = 0u; e < p.place_count; e++) {
      let count = atomicLoad(&counts[e]);
      atomicStore(&next[e], start);
      for (var begin = 0u; begin < count; begin += TILE_M) {
        let at = 4u + 4u * tiles;
        lists[at] = u32(places[p.places + e]) - p.first_slot;
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
    let e = expert_of(pair);
    if (e != NONE) { lists[p.order + atomicAdd(&next[e], 1u)] = pair; }
  }
}
