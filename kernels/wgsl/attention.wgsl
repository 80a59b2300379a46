// Attention of one query row and head a workgroup, over the row's own segment of k and v (encoder) or over its
// pages (decoder). Keys are taken in blocks of 64 from the first that the row sees on, so that a row's bits depend on
// nothing but its own length; the softmax is rescaled when a block brings a higher score. Dispatch: [heads, rows].

/// True: k and v are the same buffer of pages, each 16 keys [key_row] and then 16 values [key_row].
override PAGED: bool = false;
/// Pages hold halves, two channels a word; the head's width is even then.
override HALVES: bool = false;
/// Scores gain by how far a key lies from its query.
override BIASED: bool = false;
/// Each head has one more logit, without a value.
override SUNK: bool = false;
const PAGE: u32 = 16u;
const BLOCK: u32 = 64u;
/// Channels of a head that a thread sums up: ceil(head / 64), at most 4.
override EACH: u32 = 1u;
override MOST_HEAD: u32 = 64u * EACH;

struct Params {
  q_row: u32,   // floats a row of q and out: heads * head
  key_row: u32, // elements of a key: key heads * head
  each: u32,    // heads that read one key head
  head: u32,    // channels of a head
  scale: f32,   // of scores
  q: u32,
  k: u32,       // element of k's and v's first
  v: u32,
  table: u32,
  pages_per_row: u32,
  lengths: u32,
  out: u32,
  mask: u32,    // NONE where every row is live
  most: u32,    // positions that a row may have at most
  window: u32,  // the last positions that a row sees
  reach: u32,   // distances beyond count as this
  heads: u32,
  sinks: u32,
}
const NONE: u32 = 0xffffffffu;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<f32>;         // [T, q_row]
@group(0) @binding(2) var<storage, read> k: array<u32>;         // [rows, key_row] f32, or pages
@group(0) @binding(3) var<storage, read> v: array<u32>;         // [rows, key_row] f32, or the same pages
@group(0) @binding(4) var<storage, read> table: array<i32>;     // starts [T] or pages [T, pages_per_row]
@group(0) @binding(5) var<storage, read> lengths: array<i32>;   // [T]
@group(0) @binding(6) var<storage, read> mask: array<u32>;      // [T]
@group(0) @binding(7) var<storage, read_write> out: array<f32>; // [T, q_row]
@group(0) @binding(8) var<storage, read> bias: array<f32>;      // [2 * reach + 1, heads], and sinks [heads]

var<workgroup> query: array<f32, MOST_HEAD>;
var<workgroup> scores: array<f32, BLOCK>;
var<workgroup> chances: array<f32, BLOCK>;
var<workgroup> rows: array<u32, BLOCK>; // offset of each position of the block

/// Offset of position i's key row of this query row; a value lies as much further into v.
fn row_of(t: u32, i: u32) -> u32 {
  if (PAGED) {
    let page = u32(table[p.table + t * p.pages_per_row + i / PAGE]);
    return (page * 2u * PAGE + i % PAGE) * p.key_row;
  }
  return (u32(table[p.table + t]) + i) * p.key_row;
}

/// The query times the key whose first channel is element `at`.
fn product(at: u32) -> f32 {
  var sum = 0.0;
  if (HALVES) {
    for (var c = 0u; c < p.head; c += 2u) {
      let pair = unpack2x16float(k[(at + c) / 2u]);
      sum = fma(query[c + 1u], pair.y, fma(query[c], pair.x, sum));
    }
  } else {
    for (var c = 0u; c < p.head; c++) { sum = fma(query[c], bitcast<f32>(k[at + c]), sum); }
  }
  return sum;
}

/// Element `at` of v.
fn value(at: u32) -> f32 {
  if (HALVES) {
    let pair = unpack2x16float(v[at / 2u]);
    return select(pair.x, pair.y, at % 2u == 1u);
  }
  return bitcast<f32>(v[at]);
}

/// What the score of the key at position `i` gains, for a query at position `own`.
fn bias_of(i: u32, own: u32, head: u32) -> f32 {
  let reach = i32(p.reach);
  let distance = clamp(i32(i) - i32(own), -reach, reach) + reach;
  return bias[u32(distance) * p.heads + head];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
  let t = wg.y;
  if (p.mask != NONE) {
    if (mask[p.mask + t] == 0u) { return; }
  }
  let base = t * p.q_row + wg.x * p.head;
  let key = wg.x / p.each * p.head;
  let length = min(u32(lengths[p.lengths + t]), p.most);
  var position = length - 1u;
  if (BIASED && !PAGED) { position = t - u32(table[p.table + t]); }
  for (var c = li; c < p.head; c += 64u) { query[c] = q[p.q + base + c]; }
  workgroupBarrier();
  var top = -3.4e38;
  var sum = 0.0;
  if (SUNK) {
    top = bias[p.sinks + wg.x];
    sum = 1.0;
  }
  var own = vec4<f32>();
  // A thread without a channel of its own sums up the last one and keeps it to itself.
  let channel = p.v + key + min(vec4<u32>(li) + vec4<u32>(0u, 64u, 128u, 192u), vec4<u32>(p.head - 1u));
  for (var begin = length - min(p.window, length); begin < length; begin += BLOCK) {
    let count = min(BLOCK, length - begin);
    var row = 0u;
    if (li < count) {
      row = row_of(t, begin + li);
      var score = product(p.k + row + key);
      if (BIASED) { score = fma(score, p.scale, bias_of(begin + li, position, wg.x)); }
      else { score *= p.scale; }
      scores[li] = score;
    }
    workgroupBarrier();
    var higher = top;
    for (var i = 0u; i < count; i++) { higher = max(higher, scores[i]); }
    // Written only here: until the barrier above, others may still be at the block before.
    if (li < count) {
      chances[li] = exp(scores[li] - higher);
      rows[li] = row;
    }
    workgroupBarrier();
    let kept = exp(top - higher);
    sum *= kept;
    own *= kept;
    for (var i = 0u; i < count; i++) {
      let chance = chances[i];
      sum += chance;
      let at = rows[i];
      own.x = fma(chance, value(channel.x + at), own.x);
      if (EACH > 1u) { own.y = fma(chance, value(channel.y + at), own.y); }
      if (EACH > 2u) { own.z = fma(chance, value(channel.z + at), own.z); }
      if (EACH > 3u) { own.w = fma(chance, value(channel.w + at), own.w); }
    }
    top = higher;
  }
  for (var c = 0u; c < EACH; c++) {
    let i = c * 64u + li;
    if (i < p.head) { out[p.out + base + i] = own[c] / sum; }
  }
}
