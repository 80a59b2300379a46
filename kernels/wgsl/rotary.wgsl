// Rotary positions, in place: in each head, pair i of channels (a, b) becomes (a cos_i - b sin_i, b cos_i + a sin_i).
// Channels from `turned` on stay. With NORM each head is first x / sqrt(mean of squares + epsilon) * weight.
// A workgroup a row and head. Dispatch: [heads, rows].

override NORM: bool = false;
/// Pair i is channels 2i and 2i + 1, else i and i + turned / 2.
override NEIGHBOURS: bool = false;

struct Params {
  width: u32,  // heads * head
  head: u32,   // channels of a head
  turned: u32, // even, at most head
  x: u32,
  angles: u32,
  weight: u32,
  mask: u32,   // NONE where every row is live
  epsilon: f32,
}
const NONE: u32 = 0xffffffffu;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> angles: array<f32>;  // [T, turned]: cosines, then sines
@group(0) @binding(2) var<storage, read> weight: array<f32>;  // [head]
@group(0) @binding(6) var<storage, read> mask: array<u32>;    // [T]
@group(0) @binding(7) var<storage, read_write> x: array<f32>; // [T, width]

var<workgroup> part: array<f32, 64>;

fn total(li: u32, own: f32) -> f32 {
  part[li] = own;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half >>= 1u) {
    if (li < half) { part[li] += part[li + half]; }
    workgroupBarrier();
  }
  return part[0];
}

/// Channel c of the head at `base`, normed where that is asked for.
fn channel(base: u32, c: u32, scale: f32) -> f32 {
  if (NORM) { return x[base + c] * scale * weight[p.weight + c]; }
  return x[base + c];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
  let t = wg.y;
  if (p.mask != NONE) {
    if (mask[p.mask + t] == 0u) { return; }
  }
  let base = p.x + t * p.width + wg.x * p.head;
  var scale = 1.0;
  if (NORM) {
    var squares = 0.0;
    for (var c = li; c < p.head; c += 64u) {
      let v = x[base + c];
      squares = fma(v, v, squares);
    }
    scale = 1.0 / sqrt(total(li, squares) / f32(p.head) + p.epsilon);
  }
  // From here on a thread reads and writes channels that no other one looks at.
  let pairs = p.turned / 2u;
  let row = p.angles + t * p.turned;
  for (var i = li; i < pairs; i += 64u) {
    let first = select(i, 2u * i, NEIGHBOURS);
    let second = select(i + pairs, 2u * i + 1u, NEIGHBOURS);
    let a = channel(base, first, scale);
    let b = channel(base, second, scale);
    let cosine = angles[row + i];
    let sine = angles[row + pairs + i];
    x[base + first] = a * cosine - b * sine;
    x[base + second] = b * cosine + a * sine;
  }
  if (NORM) {
    for (var c = p.turned + li; c < p.head; c += 64u) { x[base + c] = channel(base, c, scale); }
  }
}
