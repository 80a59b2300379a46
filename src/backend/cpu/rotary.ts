/** Rotary positions of queries and keys. */
import type { RotaryOp } from "../contract.ts";
import { rotaryWidths } from "../shapes.ts";
import { type Device, liveRows } from "./device.ts";
import { tensorAt, vectorAt } from "./guards.ts";

/** `Backend.rotary`. */
export function rotary(d: Device, op: RotaryOp): void {
  const action = "run rotary", total = op.x.rows, { headDim, turned } = rotaryWidths(op, action);
  const x = tensorAt(op.x, total, op.x.cols, action, "x");
  const angles = tensorAt(op.angles, total, turned, action, "angles");
  const weight = op.norm === undefined ? 0 : vectorAt(op.norm.weight, headDim, action, "weight");
  const rows = liveRows(d, total, op.mask, action);
  d.kernels.rotary(
    x,
    rows.pointer,
    rows.count,
    op.heads,
    headDim,
    weight,
    op.norm?.epsilon ?? 0,
    angles,
    turned,
    op.pairs === "neighbours" ? 1 : 0,
  );
}
