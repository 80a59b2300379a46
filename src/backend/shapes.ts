/** Checks of operands' shapes that every backend makes before it looks for their bytes. */
import type { KvLayer, Matrix, Tensor, Vector } from "./contract.ts";

/** Throws RangeError "cannot ACTION: RULE (got OBSERVED)". */
export function refuse(action: string, rule: string, observed: string): never {
  throw new RangeError(`cannot ${action}: ${rule} (got ${observed})`);
}

/** A tensor must have at least `rows` rows and exactly `cols` columns. */
export function checkTensor(
  t: Tensor,
  rows: number,
  cols: number,
  action: string,
  name: string,
): void {
  if (t.cols !== cols || t.rows < rows) {
    refuse(action, `${name} must be [${rows}, ${cols}]`, `[${t.rows}, ${t.cols}]`);
  }
  if (t.offset % 16 !== 0) {
    refuse(action, `${name} must start at a multiple of 16`, String(t.offset));
  }
}

/** A vector must have `length` floats. */
export function checkVector(v: Vector, length: number, action: string, name: string): void {
  if (v.length !== length) refuse(action, `${name} must be [${length}]`, `[${v.length}]`);
  if (v.offset % 4 !== 0) {
    refuse(action, `${name} must start at a multiple of 4`, String(v.offset));
  }
}

/** A matrix must have `cols` columns and a layout of its format. */
export function checkMatrix(w: Matrix, cols: number, action: string, name: string): void {
  const l = w.layout;
  if (l.cols !== cols) {
    refuse(action, `${name} must have ${cols} columns`, `[${l.rows}, ${l.cols}]`);
  }
  if (l.rowBytes !== l.colsPadded * w.format.bits / 8 || l.codesBytes !== l.rows * l.rowBytes) {
    refuse(
      action,
      `${name}'s layout must be of its format`,
      `${w.format.bits} bits in ${l.rowBytes} bytes a row`,
    );
  }
  if (w.offset % 16 !== 0) {
    refuse(action, `${name} must start at a multiple of 16`, String(w.offset));
  }
}

/** An embedding's rows are read one by one, as they are: neither rotated nor a trellis, whose rows take those above. */
export function checkTable({ format }: Matrix, action: string): void {
  if (format.rotated) refuse(action, "a table's rows are not rotated", "a rotated format");
  if (format.trellis) refuse(action, "a table's rows are read one by one", "a trellis");
}

/** Pages must hold keys of `dModel`, and of f16 whole words a head. */
export function checkKv(kv: KvLayer, dModel: number, heads: number, action: string): void {
  if (kv.dModel !== dModel) refuse(action, `kv must hold rows of ${dModel}`, String(kv.dModel));
  if (kv.offset % 16 !== 0) refuse(action, "kv starts at a multiple of 16", String(kv.offset));
  const head = headWidth(dModel, heads, action);
  if (kv.bits === 16 && head % 2 === 1) {
    refuse(action, "pages of f16 need an even head width", String(head));
  }
}

/** Channels of a head. */
export function headWidth(dModel: number, heads: number, action: string): number {
  if (!(heads > 0 && dModel % heads === 0)) {
    refuse(action, `heads must divide d_model ${dModel}`, String(heads));
  }
  return dModel / heads;
}
