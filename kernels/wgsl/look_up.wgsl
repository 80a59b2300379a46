// Optimistic routing: where each chosen expert lies, and which rows must stop because one of their group misses one.
// A thread a row; every row of a group is live when it begins, or none is. Dispatch: [ceil(rows / 64)].

struct Params {
  rows: u32,
  top_k: u32,
  experts: u32,       // of this layer
  layer: u32,         // what is written for rows that stop here
  ids: u32,
  table: u32,
  group_starts: u32,
  group_lengths: u32,
  places: u32,
  live: u32,
  faults: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
// Choices are only read; they may lie in the buffer that faults are written to, which one kernel may not bind both ways.
@group(0) @binding(1) var<storage, read_write> ids: array<i32>;     // [T, top_k]
@group(0) @binding(2) var<storage, read> table: array<i32>;         // [experts] place, or -1
@group(0) @binding(3) var<storage, read> group_starts: array<i32>;  // [T]
@group(0) @binding(4) var<storage, read> group_lengths: array<i32>; // [T]
@group(0) @binding(5) var<storage, read_write> places: array<i32>;  // [T, top_k]
@group(0) @binding(6) var<storage, read_write> live: array<u32>;    // [T]
@group(0) @binding(7) var<storage, read_write> faults: array<i32>;  // [T]

fn place_of(pair: u32) -> i32 {
  let expert = u32(ids[p.ids + pair]);
  if (expert >= p.experts) { return -1; }
  return table[p.table + expert];
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x;
  // Only a row's own thread writes its word of live, so no thread sees another's change.
  if (t >= p.rows || live[p.live + t] == 0u) { return; }
  for (var pair = t * p.top_k; pair < (t + 1u) * p.top_k; pair++) {
    places[p.places + pair] = place_of(pair);
  }
  let first = u32(group_starts[p.group_starts + t]);
  let end = min(first + u32(group_lengths[p.group_lengths + t]), p.rows);
  for (var pair = first * p.top_k; pair < end * p.top_k; pair++) {
    if (place_of(pair) < 0) {
      live[p.live + t] = 0u;
      faults[p.faults + t] = i32(p.layer);
      return;
    }
  }
}
