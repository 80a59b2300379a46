// One projection of experts for tiles of pairs that share one: as experts_gemv.wgsl, a tile a workgroup.
// Compiled behind weights.wgsl and gemm.wgsl, after experts_sort.wgsl has run.
// Dispatch: [ceil(n / TILE_N), the most tiles there can be].

struct Params { // as in experts_gemv.wgsl, with the order of pairs in place of their places
  n: u32,
  kq: u32,
  units: u32,
  codes: u32,
  scales: u32,
  groups: u32,
  bias: u32,
  flags: u32,
  x: u32,
  x_from: u32,
  x_each: u32,
  out: u32,
  out_from: u32,
  slot_units: u32,
  order: u32,
}
const NONE: u32 = 0xffffffffu;
const RELU: u32 = 1u;
const SUM: u32 = 2u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(4) var<storage, read> lists: array<u32>;     // of experts_sort.wgsl
@group(0) @binding(7) var<storage, read_write> out: array<f32>; // [pairs, n]

fn finish(start: u32, m: u32, count: u32, block: u32, first: u32, v: vec4<f32>) {
  if (m >= count) { return; }
  let pair = lists[p.order + start + m];
  for (var c = 0u; c < 4u; c++) {
    let n = first + c * TX;
    if (n >= p.n) { return; }
    var r = v[c];
    if (p.bias != NONE) { r += bitcast<f32>(words[block * 4u + p.bias + n]); }
    let at = p.out + (pair - p.out_from) * p.n + n;
    if ((p.flags & SUM) != 0u) { r += out[at]; }
    if ((p.flags & RELU) != 0u) { r = max(r, 0.0); }
    out[at] = r;
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
  if (wg.y >= lists[0]) { return; }
  let at = 4u + 4u * wg.y;
  let block = lists[at] * p.slot_units;
  let start = lists[at + 1u];
  let count = lists[at + 2u];
  for (var i = li; i < TILE_M; i += THREADS) {
    var row = NO_ROW;
    if (i < count) {
      row = p.x + (lists[p.order + start + i] / p.x_each - p.x_from) * p.kq;
    }
    x_rows[i] = row;
  }
  workgroupBarrier();
  let source = Source(p.kq, p.units, block + p.codes, block * 8u + p.scales, p.groups);
  let totals = products(source, li, wg.x * TILE_N, p.n);
  let m = li / TX;
  let first = wg.x * TILE_N + li % TX;
  finish(start, m, count, block, first, totals.r0);
  finish(start, m + TY, count, block, first, totals.r1);
  finish(start, m + 2u * TY, count, block, first, totals.r2);
  finish(start, m + 3u * TY, count, block, first, totals.r3);
}
