// out[t, n] = act(sum_k x[t, k] w[n, k] + bias[n]) + residual[t, n], a tile a workgroup.
// Compiled behind weights.wgsl and gemm.wgsl. Dispatch: [ceil(n / TILE_N), ceil(rows / TILE_M)].

struct Params { // as in linear_gemv.wgsl
  rows: u32,
  n: u32,
  kq: u32,
  units: u32,
  codes: u32,
  scales: u32,
  groups: u32,
  x: u32,
  out: u32,
  stride: u32,
  bias: u32,
  residual: u32,
  mask: u32,
  flags: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(4) var<storage, read> bias: array<f32>;      // [N]
@group(0) @binding(5) var<storage, read> residual: array<f32>;  // [T, N]
@group(0) @binding(6) var<storage, read> mask: array<u32>;      // [T]
@group(0) @binding(7) var<storage, read_write> out: array<f32>; // [T, N]

fn finish(t: u32, first: u32, v: vec4<f32>) {
  if (t >= p.rows) { return; }
  if ((p.flags & 16u) != 0u) {
    if (mask[p.mask + t] == 0u) { return; }
  }
  for (var c = 0u; c < 4u; c++) {
    let n = first + c * TX;
    if (n >= p.n) { return; }
    let i = t * p.stride + n;
    var r = v[c];
    if ((p.flags & 1u) != 0u) { r += bias[p.bias + n]; }
    if ((p.flags & 2u) != 0u) { r = max(r, 0.0); }
    if ((p.flags & 8u) != 0u) { r += out[p.out + i]; }
    else if ((p.flags & 4u) != 0u) { r += residual[p.residual + i]; }
    out[p.out + i] = r;
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
  let t0 = wg.y * TILE_M;
  for (var i = li; i < TILE_M; i += THREADS) {
    x_rows[i] = select(NO_ROW, p.x + (t0 + i) * p.kq, t0 + i < p.rows);
  }
  workgroupBarrier();
  let totals = products(Source(p.kq, p.units, p.codes, p.scales, p.groups), li, wg.x * TILE_N, p.n);
  let t = t0 + li / TX;
  let first = wg.x * TILE_N + li % TX;
  finish(t, first, totals.r0);
  finish(t + TY, first, totals.r1);
  finish(t + 2u * TY, first, totals.r2);
  finish(t + 3u * TY, first, totals.r3);
}
