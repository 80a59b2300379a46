// Vector constants, in memory: V8 builds one anew at each use, from several instructions, and a load is cheaper
// (2-bit matrix-vector product: 19 against 14.5 GFLOP/s).

// Masks of the codes of each step, one vector a step.

export const MASKS_2: usize = memory.data<u32>([
  0x3, 0x3, 0x3, 0x3,
  0xc, 0xc, 0xc, 0xc,
  0x30, 0x30, 0x30, 0x30,
  0xc0, 0xc0, 0xc0, 0xc0,
  0x300, 0x300, 0x300, 0x300,
  0xc00, 0xc00, 0xc00, 0xc00,
  0x3000, 0x3000, 0x3000, 0x3000,
  0xc000, 0xc000, 0xc000, 0xc000,
], 16);

export const MASKS_4: usize = memory.data<u32>([
  0xf, 0xf, 0xf, 0xf,
  0xf0, 0xf0, 0xf0, 0xf0,
  0xf00, 0xf00, 0xf00, 0xf00,
  0xf000, 0xf000, 0xf000, 0xf000,
], 16);

export const MASKS_8: usize = memory.data<u32>([
  0xff, 0xff, 0xff, 0xff,
  0xff00, 0xff00, 0xff00, 0xff00,
  0xff0000, 0xff0000, 0xff0000, 0xff0000,
  0xff000000, 0xff000000, 0xff000000, 0xff000000,
], 16);

/** 128 at each step's byte: what stands for zero. */
export const MIDDLES_8: usize = memory.data<u32>([
  0x80, 0x80, 0x80, 0x80,
  0x8000, 0x8000, 0x8000, 0x8000,
  0x800000, 0x800000, 0x800000, 0x800000,
  0x80000000, 0x80000000, 0x80000000, 0x80000000,
], 16);

/** What a lane of levels needs: its code's bits, and the places of a float's bytes. */
export const LEVEL_BITS: usize = memory.data<u32>([0x3, 0x3, 0x3, 0x3], 16);
export const LEVEL_BYTES: usize = memory.data<u32>([0x03020100, 0x03020100, 0x03020100, 0x03020100], 16);

// Halves to floats: exponent of a half, its bits once moved, what rebiases it, 2^-14 as a float.
export const HALF_EXPONENT: usize = memory.data<u32>([0x7c00, 0x7c00, 0x7c00, 0x7c00], 16);
export const HALF_MOVED: usize = memory.data<u32>([0x8fffe000, 0x8fffe000, 0x8fffe000, 0x8fffe000], 16);
export const HALF_REBIAS: usize = memory.data<u32>([0x38000000, 0x38000000, 0x38000000, 0x38000000], 16);
export const HALF_LEAST: usize = memory.data<u32>([0x38800000, 0x38800000, 0x38800000, 0x38800000], 16);
/** Least normal half and infinity, shifted left by one, in eight lanes. */
export const HALF_TWICE_LEAST: usize = memory.data<u32>([0x08000800, 0x08000800, 0x08000800, 0x08000800], 16);
export const HALF_TWICE_TOP: usize = memory.data<u32>([0xf800f800, 0xf800f800, 0xf800f800, 0xf800f800], 16);

export const SIGN: usize = memory.data<u32>([0x80000000, 0x80000000, 0x80000000, 0x80000000], 16);
export const EXPONENT: usize = memory.data<u32>([0x7f800000, 0x7f800000, 0x7f800000, 0x7f800000], 16);

/** exp: bounds, ln 2 in two parts, the polynomial, as bits; then the exponent's bias. */
export const EXP: usize = memory.data<u32>([
  0xc2ae999a, 0xc2ae999a, 0xc2ae999a, 0xc2ae999a, // -87.3
  0x42b0999a, 0x42b0999a, 0x42b0999a, 0x42b0999a, // 88.3
  0x3fb8aa3b, 0x3fb8aa3b, 0x3fb8aa3b, 0x3fb8aa3b, // 1.442695041
  0x3f318000, 0x3f318000, 0x3f318000, 0x3f318000, // 0.693359375
  0xb95e8083, 0xb95e8083, 0xb95e8083, 0xb95e8083, // -0.00021219444
  0x39506967, 0x39506967, 0x39506967, 0x39506967, // 0.000198756915
  0x3ab743ce, 0x3ab743ce, 0x3ab743ce, 0x3ab743ce, // 0.001398199951
  0x3c088908, 0x3c088908, 0x3c088908, 0x3c088908, // 0.008333451907
  0x3d2aa9c1, 0x3d2aa9c1, 0x3d2aa9c1, 0x3d2aa9c1, // 0.04166579589
  0x3e2aaaaa, 0x3e2aaaaa, 0x3e2aaaaa, 0x3e2aaaaa, // 0.1666666546
  0x3f000000, 0x3f000000, 0x3f000000, 0x3f000000, // 0.500000012
  0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, // 1
  127, 127, 127, 127,
], 16);
