/** What is added to embeddings by position: sinusoids as fairseq and transformers compute them, or nothing. */
import type { EmbeddingSpec, ModelSpec } from "./spec.ts";

/** Rows of the position table: positions start behind the padding row. Without positions one row of zeros serves. */
export function positionRows({ embedding }: ModelSpec): number {
  const { positions, maxPositions } = embedding;
  return positions.kind === "none" ? 1 : maxPositions + positions.first;
}

/** The row of the table that token `index` of a sentence has. */
export function positionOf({ positions }: EmbeddingSpec, index: number): number {
  return positions.kind === "none" ? 0 : positions.first + index;
}

/** The table [positionRows, dModel] that a model adds. */
export function positionTable(spec: ModelSpec): Float32Array<ArrayBuffer> {
  const { positions } = spec.embedding, rows = positionRows(spec);
  return positions.kind === "none"
    ? new Float32Array(rows * spec.dModel)
    : sinusoidalPositions(rows, spec.dModel, positions.padding);
}

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
