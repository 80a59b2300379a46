/** At start: does this device keep the promise that a row's bits do not depend on who shares the batch? */
import type { Backend, Matrix, Tensor } from "../backend/contract.ts";

const ROWS = 5;

/**
 * Multiplies the same row alone and among others by one of the model's own matrices and compares bits.
 * Takes and returns its buffers; a few kilobytes and under a millisecond.
 */
export async function batchInvariant(backend: Backend, w: Matrix): Promise<boolean> {
  const { rows: n, cols: k } = w.layout;
  const input = backend.alloc("self-test input", ROWS * k * 4, "staging");
  const output = backend.alloc("self-test output", ROWS * n * 4, "staging");
  try {
    const values = new Float32Array(ROWS * k);
    // A fixed sequence with no structure that a kernel could share between rows.
    for (let i = 0, seed = 1; i < values.length; i++) {
      seed = (seed * 48271) % 2147483647;
      values[i] = seed / 2147483647 - 0.5;
    }
    backend.write(input, 0, new Uint8Array(values.buffer));
    const view = (buffer: Tensor["buffer"], row: number, rows: number, cols: number): Tensor => (
      { buffer, offset: row * cols * 4, rows, cols }
    );
    backend.linear({ x: view(input, 0, ROWS, k), w, out: view(output, 0, ROWS, n) });
    const together = await backend.readback(output, 0, n * 4);
    backend.linear({ x: view(input, 0, 1, k), w, out: view(output, 0, 1, n) });
    const alone = await backend.readback(output, 0, n * 4);
    return together.every((byte, i) => byte === alone[i]);
  } finally {
    backend.free(input);
    backend.free(output);
  }
}
