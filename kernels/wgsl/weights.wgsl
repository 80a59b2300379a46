// What the bytes of a packed matrix stand for (src/base/layout.ts). Compiled in front of every kernel that reads one.
//
// A unit is what a thread takes at once: 128 bits, that is 64, 32 or 16 codes of 2, 4 or 8 bits, 8 halves or 4
// floats; of 3 bits 384 bits, 128 codes. It is KV vectors of four consecutive weights. Vector j of 128 bits of codes
// is (unit >> BITS * j) & mask, a weight a lane.
//
// Codes become floats without conversion instructions, which GPUs have few units for: eight bits of each lane are
// moved to bits 14..21, a code at bit b is masked, and with the exponent of 2^(23 - b) put above it the word is the
// float 2^(23 - b) + code. From there scale * (code - zero) is one fma, and exact: a scale is a half of 11 bits.
//
// A new format is a case of `coded`; the other kernels see vectors of weights, and units of the rows above a trellis.

override BITS: u32 = 2u;
/// scale * level of the code in place of scale * (code - ZERO); up to 4 bits. Levels are signed bytes, in order.
override LEVELS: bool = false;
override LEVELS_0: u32 = 0u;
override LEVELS_1: u32 = 0u;
override LEVELS_2: u32 = 0u;
override LEVELS_3: u32 = 0u;
override ZERO: f32 = 1.5;
/// 16 LEVELS that a code of 2 bits picks from together with those of three rows above (src/base/trellis.ts).
override TRELLIS: bool = false;
/// Vectors of weights a unit, vec4<u32> a unit, halves of a unit that each have units of codes (2 for 3 bits).
override KV: u32 = 16u;
override VECS: u32 = 1u;
override HALVES: u32 = 1u;
/// Bits of a code in its own unit of codes: 2 of 3 bits.
override FIELD: u32 = 2u;
/// Vectors that share a scale; a whole row where scales are per channel.
override GROUP_KV: u32 = 16u;
/// True where rows are padded: codes behind column K must meet activations of zero.
override PADDED: bool = false;

@group(0) @binding(2) var<storage, read> codes: array<vec4<u32>>; // a matrix [N, units, VECS] or an arena of blocks
@group(0) @binding(3) var<storage, read> words: array<u32>; // the same bytes: scales f16 [N, groups], biases f32

/// Eight bits of every lane, moved to bits 14..21; of 3-bit codes the high bits too, moved to where 4 << b masks; of a
/// trellis the upper two bits of levels' indices.
struct Moved {
  low: vec4<u32>,
  high: vec4<u32>,
}

fn segment(unit: vec4<u32>, s: u32) -> vec4<u32> {
  if (s < 2u) { return unit << vec4<u32>(14u - 8u * s); }
  return unit >> vec4<u32>(8u * s - 14u);
}

/// The upper two bits of a unit's 64 indices of levels, from the units one, two and three rows above.
fn upper_of(one: vec4<u32>, two: vec4<u32>, three: vec4<u32>) -> vec4<u32> {
  let both = two ^ three;
  let down = (both >> vec4<u32>(1u)) & vec4<u32>(0x55555555u);
  let up = (both << vec4<u32>(1u)) & vec4<u32>(0xaaaaaaaau);
  return one ^ (down | up);
}

/// The unit `back` rows above the one at codes[at] in row `row` of `units` units; zeros beyond the first row.
fn above(at: u32, row: u32, units: u32, back: u32) -> vec4<u32> {
  if (row < back) { return vec4<u32>(); }
  return codes[at - back * units];
}

/// Segment `s` (0..3) of half `h` of a unit: its codes `low`, and the unit `high` of high bits.
fn moved(low: vec4<u32>, high: vec4<u32>, h: u32, s: u32) -> Moved {
  if (BITS == 3u) { return Moved(segment(low, s), segment(high, s) << vec4<u32>(2u - h)); }
  if (TRELLIS) { return Moved(segment(low, s), segment(high, s)); }
  return Moved(segment(low, s), vec4<u32>());
}

/// What must be added to scale * (2^(23 - b) + code) for b = 14, 14 + FIELD, ...
fn offsets(scale: f32) -> vec4<f32> {
  let step = f32(1u << FIELD);
  let first = vec4<f32>(512.0, 512.0 / step, 512.0 / (step * step), 512.0 / (step * step * step));
  return -scale * (first + vec4<f32>(ZERO));
}

fn level(code: u32) -> f32 {
  var word = LEVELS_0;
  if (BITS >= 3u || TRELLIS) { word = select(word, LEVELS_1, (code & 4u) != 0u); }
  if (BITS == 4u || TRELLIS) {
    word = select(word, select(LEVELS_2, LEVELS_3, (code & 4u) != 0u), (code & 8u) != 0u);
  }
  return f32(extractBits(bitcast<i32>(word), 8u * (code & 3u), 8u));
}

/// Code `i` of a moved segment, for four lanes, as weights.
fn coded(m: Moved, i: u32, scale: f32, offset: vec4<f32>) -> vec4<f32> {
  let b = 14u + FIELD * i;
  var bits = m.low & vec4<u32>(((1u << FIELD) - 1u) << b);
  if (BITS == 3u) { bits |= m.high & vec4<u32>(4u << b); }
  if (LEVELS) {
    var code = bits >> vec4<u32>(b);
    if (TRELLIS) { code |= ((m.high >> vec4<u32>(b)) & vec4<u32>(3u)) << vec4<u32>(2u); }
    return scale * vec4<f32>(level(code.x), level(code.y), level(code.z), level(code.w));
  }
  let value = bitcast<vec4<f32>>(bits | vec4<u32>((150u - b) << 23u));
  return fma(vec4<f32>(scale), value, vec4<f32>(offset[i]));
}

/// Vector `j` of a unit of halves or floats.
fn plain(unit: vec4<u32>, j: u32) -> vec4<f32> {
  if (BITS == 32u) { return bitcast<vec4<f32>>(unit); }
  let pair = select(unit.xy, unit.zw, j == 1u);
  return vec4<f32>(unpack2x16float(pair.x), unpack2x16float(pair.y));
}

/// Half number `i` of `words`.
fn half_at(i: u32) -> f32 {
  return unpack2x16float(words[i >> 1u])[i & 1u];
}

/// Vector `j` of the unit that begins at codes[at], in row `row` of `units` units, whatever its format; `scale` is that of
/// the vector's group.
fn weights_at(at: u32, j: u32, scale: f32, row: u32, units: u32) -> vec4<f32> {
  if (BITS >= 16u) { return plain(codes[at], j); }
  let each = 8u / FIELD; // vectors a segment
  let h = j / (4u * each);
  var high = vec4<u32>();
  if (BITS == 3u) { high = codes[at + 2u]; }
  if (TRELLIS) {
    high = upper_of(above(at, row, units, 1u), above(at, row, units, 2u), above(at, row, units, 3u));
  }
  let m = moved(codes[at + h], high, h, j / each % 4u);
  return coded(m, j % each, scale, offsets(scale));
}
