// out[t, n] = act(sum_k x[t, k] w[n, k] + bias[n]) + residual[t, n], a workgroup a row t and ROWS rows of w.
// Compiled behind weights.wgsl and gemv.wgsl. Dispatch: [ceil(n / ROWS), rows].

struct Params {
  rows: u32,     // T of this dispatch
  n: u32,        // matrix rows of this dispatch
  kq: u32,       // K / 4
  units: u32,    // units a matrix row
  codes: u32,    // where the matrix begins in codes, counted in vec4<u32>
  scales: u32,   // first scale, in halves
  groups: u32,   // scales a matrix row
  x: u32,        // first vector of x
  out: u32,      // first float of out
  stride: u32,   // floats from one row of out to the next; residual has the same
  bias: u32,     // first float of bias
  residual: u32, // first float of residual
  mask: u32,     // first word of mask
  flags: u32,    // 1 bias, 2 relu, 4 residual, 8 the residual is out, 16 mask
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(4) var<storage, read> bias: array<f32>;           // [N]
@group(0) @binding(5) var<storage, read> residual: array<f32>;       // [T, N]
@group(0) @binding(6) var<storage, read> mask: array<u32>;           // [T]
@group(0) @binding(7) var<storage, read_write> out: array<f32>;      // [T, N]

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
  let t = wg.y;
  if ((p.flags & 16u) != 0u) {
    if (mask[p.mask + t] == 0u) { return; }
  }
  let first = wg.x * ROWS;
  let source = Source(p.x + t * p.kq, p.kq, p.units, p.codes, p.scales, p.groups);
  var v = products(source, li, first, p.n);
  let n = own_row(li, first);
  if (li % LANES >= 4u || n >= p.n) { return; }
  let i = t * p.stride + n;
  if ((p.flags & 1u) != 0u) { v += bias[p.bias + n]; }
  if ((p.flags & 2u) != 0u) { v = max(v, 0.0); }
  if ((p.flags & 8u) != 0u) { v += out[p.out + i]; }
  else if ((p.flags & 4u) != 0u) { v += residual[p.residual + i]; }
  out[p.out + i] = v;
}
