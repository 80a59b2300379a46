/** What a model is made of, said once by its architecture and used by packing, planning and building alike. */
import type { ProjectionShape } from "./layout.ts";

export type Stack = "encoder" | "decoder";

/**
 * What a trunk tensor is for, which decides its width: `matrix`, `embedding` and `lm_head` take the width
 * asked for; `exact` (routers, tables of attention biases) and `vector` (norms, biases) stay f32.
 */
export type TensorRole = "matrix" | "embedding" | "lm_head" | "exact" | "vector";

export interface TensorSpec {
  /** Canonical name, without a leading "model.". */
  readonly name: string;
  readonly role: TensorRole;
  /** [rows, cols] of a matrix, [length] of a vector. */
  readonly shape: readonly number[];
  /** What it is made of, where the checkpoint has no tensor of this name. */
  readonly parts?: readonly TensorPart[] | undefined;
}

/**
 * A part of a planned tensor, as a checkpoint stores it. The rows of all parts, one part after the other, are the rows
 * of the planned tensor; parts of a vector are joined by their elements.
 */
export interface TensorPart {
  /** Canonical name in the checkpoint. */
  readonly tensor: string;
  /** Its shape there; of "mxfp4" that of what is decoded. */
  readonly shape: readonly number[];
  /** Which of the tensors that are stacked along its first dimension. */
  readonly index?: number | undefined;
  /** Its columns are rows here. */
  readonly transposed?: true | undefined;
  /** Rows first, first + step, ... are taken (of a vector: elements); all of them unless given. */
  readonly every?: { readonly first: number; readonly step: number } | undefined;
  /**
   * "mxfp4": stored as TENSOR_blocks u8 [..., rows, cols / 32, 16], two 4-bit codes a byte with the lower first, and
   * TENSOR_scales u8 [..., rows, cols / 32], exponents with a bias of 127.
   */
  readonly encoding?: "mxfp4" | undefined;
}

/** The experts of one sparse layer. */
export interface ExpertLayerSpec {
  readonly stack: Stack;
  /** Index of the layer in its stack. */
  readonly layer: number;
  readonly count: number;
  readonly projections: readonly ProjectionShape[];
  /** Canonical names of expert e's projection p: its weight and, where it has one, its bias. */
  tensorNames(expert: number, projection: string): { weight: string; bias: string };
  /** What a tensor of `tensorNames` is made of, where the checkpoint has none of that name. */
  readonly parts?:
    | ((expert: number, projection: string, of: "weight" | "bias") => readonly TensorPart[])
    | undefined;
  /** Matrices of the trunk that the experts' own are added to; none: the experts' are whole. */
  readonly bases?: ExpertBasesSpec | undefined;
}

/** Bases of a layer's experts: base b is the sum's other half for experts b, b + count, b + 2 * count, ... */
export interface ExpertBasesSpec {
  readonly count: number;
  /** Canonical name of base b's projection p, a trunk tensor shaped as the experts'. */
  tensorName(base: number, projection: string): string;
}

/** Which base an expert is added to. */
export function baseOf(
  { bases }: Pick<ExpertLayerSpec, "bases">,
  expert: number,
): number | undefined {
  return bases === undefined ? undefined : expert % bases.count;
}

export interface ModelPlan {
  readonly modelType: string;
  readonly tensors: readonly TensorSpec[];
  /** In the order encoder layers, then decoder layers; the index into this list is the expert layer's ordinal. */
  readonly expertLayers: readonly ExpertLayerSpec[];
  /** Tensors that a checkpoint may hold and that are not kept (a tied lm_head, buffers), each with the reason. */
  readonly ignored: ReadonlyMap<string, string>;
  /** What else a checkpoint may hold that is not kept: tensors by the start of their names, each with the reason. */
  readonly leftOut?: readonly { readonly prefix: string; readonly reason: string }[] | undefined;
  /** Those of `ignored` that are left out only as far as they equal another tensor: name, and whose copy it must be. */
  readonly copies?: ReadonlyMap<string, string>;
}

/** An expert's dense number over the whole model: ordinal of its layer * experts a layer + expert. */
export type ExpertKey = number;
