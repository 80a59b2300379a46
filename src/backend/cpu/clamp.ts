/** Bounds of activations. */
import type { ClampOp } from "../contract.ts";
import { type Device, liveRows } from "./device.ts";
import { refuse, tensorAt } from "./guards.ts";

/** `Backend.clamp`. */
export function clamp(d: Device, op: ClampOp): void {
  const action = "run clamp", total = op.x.rows, width = op.x.cols, { limit } = op;
  const x = tensorAt(op.x, total, width, action, "x");
  if (!(limit >= 0)) refuse(action, "a limit is at least 0", String(limit));
  const rows = liveRows(d, total, op.mask, action);
  d.kernels.clamp(x, rows.pointer, rows.count, width, limit);
}
