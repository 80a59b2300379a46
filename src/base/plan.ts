/** What a model is made of, said once by its architecture and used by packing, planning and building alike. */
import type { ProjectionShape } from "./layout.ts";

export type Stack = "encoder" | "decoder";

/**
 * What a trunk tensor is for, which decides its width: `matrix`, `embedding` and `lm_head` take the width
 * asked for; `exact` (routers, tables of attention biases) and `vector` (norms, biases) stay f32.
 */
export type TensorRole = "matrix" | "embedding" | "lm_head" | "exact" | "vector";

/** The part of a model that a trunk tensor is in, where widths can be said by part. */
export interface TensorPlace {
  readonly stack: Stack;
  readonly part: "attention" | "dense_ffn";
}

export interface TensorSpec {
  /** Canonical name, without a leading "model.". */
  readonly name: string;
  readonly role: TensorRole;
  /** [rows, cols] of a matrix, [length] of a vector. */
  readonly shape: readonly number[];
  /** Left out: in none of these parts. */
  readonly place?: TensorPlace | undefined;
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

/**
 * Of a gated expert the first matrix has 2 * width rows, the gate's before the others, and the second reads width:
 * silu(gate) * up, or gate * sigmoid(1.702 gate) * (up + 1) with gate at most 7 and up within -7..7.
 */
export type ExpertActivation = "relu" | "gated silu" | "clamped gated silu";

/** The experts of one sparse layer. */
export interface ExpertLayerSpec {
  readonly stack: Stack;
  /** Index of the layer in its stack. */
  readonly layer: number;
  readonly count: number;
  readonly projections: readonly ProjectionShape[];
  /** What becomes of the first matrix's product before the second one reads it: "relu" unless given. */
  readonly activation?: ExpertActivation | undefined;
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
  /** Tensors that a checkpoint may hold and that are not kept (copies, buffers), each with the reason. */
  readonly ignored: ReadonlyMap<string, string>;
  /** An output matrix that is tied to an embedding: its name, and the embedding's. It may be packed at a width of its own. */
  readonly tiedHead?: { readonly name: string; readonly of: string } | undefined;
  /** What else a checkpoint may hold that is not kept: tensors by the start of their names, each with the reason. */
  readonly leftOut?: readonly { readonly prefix: string; readonly reason: string }[] | undefined;
  /** Those of `ignored` that are left out only as far as they equal another tensor: name, and whose copy it must be. */
  readonly copies?: ReadonlyMap<string, string>;
}

/** Whether a checkpoint may hold a tensor of this name that is not kept. */
export function isIgnored(plan: ModelPlan, name: string): boolean {
  return plan.ignored.has(name) || plan.tiedHead?.name === name;
}

/** Every tensor of a plan, the trunk's, then the experts'. */
export function* plannedTensors(
  plan: ModelPlan,
): Generator<Pick<TensorSpec, "name" | "shape" | "parts">> {
  yield* plan.tensors;
  for (const layer of plan.expertLayers) {
    for (let e = 0; e < layer.count; e++) {
      for (const p of layer.projections) {
        const names = layer.tensorNames(e, p.name);
        const parts = (of: "weight" | "bias") => layer.parts?.(e, p.name, of);
        yield { name: names.weight, shape: [p.rows, p.cols], parts: parts("weight") };
        if (p.bias) yield { name: names.bias, shape: [p.rows], parts: parts("bias") };
      }
    }
  }
}

/** An expert's dense number over the whole model: ordinal of its layer * experts a layer + expert. */
export type ExpertKey = number;
