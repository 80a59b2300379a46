/** Rows times a packed matrix: which kernel, with which parameters. Shared by linear, router, experts, vocabulary. */
import type { Device, Rows } from "./device.ts";
import { refuse } from "./guards.ts";
import { Kind } from "./kernels.ts";
import type { KernelCall } from "./pool.ts";
import { ROW_CHUNK } from "./scratch.ts";
import type { Weights } from "./weights.ts";

/** Inputs ready for a product: f32 [count, kPadded]. */
export interface Staged {
  xs: number;
  count: number;
}

/** Stages up to ROW_CHUNK rows of x [*, k]; dense weights take x as it lies where they can. */
export function stageRows(
  d: Device,
  w: Weights,
  x: number,
  rows: Rows,
  from: number,
  count: number,
): Staged {
  const { at, cols } = d.scratch;
  if (w.group === 0 && rows.all && w.k === w.kPadded) return { xs: x + from * w.k * 4, count };
  if (w.kPadded > cols) {
    refuse("stage activations", `inputs are at most the ${cols} wide prepared for`, `${w.k}`);
  }
  let source = x, indices = rows.pointer + from * 4, width = w.k;
  if (w.rotation !== 0) {
    // Gathered and rotated where they will lie, then staged in place.
    d.kernels.rotate(x, indices, count, w.k, w.kPadded, w.rotation, at.xs);
    source = at.xs, indices = at.identity, width = w.kPadded;
  }
  d.kernels.stage(
    source,
    indices,
    count,
    width,
    w.kPadded,
    w.ratio,
    w.period,
    w.each,
    w.group,
    at.xs,
    at.sums,
  );
  return { xs: at.xs, count };
}

/** What happens to the sums, and where they go. Addresses; 0 where absent. */
export interface Target {
  bias: number;
  /** "last": of the sum with the residual, too. */
  relu: boolean | "last";
  residual: number;
  out: number;
  /** Floats from one row of out (and residual) to the next. */
  stride: number;
}

/** Multiply-adds from which a product is worth waking a second thread for: some 10 microseconds of one. */
const LEAST_SHARED_WORK = 1 << 16;
/** Threads take whole tiles of kernels/wasm/gemm.ts. */
const SHARE_ROWS = 16;

/**
 * Staged rows times rows n0 .. n0 + n - 1 of w; row m of the result is row outRows[m] of the target. Threads take
 * neighbouring weight rows each; a row's bits are the same whoever computes it.
 */
export function multiply(
  d: Device,
  w: Weights,
  staged: Staged,
  outRows: number,
  target: Target,
  n0 = 0,
  n = w.n,
): void {
  const { pool } = d;
  const run = ({ kernel, args }: KernelCall) => d.kernels[kernel](...args);
  const work = n * w.kPadded * staged.count;
  if (pool === undefined || work < LEAST_SHARED_WORK || !pool.willing()) {
    return run(productCall(d, w, staged, outRows, target, { n0, n, at: 0, thread: 0 }));
  }
  const share = Math.ceil(n / pool.threads / SHARE_ROWS) * SHARE_ROWS;
  const parts = Array.from({ length: pool.threads }, (_, thread) => {
    const at = thread * share;
    const part = { n0: n0 + at, n: Math.min(share, n - at), at, thread };
    return part.n <= 0 ? undefined : productCall(d, w, staged, outRows, target, part);
  });
  pool.start(parts.slice(1));
  run(parts[0]!);
  for (let thread = pool.threads - 1; thread > 0; thread--) {
    const part = parts[thread];
    if (part !== undefined && pool.reclaim(thread)) run(part);
  }
  pool.wait();
}

/** Weight rows n0 .. n0 + n - 1, whose results start at column `at` of the target, by thread `thread`. */
interface Part {
  n0: number;
  n: number;
  at: number;
  thread: number;
}

/** The kernel and its arguments for one part of a product. */
function productCall(
  d: Device,
  w: Weights,
  staged: Staged,
  outRows: number,
  target: Target,
  part: Part,
): KernelCall {
  const move = part.at * 4;
  const shifted: Target = {
    ...target,
    bias: target.bias === 0 ? 0 : target.bias + move,
    residual: target.residual === 0 ? 0 : target.residual + move,
    out: target.out + move,
  };
  const rows: Weights = {
    ...w,
    codes: w.codes + part.n0 * w.rowBytes,
    scales: w.scales + part.n0 * w.groups * 2,
    n: part.n,
    above: w.above + part.n0,
  };
  const own = part.thread * d.scratch.threadBytes;
  return staged.count > 1
    ? tilesCall(d, rows, staged, outRows, shifted, own)
    : rowCall(d, rows, staged.xs, shifted, d.heap.i32[outRows / 4]!, own);
}

function tilesCall(
  d: Device,
  w: Weights,
  staged: Staged,
  outRows: number,
  target: Target,
  own: number,
): KernelCall {
  const { at } = d.scratch;
  const args = [
    w.kind,
    w.codes,
    w.rowBytes,
    w.n,
    w.kPadded,
    w.scales,
    w.groups,
    w.group,
    w.scaleStep,
    w.zero,
    at.levels,
    staged.xs,
    at.sums,
    staged.count,
    outRows,
    at.tile + own,
    at.expanded + own,
    at.totals + own,
    target.bias,
    reluCode(target),
    target.residual,
    target.out,
    target.stride,
    w.above,
  ];
  return { kernel: "gemm", args };
}

/** One staged row, whose result is row `row` of the target. */
function rowCall(
  d: Device,
  w: Weights,
  xs: number,
  target: Target,
  row: number,
  own: number,
): KernelCall {
  const { at } = d.scratch, { bias } = target;
  const relu = reluCode(target), move = row * target.stride * 4;
  const out = target.out + move, residual = target.residual === 0 ? 0 : target.residual + move;
  if (w.kind === Kind.f32 || w.kind === Kind.f16) {
    const kernel = w.kind === Kind.f32 ? "gemv32" : "gemv16";
    return { kernel, args: [w.codes, w.rowBytes, w.n, xs, bias, relu, residual, out] };
  }
  if (w.kind === Kind.trellis) {
    const end = [bias, relu, residual, out, w.above];
    return { kernel: "gemvTrellis", args: tileRowArgs(d, w, xs, own, end) };
  }
  const plain = w.kind === Kind.two || w.kind === Kind.three || w.kind === Kind.four ||
    w.kind === Kind.eight;
  if (!plain) {
    const end = [bias, relu, residual, out];
    return { kernel: "gemvTile", args: [w.kind, ...tileRowArgs(d, w, xs, own, end)] };
  }
  const args = [
    w.codes,
    w.rowBytes,
    w.n,
    w.kPadded / 32,
    w.group / 32 - 1,
    w.scales,
    w.groups,
    w.scaleStep,
    w.zero,
    at.levels,
    xs,
    at.sums,
    at.expanded + own,
    bias,
    relu,
    residual,
    out,
  ];
  return { kernel: packedGemv(w.kind), args };
}

/** As kernels/wasm/finish.ts counts. */
function reluCode({ relu }: Target): number {
  return relu === "last" ? 2 : relu ? 1 : 0;
}

function packedGemv(kind: Kind): "gemv2" | "gemv3" | "gemv4" | "gemv8" {
  if (kind === Kind.three) return "gemv3";
  return kind === Kind.two ? "gemv2" : kind === Kind.four ? "gemv4" : "gemv8";
}

/** Arguments of gemvTile behind its kind, and of gemvTrellis; `end` is what comes from bias on. */
function tileRowArgs(d: Device, w: Weights, xs: number, own: number, end: number[]): number[] {
  const { at } = d.scratch;
  return [
    w.codes,
    w.rowBytes,
    w.n,
    w.kPadded,
    w.scales,
    w.groups,
    w.group,
    w.scaleStep,
    w.zero,
    at.levels,
    xs,
    at.sums,
    at.tile + own,
    at.expanded + own,
    ...end,
  ];
}

/** All rows of a product, ROW_CHUNK at a time; row rows[m] of x gives row outRows[m] of the target. */
export function product(
  d: Device,
  w: Weights,
  x: number,
  rows: Rows,
  outRows: number,
  target: Target,
): void {
  for (let from = 0; from < rows.count; from += ROW_CHUNK) {
    const count = Math.min(ROW_CHUNK, rows.count - from);
    multiply(d, w, stageRows(d, w, x, rows, from, count), outRows + from * 4, target);
  }
}
