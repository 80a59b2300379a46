// What remains of a tile of 512 logits of a row: their greatest, the sum of exponentials beside it, and the best
// candidates. A workgroup a tile and row. Dispatch: [tiles of this chunk, rows].

const TILE: u32 = 512u;
const EACH: u32 = TILE / 64u;

struct Params {
  n: u32,          // words of this chunk
  first: u32,      // word that the chunk begins with
  stride: u32,     // floats a row of logits
  logits: u32,
  candidates: u32,
  tiles: u32,      // tiles of the whole vocabulary
  records: u32,
  row: u32,        // row of the call that logits begin with
  mask: u32,       // NONE where every row is live
}
const NONE: u32 = 0xffffffffu;
const LOWEST: f32 = -3.4e38;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;        // [rows, stride]
@group(0) @binding(6) var<storage, read> mask: array<u32>;          // [T]
@group(0) @binding(7) var<storage, read_write> records: array<u32>; // [rows, tiles, 2 + 2 candidates]: bits of top, of sum, then (bits of value, id)

var<workgroup> tile: array<f32, TILE>;
var<workgroup> values: array<f32, 64>;
var<workgroup> indices: array<u32, 64>;

fn reduce(li: u32) {
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
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
  let row = wg.y;
  if (p.mask != NONE) {
    if (mask[p.mask + p.row + row] == 0u) { return; }
  }
  let begin = wg.x * TILE;
  let count = min(TILE, p.n - begin);
  for (var i = li; i < count; i += 64u) { tile[i] = logits[p.logits + row * p.stride + begin + i]; }
  workgroupBarrier();
  let record = p.records + (row * p.tiles + p.first / TILE + wg.x) * (2u + 2u * p.candidates);
  var taken = 0u;
  var top = 0.0;
  for (var c = 0u; c < p.candidates; c++) {
    var value = LOWEST;
    var index = NONE;
    for (var k = 0u; k < EACH; k++) {
      let i = k * 64u + li;
      if (i < count && (taken & (1u << k)) == 0u) {
        let l = tile[i];
        if (l > value || (l == value && i < index)) {
          value = l;
          index = i;
        }
      }
    }
    values[li] = value;
    indices[li] = index;
    reduce(li);
    let best = indices[0];
    let score = values[0];
    workgroupBarrier();
    if (best != NONE && best % 64u == li) { taken |= 1u << (best / 64u); }
    if (c == 0u) { top = score; }
    if (li == 0u) {
      records[record + 2u + 2u * c] = bitcast<u32>(score);
      records[record + 3u + 2u * c] = select(p.first + begin + best, NONE, best == NONE);
    }
  }
  var sum = 0.0;
  for (var i = li; i < count; i += 64u) { sum += exp(tile[i] - top); }
  values[li] = sum;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half >>= 1u) {
    if (li < half) { values[li] += values[li + half]; }
    workgroupBarrier();
  }
  if (li == 0u) {
    records[record] = bitcast<u32>(top);
    records[record + 1u] = bitcast<u32>(values[0]);
  }
}
