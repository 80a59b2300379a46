// The records of a row's tiles become its best words and their log probabilities, a workgroup a row.
// Equal values come in order of id. Dispatch: [rows].

const MOST_TILES: u32 = 1024u;

struct Params {
  candidates: u32,
  tiles: u32,      // at most MOST_TILES
  records: u32,
  vocab: u32,
  row: u32,        // row of the call that records begin with
  ids: u32,
  log_probs: u32,
  mask: u32,       // NONE where every row is live
}
const NONE: u32 = 0xffffffffu;
const LOWEST: f32 = -3.4e38;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> records: array<u32>;         // as vocab_tile.wgsl leaves them
@group(0) @binding(5) var<storage, read_write> ids: array<i32>;       // [T, candidates]
@group(0) @binding(6) var<storage, read> mask: array<u32>;            // [T]
@group(0) @binding(7) var<storage, read_write> log_probs: array<f32>; // [T, candidates]

var<workgroup> heads: array<u32, MOST_TILES>; // candidates of each tile that are taken
var<workgroup> values: array<f32, 64>;
var<workgroup> indices: array<u32, 64>;
var<workgroup> owners: array<u32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
  let t = p.row + wg.x;
  if (p.mask != NONE) {
    if (mask[p.mask + t] == 0u) { return; }
  }
  let size = 2u + 2u * p.candidates;
  let base = p.records + wg.x * p.tiles * size;
  var top = LOWEST;
  for (var i = li; i < p.tiles; i += 64u) {
    heads[i] = 0u;
    top = max(top, bitcast<f32>(records[base + i * size]));
  }
  values[li] = top;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half >>= 1u) {
    if (li < half) { values[li] = max(values[li], values[li + half]); }
    workgroupBarrier();
  }
  top = values[0];
  workgroupBarrier();
  var sum = 0.0;
  for (var i = li; i < p.tiles; i += 64u) {
    let at = base + i * size;
    sum = fma(bitcast<f32>(records[at + 1u]), exp(bitcast<f32>(records[at]) - top), sum);
  }
  values[li] = sum;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half >>= 1u) {
    if (li < half) { values[li] += values[li + half]; }
    workgroupBarrier();
  }
  let whole = log(values[0]);
  workgroupBarrier();
  for (var c = 0u; c < p.candidates; c++) {
    var value = LOWEST;
    var index = NONE;
    var owner = NONE;
    for (var i = li; i < p.tiles; i += 64u) {
      let taken = heads[i];
      if (taken < p.candidates) {
        let at = base + i * size + 2u + 2u * taken;
        let v = bitcast<f32>(records[at]);
        let id = records[at + 1u];
        if (v > value || (v == value && id < index)) {
          value = v;
          index = id;
          owner = i;
        }
      }
    }
    values[li] = value;
    indices[li] = index;
    owners[li] = owner;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half >>= 1u) {
      if (li < half) {
        let v = values[li + half];
        let i = indices[li + half];
        if (v > values[li] || (v == values[li] && i < indices[li])) {
          values[li] = v;
          indices[li] = i;
          owners[li] = owners[li + half];
        }
      }
      workgroupBarrier();
    }
    if (li == 0u) {
      let at = t * p.candidates + c;
      ids[p.ids + at] = i32(min(indices[0], p.vocab - 1u));
      log_probs[p.log_probs + at] = (values[0] - top) - whole;
      if (owners[0] != NONE) { heads[owners[0]] += 1u; }
    }
    workgroupBarrier();
  }
}
