/** IEEE half precision: conversion to and from f32, rounding to nearest even, without Inf where there was none. */

/** The largest finite half. */
export const F16_MAX = 65504;
/** From here a number rounds to Inf. */
export const F16_OVERFLOW = 65520;

const cell = new Float16Array(1);
const cellBits = new Uint16Array(cell.buffer);

/** The bits of the half nearest to `value`. */
export function toHalfBits(value: number): number {
  cell[0] = value;
  return cellBits[0]!;
}

/** `value` rounded to a half, as a number. */
export function roundToHalf(value: number): number {
  cell[0] = value;
  return cell[0];
}

/** The number that a half's bits stand for. */
export function fromHalfBits(bits: number): number {
  cellBits[0] = bits;
  return cell[0]!;
}

let table: Float32Array | undefined;

/** Every half as f32, by its bits (256 KiB, made on first use): a look-up is faster than arithmetic for whole tensors. */
export function halfTable(): Float32Array {
  if (table === undefined) {
    const bits = new Uint16Array(65536);
    for (let i = 0; i < 65536; i++) bits[i] = i;
    table = new Float32Array(new Float16Array(bits.buffer));
  }
  return table;
}
