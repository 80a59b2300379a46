/** Checks of operands' shapes that every backend makes before it looks for their bytes. */
import {
  type Activation,
  type Gating,
  type KvLayer,
  type Matrix,
  MOST_TOP_K,
  type RotaryOp,
  type Tensor,
  type Vector,
} from "./contract.ts";

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

/** Pages must hold keys of `width`, and of f16 whole words a head of `headDim`. */
export function checkKv(kv: KvLayer, width: number, headDim: number, action: string): void {
  if (kv.width !== width) refuse(action, `kv must hold rows of ${width}`, String(kv.width));
  if (kv.offset % 16 !== 0) refuse(action, "kv starts at a multiple of 16", String(kv.offset));
  if (kv.bits === 16 && headDim % 2 === 1) {
    refuse(action, "pages of f16 need an even head width", String(headDim));
  }
}

/** How many query heads read one key head. `width`: of a key. */
export function headsAKey(heads: number, headDim: number, width: number, action: string): number {
  const keyHeads = width / headDim;
  if (!(Number.isInteger(keyHeads) && keyHeads > 0 && heads % keyHeads === 0)) {
    refuse(action, `keys have heads of ${headDim} that divide ${heads}`, `${width} wide`);
  }
  return heads / keyHeads;
}

/** Channels of a head. */
export function headWidth(width: number, heads: number, action: string): number {
  if (!(heads > 0 && width % heads === 0)) {
    refuse(action, `heads must divide the width ${width}`, String(heads));
  }
  return width / heads;
}

/** Experts a token: at most MOST_TOP_K, and what scratch was prepared for where it is needed. */
export function checkTopK(topK: number, action: string, prepared = MOST_TOP_K): void {
  const most = Math.min(MOST_TOP_K, prepared);
  if (!(Number.isInteger(topK) && topK >= 1 && topK <= most)) {
    refuse(action, `topK is 1 to ${most}`, String(topK));
  }
}

/** A window of positions, where there is one. */
export function checkWindow(window: number | undefined, action: string): void {
  if (window !== undefined && !(Number.isInteger(window) && window >= 1)) {
    refuse(action, "a window is a whole number of positions from 1 on", String(window));
  }
}

/** The gating that an activation is, if it is one. */
export function gatingOf(activation: Activation | Gating): Gating | undefined {
  return activation === "none" || activation === "relu" ? undefined : activation;
}

/** Channels of a head of x and how many of them are turned: both even, all of them at the most. */
export function rotaryWidths(op: RotaryOp, action: string): { headDim: number; turned: number } {
  const headDim = headWidth(op.x.cols, op.heads, action), turned = op.angles.cols;
  if (headDim % 2 !== 0) refuse(action, "heads have an even width", String(headDim));
  if (!(turned % 2 === 0 && turned >= 2 && turned <= headDim)) {
    refuse(action, `angles are an even number from 2 to ${headDim} a row`, String(turned));
  }
  return { headDim, turned };
}
