/** At start: does this device keep the promise that a row's bits do not depend on who shares the batch? */
import type { Backend, Matrix, Tensor } from "../backend/contract.ts";

/** One row, and as many as take every other way that a backend has: few rows and many. */
const ROWS = [1, 5, 17];

/**
 * Multiplies the same row alone and among others by one of the model's own matrices and compares bits.
 * Writes to `input` [rows, K] and `output` [rows, N], which nobody else may be using; takes no memory.
 */
export async function batchInvariant(
  backend: Backend,
  { w, input, output }: { w: Matrix; input: Tensor; output: Tensor },
): Promise<boolean> {
  const most = Math.min(input.rows, output.rows), rows = Math.min(Math.max(...ROWS), most);
  const values = new Float32Array(rows * input.cols);
  // A fixed sequence with no structure that a kernel could share between rows.
  for (let i = 0, seed = 1; i < values.length; i++) {
    seed = (seed * 48271) % 2147483647;
    values[i] = seed / 2147483647 - 0.5;
  }
  backend.write(input.buffer, input.offset, new Uint8Array(values.buffer));
  const firstRow = async (count: number) => {
    backend.linear({ x: { ...input, rows: count }, w, out: { ...output, rows: count } });
    return await backend.readback(output.buffer, output.offset, output.cols * 4);
  };
  const alone = await firstRow(1);
  for (const count of ROWS.slice(1)) {
    const together = await firstRow(Math.min(count, most));
    if (together.some((byte, i) => byte !== alone[i])) return false;
  }
  return true;
}
