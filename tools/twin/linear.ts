/** What linear, layer norm and embedding mean, in float64 and without a thought for speed. */

export interface LinearTwin {
  x: ArrayLike<number>; // [rows, k]
  w: ArrayLike<number>; // [n, k]
  rows: number;
  n: number;
  k: number;
  bias?: ArrayLike<number>; // [n]
  relu?: boolean;
  residual?: ArrayLike<number>; // [rows, n]
}

/** [rows, n] = act(x w' + bias) + residual */
export function linearTwin(op: LinearTwin): Float64Array {
  const out = new Float64Array(op.rows * op.n);
  for (let t = 0; t < op.rows; t++) {
    for (let n = 0; n < op.n; n++) {
      let sum = 0;
      for (let k = 0; k < op.k; k++) sum += op.x[t * op.k + k]! * op.w[n * op.k + k]!;
      sum += op.bias?.[n] ?? 0;
      if (op.relu) sum = Math.max(0, sum);
      out[t * op.n + n] = sum + (op.residual?.[t * op.n + n] ?? 0);
    }
  }
  return out;
}

/** [rows, d] = (x - mean) / sqrt(variance + epsilon) * weight + bias */
export function layerNormTwin(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  bias: ArrayLike<number>,
  epsilon: number,
): Float64Array {
  const d = weight.length, out = new Float64Array(x.length);
  for (let row = 0; row < x.length; row += d) {
    let mean = 0, variance = 0;
    for (let i = 0; i < d; i++) mean += x[row + i]! / d;
    for (let i = 0; i < d; i++) variance += (x[row + i]! - mean) ** 2 / d;
    for (let i = 0; i < d; i++) {
      out[row + i] = (x[row + i]! - mean) / Math.sqrt(variance + epsilon) * weight[i]! + bias[i]!;
    }
  }
  return out;
}

/** RMS norm of rows of weight.length elements: neither mean nor bias. */
export function rmsNormTwin(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  epsilon: number,
  scale: number,
): Float64Array {
  const d = weight.length, out = new Float64Array(x.length);
  for (let row = 0; row < x.length; row += d) {
    let squares = 0;
    for (let i = 0; i < d; i++) squares += x[row + i]! ** 2 / d;
    for (let i = 0; i < d; i++) {
      out[row + i] = x[row + i]! / Math.sqrt(squares + epsilon) * weight[i]! * scale;
    }
  }
  return out;
}

export interface EmbedTwin {
  ids: ArrayLike<number>; // [rows]
  positions: ArrayLike<number>; // [rows]
  table: ArrayLike<number>; // [vocab, d]
  positionTable: ArrayLike<number>; // [positions, d]
  scale: number;
  d: number;
}

/** [rows, d] = table[id] * scale + positionTable[position] */
export function embedTwin(op: EmbedTwin): Float64Array {
  const { d } = op, out = new Float64Array(op.ids.length * d);
  for (let t = 0; t < op.ids.length; t++) {
    for (let c = 0; c < d; c++) {
      out[t * d + c] = op.table[op.ids[t]! * d + c]! * op.scale +
        op.positionTable[op.positions[t]! * d + c]!;
    }
  }
  return out;
}
