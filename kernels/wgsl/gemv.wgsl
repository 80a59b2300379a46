// Products of one row of activations with rows of a packed matrix. Compiled behind weights.wgsl; linear_gemv.wgsl
// and experts_gemv.wgsl say which rows and where results go.
//
// The order of every sum over K, here and in gemm.wgsl, so that a row has the same bits whoever shares the call:
// lane l of LANES takes units l, l + LANES, ... and adds products with fma into four sums, one for each place in a
// vector; the lane's partial is (x + y) + (z + w); partials are added to 0 in order of lane.
//
// A workgroup of THREADS has LANES threads along K times THREADS / LANES groups of four matrix rows.

override LANES: u32 = 32u;
override THREADS: u32 = 64u;
override ROWS: u32 = 4u * THREADS / LANES; // matrix rows a workgroup

@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // activations [T, K / 4]

struct Source {
  x: u32,      // first vector of the row of activations
  kq: u32,     // K / 4
  units: u32,  // units a matrix row
  codes: u32,  // where the matrix begins in codes
  scales: u32, // first scale, counted in halves
  groups: u32, // scales a matrix row
}

var<private> sum_0: vec4<f32>;
var<private> sum_1: vec4<f32>;
var<private> sum_2: vec4<f32>;
var<private> sum_3: vec4<f32>;
var<workgroup> partials: array<vec4<f32>, THREADS>;

fn x_at(s: Source, k: u32) -> vec4<f32> {
  if (PADDED) {
    if (k >= s.kq) { return vec4<f32>(); }
  }
  return x[s.x + k];
}

/// Adds one unit of four matrix rows from `row` on; `at` and `scale_at` are where the rows' units and scales begin.
fn add_unit(s: Source, u: u32, at: vec4<u32>, scale_at: vec4<u32>, row: u32) {
  let unit = at + vec4<u32>(u * VECS);
  let k = u * KV;
  if (BITS >= 16u) {
    let q0 = codes[unit.x];
    let q1 = codes[unit.y];
    let q2 = codes[unit.z];
    let q3 = codes[unit.w];
    for (var j = 0u; j < KV; j++) {
      let v = x_at(s, k + j);
      sum_0 = fma(plain(q0, j), v, sum_0);
      sum_1 = fma(plain(q1, j), v, sum_1);
      sum_2 = fma(plain(q2, j), v, sum_2);
      sum_3 = fma(plain(q3, j), v, sum_3);
    }
    return;
  }
  for (var h = 0u; h < HALVES; h++) { add_codes(s, k + h * 16u, unit, h, scale_at, row); }
}

/// Adds half `h` of a unit of codes, from vector `k` of the row on.
fn add_codes(s: Source, k: u32, unit: vec4<u32>, h: u32, scale_at: vec4<u32>, row: u32) {
  let each = 8u / FIELD; // vectors a segment
  let q0 = codes[unit.x + h];
  let q1 = codes[unit.y + h];
  let q2 = codes[unit.z + h];
  let q3 = codes[unit.w + h];
  var h0 = vec4<u32>();
  var h1 = vec4<u32>();
  var h2 = vec4<u32>();
  var h3 = vec4<u32>();
  if (BITS == 3u) {
    h0 = codes[unit.x + 2u];
    h1 = codes[unit.y + 2u];
    h2 = codes[unit.z + 2u];
    h3 = codes[unit.w + 2u];
  }
  if (TRELLIS) {
    let one = above(unit.x, row, s.units, 1u);
    let two = above(unit.x, row, s.units, 2u);
    h0 = upper_of(one, two, above(unit.x, row, s.units, 3u));
    h1 = upper_of(q0, one, two);
    h2 = upper_of(q1, q0, one);
    h3 = upper_of(q2, q1, q0);
  }
  var scale = vec4<f32>();
  var o0 = vec4<f32>();
  var o1 = vec4<f32>();
  var o2 = vec4<f32>();
  var o3 = vec4<f32>();
  for (var g = 0u; g < 4u; g++) {
    // One scale for all of it, but where groups are narrower.
    if (g == 0u || (GROUP_KV < 4u * each && g == 2u)) {
      let group = scale_at + vec4<u32>((k + g * each) / GROUP_KV);
      scale = vec4<f32>(half_at(group.x), half_at(group.y), half_at(group.z), half_at(group.w));
      o0 = offsets(scale.x);
      o1 = offsets(scale.y);
      o2 = offsets(scale.z);
      o3 = offsets(scale.w);
    }
    let m0 = moved(q0, h0, h, g);
    let m1 = moved(q1, h1, h, g);
    let m2 = moved(q2, h2, h, g);
    let m3 = moved(q3, h3, h, g);
    for (var i = 0u; i < each; i++) {
      let v = x_at(s, k + g * each + i);
      sum_0 = fma(coded(m0, i, scale.x, o0), v, sum_0);
      sum_1 = fma(coded(m1, i, scale.y, o1), v, sum_1);
      sum_2 = fma(coded(m2, i, scale.z, o2), v, sum_2);
      sum_3 = fma(coded(m3, i, scale.w, o3), v, sum_3);
    }
  }
}

fn across(v: vec4<f32>) -> f32 {
  return (v.x + v.y) + (v.z + v.w);
}

/// Matrix row of this thread's result, once `products` has run: first + 4 * group + lane, for lanes 0..3.
fn own_row(li: u32, first: u32) -> u32 {
  return first + li / LANES * 4u + li % LANES;
}

/// Sums of matrix rows first .. first + ROWS - 1 (those below n); the one of `own_row`, in lanes 0..3.
fn products(s: Source, li: u32, first: u32, n: u32) -> f32 {
  let lane = li % LANES;
  let r = first + li / LANES * 4u;
  // Rows past the end repeat the last one; nobody keeps their sums.
  let row = min(vec4<u32>(r, r + 1u, r + 2u, r + 3u), vec4<u32>(n - 1u));
  let at = s.codes + row * (s.units * VECS);
  let scale_at = s.scales + row * s.groups;
  sum_0 = vec4<f32>();
  sum_1 = vec4<f32>();
  sum_2 = vec4<f32>();
  sum_3 = vec4<f32>();
  for (var u = lane; u < s.units; u += LANES) { add_unit(s, u, at, scale_at, r); }
  partials[li] = vec4<f32>(across(sum_0), across(sum_1), across(sum_2), across(sum_3));
  workgroupBarrier();
  var total = 0.0;
  if (lane < 4u) {
    let base = li - lane;
    for (var l = 0u; l < LANES; l++) { total += partials[base + l][lane]; }
  }
  return total;
}
