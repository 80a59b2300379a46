// Rows of activations as products want them where they are not so already: padded with zeros to a multiple of four,
// and rotated (src/base/rotation.ts) for matrices in a rotated basis: signs by column, then a Hadamard transform of
// each block. A workgroup a block and row. Dispatch: [ceil(padded / block), rows].

override ROTATED: bool = false;
const MOST: u32 = 1024u;

struct Params {
  cols: u32,
  padded: u32,
  block: u32, // columns a workgroup takes; of the rotation a power of two. At most MOST
  x: u32,
  out: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;         // [rows, cols]
@group(0) @binding(7) var<storage, read_write> out: array<f32>; // [rows, padded]

var<workgroup> values: array<f32, MOST>;

/// The sign bit of a column.
fn sign_of(col: u32) -> u32 {
  var h = (col + 1u) * 0x9e3779b1u;
  h ^= h >> 15u;
  h *= 0x85ebca77u;
  h ^= h >> 13u;
  return h << 31u;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
  let first = wg.x * p.block;
  let norm = 1.0 / sqrt(f32(p.block));
  for (var i = li; i < p.block; i += 64u) {
    let c = first + i;
    var v = 0.0;
    if (c < p.cols) { v = x[p.x + wg.y * p.cols + c]; }
    if (ROTATED) { v = bitcast<f32>(bitcast<u32>(v * norm) ^ sign_of(c)); }
    values[i] = v;
  }
  workgroupBarrier();
  if (ROTATED) {
    for (var stride = 1u; stride < p.block; stride <<= 1u) {
      for (var i = li; i < p.block / 2u; i += 64u) {
        let at = i / stride * 2u * stride + i % stride;
        let a = values[at];
        let b = values[at + stride];
        values[at] = a + b;
        values[at + stride] = a - b;
      }
      workgroupBarrier();
    }
  }
  for (var i = li; i < p.block; i += 64u) {
    if (first + i < p.padded) { out[p.out + wg.y * p.padded + first + i] = values[i]; }
  }
}
