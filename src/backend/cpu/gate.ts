/** The gating of hidden layers, by itself and for experts. */
import type { GateOp, Gating } from "../contract.ts";
import { type Device, liveRows, type Rows } from "./device.ts";
import { refuse, tensorAt } from "./guards.ts";

/** `Backend.gate`. */
export function gate(d: Device, op: GateOp): void {
  const action = "run gate", total = op.x.rows, width = op.out.cols;
  const x = tensorAt(op.x, total, 2 * width, action, "x");
  const out = tensorAt(op.out, total, width, action, "out");
  const bytes = total * width * 4;
  if (out < x + 2 * bytes && x < out + bytes) {
    refuse(action, "out must not overlap x", op.out.buffer.label);
  }
  gateRows(d, op.gating, liveRows(d, total, op.mask, action), { x, width, out });
}

/** Rows of x [*, 2 * width] to out [*, width], which may begin where x does. Addresses. */
export function gateRows(
  d: Device,
  gating: Gating,
  rows: Rows,
  { x, width, out }: { x: number; width: number; out: number },
): void {
  const clamped = gating === "clamped gated silu" ? 1 : 0;
  d.kernels.gate(x, rows.pointer, rows.count, width, clamped, out);
}
