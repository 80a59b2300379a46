/** Attention blocks: pre-norm, projections, attention over segments or pages, output added to the residual. */
import type { KvLayer, Matrix, Scores, Tensor, Vector } from "../backend/contract.ts";
import type { Trunk } from "./trunk.ts";
import type { Context, EncodeRows, StepRows } from "./context.ts";
import type { Distances } from "./distances.ts";
import { buildNorm, type Norm, normalize } from "./norm.ts";
import type { AffineNames, AttentionSpec, ScoresSpec } from "./spec.ts";

/** A projection on the device: W [N, K] and b [N] or none. */
export interface Affine {
  readonly weight: Matrix;
  readonly bias: Vector | undefined;
}

export interface Attention {
  readonly norm: Norm;
  readonly scores: Scores;
  readonly query: Affine;
  readonly key: Affine;
  readonly value: Affine;
  readonly output: Affine;
  readonly heads: number;
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
  of: { heads: number; distances: Distances },
): Attention {
  return {
    norm: buildNorm(trunk, spec.norm),
    scores: buildScores(trunk, spec.scores, of.distances),
    query: buildAffine(trunk, spec.query),
    key: buildAffine(trunk, spec.key),
    value: buildAffine(trunk, spec.value),
    output: buildAffine(trunk, spec.output),
    heads: of.heads,
  };
}

/** How a block's scores become; the table is found in the trunk. */
function buildScores(trunk: Trunk, spec: ScoresSpec, distances: Distances): Scores {
  if (spec.kind === "scaled") return {};
  if (spec.kind === "plain") return { scale: 1 };
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

/** q, k and v of norm(x) for self-attention, [T, attentionWidth] each, and room `a` for what comes of them. */
function ownProjections(ctx: Context, w: Attention, x: Tensor) {
  const at = (name: "h" | "q" | "k" | "v" | "a") => ctx.workspace.view(name, x.rows);
  const h = at("h"), q = at("q"), k = at("k"), v = at("v"), a = at("a");
  normalize(ctx, x, w.norm, h);
  project(ctx, h, w.query, q);
  project(ctx, h, w.key, k);
  project(ctx, h, w.value, v);
  return { q, k, v, a };
}

/** x += SelfAttention(norm(x)), each token over its own sentence. x: [T, d_model]. */
export function encoderSelfAttention(
  ctx: Context,
  w: Attention,
  x: Tensor,
  rows: EncodeRows,
): void {
  const { q, k, v, a } = ownProjections(ctx, w, x);
  ctx.backend.segmentAttention({
    q,
    k,
    v,
    ...w.scores,
    heads: w.heads,
    starts: rows.starts,
    lengths: rows.lengths,
    out: a,
  });
  project(ctx, a, w.output, x, x);
}

/** x += SelfAttention(norm(x)) over the row's own earlier tokens; writes this step's K and V first. */
export function decoderSelfAttention(
  ctx: Context,
  w: Attention,
  x: Tensor,
  kv: KvLayer,
  rows: StepRows,
): void {
  const { q, k, v, a } = ownProjections(ctx, w, x);
  ctx.backend.storeKv({ k, v, kv, places: rows.selfPlaces, mask: ctx.mask });
  ctx.backend.pagedAttention({
    q,
    ...w.scores,
    heads: w.heads,
    kv,
    pageTable: rows.selfTable,
    pagesPerRow: rows.selfPagesPerRow,
    lengths: rows.selfLengths,
    out: a,
    mask: ctx.mask,
  });
  project(ctx, a, w.output, x, x);
}

/** x += CrossAttention(norm(x)) over the encoded source, whose K and V are in pages already. */
export function crossAttention(
  ctx: Context,
  w: Attention,
  x: Tensor,
  kv: KvLayer,
  rows: StepRows,
): void {
  const at = (name: "h" | "q" | "a") => ctx.workspace.view(name, x.rows);
  const h = at("h"), q = at("q"), a = at("a");
  normalize(ctx, x, w.norm, h);
  project(ctx, h, w.query, q);
  ctx.backend.pagedAttention({
    q,
    ...w.scores,
    heads: w.heads,
    kv,
    pageTable: rows.crossTable,
    pagesPerRow: rows.crossPagesPerRow,
    lengths: rows.crossLengths,
    out: a,
    mask: ctx.mask,
  });
  project(ctx, a, w.output, x, x);
}

/** K and V of the encoded source for one decoder layer, into pages. encoded: [T, d_model]. */
export function storeCross(
  ctx: Context,
  w: Attention,
  encoded: Tensor,
  kv: KvLayer,
  places: Int32Array,
): void {
  const k = ctx.workspace.view("k", encoded.rows), v = ctx.workspace.view("v", encoded.rows);
  project(ctx, encoded, w.key, k);
  project(ctx, encoded, w.value, v);
  ctx.backend.storeKv({ k, v, kv, places });
}
