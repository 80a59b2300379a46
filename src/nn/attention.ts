/** Attention blocks: pre-norm, projections, attention over segments or pages, output added to the residual. */
import type { KvLayer, Matrix, Scores, Tensor, Vector } from "../backend/contract.ts";
import type { Context, SegmentRows, StepRows } from "./context.ts";
import type { Distances } from "./distances.ts";
import { buildNorm, type Norm, normalize } from "./norm.ts";
import type { AffineNames, AttentionSpec, QkNormSpec, ScoresSpec } from "./spec.ts";
import type { Trunk } from "./trunk.ts";

/** A projection on the device: W [N, K] and b [N] or none. */
export interface Affine {
  readonly weight: Matrix;
  readonly bias: Vector | undefined;
}

/** A norm of queries or keys on the device. */
interface QkNorm {
  readonly over: QkNormSpec["over"];
  readonly weight: Vector;
  readonly epsilon: number;
}

export interface Attention {
  readonly spec: AttentionSpec;
  readonly norm: Norm;
  readonly scores: Scores;
  readonly query: Affine;
  readonly key: Affine;
  readonly value: Affine;
  readonly output: Affine;
  readonly queryNorm: QkNorm | undefined;
  readonly keyNorm: QkNorm | undefined;
  readonly sinks: Vector | undefined;
}

/** Finds a projection in the trunk. */
export function buildAffine(trunk: Trunk, names: AffineNames): Affine {
  return {
    weight: trunk.matrix(names.weight),
    bias: names.bias === undefined ? undefined : trunk.vector(names.bias),
  };
}

/** Finds an attention block in the trunk. */
export function buildAttention(
  trunk: Trunk,
  spec: AttentionSpec,
  distances: Distances,
): Attention {
  const qkNorm = (of: QkNormSpec | undefined) =>
    of && { over: of.over, weight: trunk.vector(of.weight), epsilon: of.epsilon };
  return {
    spec,
    norm: buildNorm(trunk, spec.norm),
    scores: buildScores(trunk, spec.scores, distances),
    query: buildAffine(trunk, spec.query),
    key: buildAffine(trunk, spec.key),
    value: buildAffine(trunk, spec.value),
    output: buildAffine(trunk, spec.output),
    queryNorm: qkNorm(spec.queryNorm),
    keyNorm: qkNorm(spec.keyNorm),
    sinks: spec.sinks === undefined ? undefined : trunk.vector(spec.sinks),
  };
}

/** How a block's scores become; the table is found in the trunk. */
function buildScores(trunk: Trunk, spec: ScoresSpec, distances: Distances): Scores {
  if (spec.kind === "scaled") return { scale: spec.scale };
  const bias = { table: trunk.matrix(spec.table), ...distances.of(spec) };
  return { scale: 1, bias };
}

/** out = x W' + b, plus `residual` where given. */
export function project(
  ctx: Context,
  x: Tensor,
  affine: Affine,
  out: Tensor,
  residual?: Tensor,
): void {
  ctx.backend.linear({ x, w: affine.weight, bias: affine.bias, out, residual, mask: ctx.mask });
}

/** A projection of `h` into the workspace, as wide as its matrix. */
function projection(ctx: Context, name: "q" | "k" | "v", h: Tensor, affine: Affine): Tensor {
  const out = ctx.workspace.view(name, h.rows, affine.weight.layout.rows);
  project(ctx, h, affine, out);
  return out;
}

/** q [T, heads * head_dim] or k [T, kv heads * head_dim] as scores take them: normed, clamped, turned; in place. */
function prepare(ctx: Context, x: Tensor, heads: number, w: Attention, norm: QkNorm | undefined) {
  const { backend, mask } = ctx, { rotary, clamp } = w.spec;
  const whole = norm?.over === "projection" ? norm : undefined;
  if (whole !== undefined) backend.rmsNorm({ x, ...whole, scale: 1, out: x, mask });
  if (clamp !== undefined) backend.clamp({ x, limit: clamp, mask });
  if (rotary.kind === "none") return;
  const angles = ctx.workspace.rotary.of(rotary);
  backend.rotary({
    x,
    heads,
    norm: norm?.over === "head" ? norm : undefined,
    angles,
    pairs: rotary.pairs,
    mask,
  });
}

/** q, k and v of norm(x) for self-attention. */
function ownProjections(ctx: Context, w: Attention, x: Tensor) {
  const { heads, kvHeads, clamp } = w.spec, h = ctx.workspace.view("h", x.rows);
  normalize(ctx, x, w.norm, h);
  const q = projection(ctx, "q", h, w.query);
  const k = projection(ctx, "k", h, w.key);
  const v = projection(ctx, "v", h, w.value);
  prepare(ctx, q, heads, w, w.queryNorm);
  prepare(ctx, k, kvHeads, w, w.keyNorm);
  if (clamp !== undefined) ctx.backend.clamp({ x: v, limit: clamp, mask: ctx.mask });
  return { q, k, v };
}

/** x += SelfAttention(norm(x)), each token over the whole of its own segment. x: [T, d_model]. */
export function segmentSelfAttention(
  ctx: Context,
  w: Attention,
  x: Tensor,
  rows: SegmentRows,
): void {
  const { q, k, v } = ownProjections(ctx, w, x), { heads } = w.spec;
  const out = ctx.workspace.view("a", x.rows, q.cols), { starts, lengths } = rows;
  ctx.backend.segmentAttention({ q, k, v, ...w.scores, heads, starts, lengths, out });
  project(ctx, out, w.output, x, x);
}

/** x += SelfAttention(norm(x)) over the row's own earlier tokens; writes the pass's K and V first. */
export function pagedSelfAttention(
  ctx: Context,
  w: Attention,
  x: Tensor,
  kv: KvLayer,
  rows: StepRows,
): void {
  const { q, k, v } = ownProjections(ctx, w, x), { mask } = ctx, { heads, window } = w.spec;
  const out = ctx.workspace.view("a", x.rows, q.cols);
  ctx.backend.storeKv({ k, v, kv, places: rows.selfPlaces, mask });
  ctx.backend.pagedAttention({
    q,
    ...w.scores,
    heads,
    kv,
    pageTable: rows.selfTable,
    pagesPerRow: rows.selfPagesPerRow,
    lengths: rows.selfLengths,
    window,
    sinks: w.sinks,
    out,
    mask,
  });
  project(ctx, out, w.output, x, x);
}

/** x += CrossAttention(norm(x)) over the memory, whose K and V are in pages already. */
export function crossAttention(
  ctx: Context,
  w: Attention,
  x: Tensor,
  kv: KvLayer,
  rows: StepRows,
): void {
  const h = ctx.workspace.view("h", x.rows), { mask } = ctx;
  normalize(ctx, x, w.norm, h);
  const q = projection(ctx, "q", h, w.query), out = ctx.workspace.view("a", x.rows, q.cols);
  ctx.backend.pagedAttention({
    q,
    ...w.scores,
    heads: w.spec.heads,
    kv,
    pageTable: rows.crossTable,
    pagesPerRow: rows.crossPagesPerRow,
    lengths: rows.crossLengths,
    out,
    mask,
  });
  project(ctx, out, w.output, x, x);
}

/** K and V of the encoded source for one decoder layer, into pages. encoded: [T, d_model]. */
export function storeCross(
  ctx: Context,
  w: Attention,
  encoded: Tensor,
  kv: KvLayer,
  places: Int32Array,
): void {
  const k = projection(ctx, "k", encoded, w.key), v = projection(ctx, "v", encoded, w.value);
  ctx.backend.storeKv({ k, v, kv, places });
}
