/** Attention blocks: pre-norm, projections, attention over segments or pages, output added to the residual. */
import type { KvLayer, Matrix, Tensor, Vector } from "../backend/contract.ts";
import type { Trunk } from "./trunk.ts";
import type { Context, DecodeRows, EncodeRows } from "./context.ts";
import type { AffineNames, AttentionSpec } from "./spec.ts";

/** A projection on the device: W [N, K] and b [N]. */
export interface Affine {
  readonly weight: Matrix;
  readonly bias: Vector;
}

/** A layer norm on the device: both [d_model]. */
export interface Norm {
  readonly weight: Vector;
  readonly bias: Vector;
}

export interface Attention {
  readonly norm: Norm;
  readonly query: Affine;
  readonly key: Affine;
  readonly value: Affine;
  readonly output: Affine;
  readonly heads: number;
}

/** Finds a projection in the trunk. */
export function buildAffine(trunk: Trunk, names: AffineNames): Affine {
  return { weight: trunk.matrix(names.weight), bias: trunk.vector(names.bias) };
}

/** Finds a layer norm in the trunk. */
export function buildNorm(trunk: Trunk, names: AffineNames): Norm {
  return { weight: trunk.vector(names.weight), bias: trunk.vector(names.bias) };
}

/** Finds an attention block in the trunk. */
export function buildAttention(trunk: Trunk, spec: AttentionSpec, heads: number): Attention {
  return {
    norm: buildNorm(trunk, spec.norm),
    query: buildAffine(trunk, spec.query),
    key: buildAffine(trunk, spec.key),
    value: buildAffine(trunk, spec.value),
    output: buildAffine(trunk, spec.output),
    heads,
  };
}

/** out = x W' + b, plus `residual` where given. */
export function project(
  ctx: Context,
  x: Tensor,
  affine: Affine,
  out: Tensor,
  residual?: Tensor,
): void {
  ctx.backend.linear({ x, w: affine.weight, bias: affine.bias, out, residual });
}

/** out = LayerNorm(x). */
export function normalize(ctx: Context, x: Tensor, norm: Norm, out: Tensor): void {
  ctx.backend.layerNorm({
    x,
    weight: norm.weight,
    bias: norm.bias,
    epsilon: ctx.spec.normEpsilon,
    out,
  });
}

/** x += SelfAttention(LayerNorm(x)), each token over its own sentence. x: [T, d_model]. */
export function encoderSelfAttention(
  ctx: Context,
  w: Attention,
  x: Tensor,
  rows: EncodeRows,
): void {
  const at = (name: "h" | "q" | "k" | "v" | "a") => ctx.workspace.view(name, x.rows);
  const h = at("h"), q = at("q"), k = at("k"), v = at("v"), a = at("a");
  normalize(ctx, x, w.norm, h);
  project(ctx, h, w.query, q);
  project(ctx, h, w.key, k);
  project(ctx, h, w.value, v);
  ctx.backend.segmentAttention({
    q,
    k,
    v,
    heads: w.heads,
    starts: rows.starts,
    lengths: rows.lengths,
    out: a,
  });
  project(ctx, a, w.output, x, x);
}

/** x += SelfAttention(LayerNorm(x)) over the row's own earlier tokens; writes this step's K and V first. */
export function decoderSelfAttention(
  ctx: Context,
  w: Attention,
  x: Tensor,
  kv: KvLayer,
  rows: DecodeRows,
): void {
  const at = (name: "h" | "q" | "k" | "v" | "a") => ctx.workspace.view(name, x.rows);
  const h = at("h"), q = at("q"), k = at("k"), v = at("v"), a = at("a");
  normalize(ctx, x, w.norm, h);
  project(ctx, h, w.query, q);
  project(ctx, h, w.key, k);
  project(ctx, h, w.value, v);
  ctx.backend.storeKv({ k, v, kv, places: rows.selfPlaces });
  ctx.backend.pagedAttention({
    q,
    heads: w.heads,
    kv,
    pageTable: rows.selfTable,
    pagesPerRow: rows.selfPagesPerRow,
    lengths: rows.selfLengths,
    out: a,
  });
  project(ctx, a, w.output, x, x);
}

/** x += CrossAttention(LayerNorm(x)) over the encoded source, whose K and V are in pages already. */
export function crossAttention(
  ctx: Context,
  w: Attention,
  x: Tensor,
  kv: KvLayer,
  rows: DecodeRows,
): void {
  const at = (name: "h" | "q" | "a") => ctx.workspace.view(name, x.rows);
  const h = at("h"), q = at("q"), a = at("a");
  normalize(ctx, x, w.norm, h);
  project(ctx, h, w.query, q);
  ctx.backend.pagedAttention({
    q,
    heads: w.heads,
    kv,
    pageTable: rows.crossTable,
    pagesPerRow: rows.crossPagesPerRow,
    lengths: rows.crossLengths,
    out: a,
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
