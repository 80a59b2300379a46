// Products of a tile of rows of activations with a tile of rows of a packed matrix. Compiled behind weights.wgsl;
// linear_gemm.wgsl and experts_gemm.wgsl say which rows and where results go.
//
// THREADS are TY along activations times TX along matrix rows; each holds 4 x 4 results in registers.
// Vectors of K are visited in the order of gemv.wgsl's lanes: lane 0's units, then lane 1's, and so on, and each
// result is summed as there.

override LANES: u32 = 32u;
override THREADS: u32 = 64u;
override TY: u32 = 8u;
override TX: u32 = THREADS / TY;
override TILE_M: u32 = 4u * TY;
override TILE_N: u32 = 4u * TX;
override STEP: u32 = 8u; // vectors of K a step

@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // activations [T, K / 4]

struct Source {
  kq: u32,
  units: u32,
  codes: u32,
  scales: u32,
  groups: u32,
}

var<workgroup> x_rows: array<u32, TILE_M>; // first vector of each row of activations, or NO_ROW
var<workgroup> x_tile: array<vec4<f32>, STEP * TILE_M>;
var<workgroup> w_tile: array<vec4<f32>, STEP * TILE_N>;
const NO_ROW: u32 = 0xffffffffu;

/// Four results along matrix rows, for each of four rows of activations.
struct Totals {
  r0: vec4<f32>,
  r1: vec4<f32>,
  r2: vec4<f32>,
  r3: vec4<f32>,
}

/// One row of activations: a sum for each of four matrix rows, by place in a vector.
struct Sums {
  c0: vec4<f32>,
  c1: vec4<f32>,
  c2: vec4<f32>,
  c3: vec4<f32>,
}

fn across(v: vec4<f32>) -> f32 {
  return (v.x + v.y) + (v.z + v.w);
}

fn add(s: Sums, v: vec4<f32>, w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>) -> Sums {
  return Sums(fma(w0, v, s.c0), fma(w1, v, s.c1), fma(w2, v, s.c2), fma(w3, v, s.c3));
}

fn partial(s: Sums) -> vec4<f32> {
  return vec4<f32>(across(s.c0), across(s.c1), across(s.c2), across(s.c3));
}

/// Which unit and vector of it the z-th vector in order of lanes is; a unit beyond the row where a lane has fewer.
struct Place {
  unit: u32,
  j: u32,
}

fn place_of(z: u32, each: u32) -> Place {
  let position = z / KV;
  return Place(position % each * LANES + position / each, z % KV);
}

fn load(s: Source, li: u32, z0: u32, each: u32, first: u32, n: u32) {
  for (var i = li; i < STEP * TILE_M; i += THREADS) {
    let at = place_of(z0 + i % STEP, each);
    let row = x_rows[i / STEP];
    let k = at.unit * KV + at.j;
    var v = vec4<f32>();
    if (row != NO_ROW && at.unit < s.units && k < s.kq) { v = x[row + k]; }
    x_tile[i % STEP * TILE_M + i / STEP] = v;
  }
  for (var i = li; i < STEP * TILE_N; i += THREADS) {
    let at = place_of(z0 + i % STEP, each);
    let row = min(first + i / STEP, n - 1u);
    var w = vec4<f32>();
    if (at.unit < s.units) {
      var scale = 1.0;
      if (BITS < 16u) {
        scale = half_at(s.scales + row * s.groups + (at.unit * KV + at.j) / GROUP_KV);
      }
      w = weights_at(s.codes + (row * s.units + at.unit) * VECS, at.j, scale, row, s.units);
    }
    w_tile[i % STEP * TILE_N + i / STEP] = w;
  }
}

/// Results of rows ty, ty + TY, ... of x_rows and of matrix rows first + tx, first + tx + TX, ...
fn products(s: Source, li: u32, first: u32, n: u32) -> Totals {
  let tx = li % TX;
  let ty = li / TX;
  let each = (s.units + LANES - 1u) / LANES;
  let end = each * LANES * KV;
  var totals = Totals();
  var s0 = Sums();
  var s1 = Sums();
  var s2 = Sums();
  var s3 = Sums();
  var left = each * KV; // vectors until the lane ends
  for (var z0 = 0u; z0 < end; z0 += STEP) {
    load(s, li, z0, each, first, n);
    workgroupBarrier();
    for (var z = 0u; z < STEP; z++) {
      let xb = z * TILE_M + ty;
      let wb = z * TILE_N + tx;
      let w0 = w_tile[wb];
      let w1 = w_tile[wb + TX];
      let w2 = w_tile[wb + 2u * TX];
      let w3 = w_tile[wb + 3u * TX];
      s0 = add(s0, x_tile[xb], w0, w1, w2, w3);
      s1 = add(s1, x_tile[xb + TY], w0, w1, w2, w3);
      s2 = add(s2, x_tile[xb + 2u * TY], w0, w1, w2, w3);
      s3 = add(s3, x_tile[xb + 3u * TY], w0, w1, w2, w3);
      left -= 1u;
      if (left == 0u) {
        totals.r0 += partial(s0);
        totals.r1 += partial(s1);
        totals.r2 += partial(s2);
        totals.r3 += partial(s3);
        s0 = Sums();
        s1 = Sums();
        s2 = Sums();
        s3 = Sums();
        left = each * KV;
      }
    }
    workgroupBarrier();
  }
  return totals;
}
