/** Sinusoidal positions as fairseq and transformers compute them. */

/**
 * The table [rows, dModel]: sines of all frequencies, then cosines; frequency k is exp(-k ln 10000 / (half - 1)).
 * Each step is rounded to f32 as the reference does; `paddingRow` is zero.
 */
export function sinusoidalPositions(
  rows: number,
  dModel: number,
  paddingRow: number,
): Float32Array<ArrayBuffer> {
  const half = dModel >> 1;
  const step = Math.fround(Math.log(10000) / Math.max(half - 1, 1));
  const table = new Float32Array(rows * dModel);
  for (let k = 0; k < half; k++) {
    const frequency = Math.fround(Math.exp(Math.fround(-step * k)));
    for (let t = 0; t < rows; t++) {
      const angle = Math.fround(t * frequency);
      table[t * dModel + k] = Math.sin(angle);
      table[t * dModel + half + k] = Math.cos(angle);
    }
  }
  table.fill(0, paddingRow * dModel, (paddingRow + 1) * dModel);
  return table;
}
