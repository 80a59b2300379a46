/**
 * What an architecture file says of its model, and all that the builder needs to run it. Plain data: new
 * behaviour is a new `kind` here and a block beside it, never a flag on a block that is there.
 */
import type { Activation, Gating, RotaryOp } from "../backend/contract.ts";

/** Names of a projection's weight and, where it has one, its bias in the trunk. */
export interface AffineNames {
  readonly weight: string;
  readonly bias?: string | undefined;
}

/** Mean off, variance one, times a weight, plus a bias. */
export interface LayerNormSpec {
  readonly kind: "layer";
  readonly weight: string;
  readonly bias: string;
  readonly epsilon: number;
}

/** Divided by the root of the mean square, times a weight: no mean, no bias. */
export interface RmsNormSpec {
  readonly kind: "rms";
  readonly weight: string;
  readonly epsilon: number;
  /** What its result is multiplied by; 1 unless given. */
  readonly scale?: number | undefined;
}

/** A norm by name. */
export type NormSpec = LayerNormSpec | RmsNormSpec;

/** Scores are q . k * scale; head_dim ^ -0.5 unless given. */
export interface ScaledScoresSpec {
  readonly kind: "scaled";
  readonly scale?: number | undefined;
}

/** Scores are q . k plus what a trunk table [buckets, heads] says of the distance between key and query (T5). */
export interface DistanceScoresSpec {
  readonly kind: "distance";
  readonly table: string;
  readonly buckets: number;
  /** From here on all distances are one. */
  readonly maxDistance: number;
  /** Whether keys behind the query have buckets of their own (encoder). */
  readonly bidirectional: boolean;
}

/** How attention scores become. */
export type ScoresSpec = ScaledScoresSpec | DistanceScoresSpec;

/** Pairs of channels of q and k are turned by angles that grow with the position. */
export interface RotarySpec {
  readonly kind: "rotary";
  readonly pairs: RotaryOp["pairs"];
  /** Angle a position, of each pair: f32. Its length is half of the channels that are turned. */
  readonly frequencies: readonly number[];
  /** What cosines and sines are multiplied by (yarn); 1 elsewhere. */
  readonly magnitude: number;
}

/** Nothing happens to q and k. */
export interface NoRotarySpec {
  readonly kind: "none";
}

/** A norm of queries or keys: over each head, or over the whole projection. */
export interface QkNormSpec {
  readonly over: "head" | "projection";
  readonly weight: string;
  readonly epsilon: number;
}

/** Attention whose query heads share key heads (grouped queries), or have one each. Its weights by name. */
export interface AttentionSpec {
  readonly kind: "grouped";
  readonly norm: NormSpec;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly scores: ScoresSpec;
  readonly rotary: RotarySpec | NoRotarySpec;
  readonly queryNorm?: QkNormSpec | undefined;
  readonly keyNorm?: QkNormSpec | undefined;
  /** q, k and v lie within -clamp..clamp; no limit unless given. */
  readonly clamp?: number | undefined;
  /** A position sees so many, its own included; all before it unless given. */
  readonly window?: number | undefined;
  /** Name of the sinks [heads]: one more logit a head that takes part in the softmax and has no value. */
  readonly sinks?: string | undefined;
  readonly query: AffineNames;
  readonly key: AffineNames;
  readonly value: AffineNames;
  readonly output: AffineNames;
}

/** fc2(act(fc1(norm(x)))), added to x. Where gated, fc1 is [2 * width, d_model]: the gate's rows, then the others. */
export interface DenseFeedForwardSpec {
  readonly kind: "dense";
  readonly norm: NormSpec;
  readonly activation: Activation | Gating;
  readonly fc1: AffineNames;
  readonly fc2: AffineNames;
}

/** A base of experts: its matrices' names in the trunk. */
export interface ExpertBaseNames {
  readonly fc1: string;
  readonly fc2: string;
}

/** Routed experts; see RouterOp for how they are chosen. */
export interface SparseFeedForwardSpec {
  readonly kind: "sparse";
  readonly norm: NormSpec;
  readonly router: AffineNames;
  /** Matrices in the trunk that experts' own are added to, by number; none unless given. */
  readonly bases?: readonly ExpertBaseNames[] | undefined;
  /** Ordinal of this layer in ModelPlan.expertLayers. */
  readonly expertLayer: number;
  readonly topK: number;
  readonly weighting: "share" | "probability";
  /** What every expert's output is multiplied by: 1 - moe_token_dropout. */
  readonly outputScale: number;
  readonly activation: Activation | Gating;
}

export type FeedForwardSpec = DenseFeedForwardSpec | SparseFeedForwardSpec;

/** Attention, cross-attention to a memory where there is one, then a feed-forward block. */
export interface LayerSpec {
  readonly attention: AttentionSpec;
  readonly crossAttention?: AttentionSpec | undefined;
  readonly feedForward: FeedForwardSpec;
}

/** Layers one after the other, and the norm of what they give. */
export interface StackSpec {
  readonly layers: readonly LayerSpec[];
  readonly norm: NormSpec;
}

/** Sinusoids are added: the first token of a sentence has row `first` of the table; row `padding` is zero. */
export interface SinusoidalPositionsSpec {
  readonly kind: "sinusoidal";
  readonly first: number;
  readonly padding: number;
}

/** Nothing is added: attention knows positions by itself. */
export interface NoPositionsSpec {
  readonly kind: "none";
}

/** What embeddings gain by position. */
export type PositionsSpec = SinusoidalPositionsSpec | NoPositionsSpec;

export interface EmbeddingSpec {
  /** [vocab, d_model], shared by all stacks. */
  readonly table: string;
  readonly scale: number;
  readonly positions: PositionsSpec;
  /** Longest sequence, in tokens. */
  readonly maxPositions: number;
}

/** A source is [source language] tokens end, and the translation begins with the target language's token. */
export interface LanguageTokensSpec {
  readonly kind: "language tokens";
}

/** A source is "translate English to German: " and the sentence, then the end (T5); nothing is forced. */
export interface PromptSpec {
  readonly kind: "prompt";
}

/** There is no source: an instruction in the model's chat template is the prefix. */
export interface ChatSpec {
  readonly kind: "chat";
}

/** How a model is asked to translate. */
export type SourceSpec = LanguageTokensSpec | PromptSpec | ChatSpec;

/** Ids with a meaning of their own. */
export interface TokenIds {
  readonly pad: number;
  /** Any of these ends a sequence. */
  readonly eos: readonly number[];
  /** What a decoder with an encoder begins with; -1 where the prompt is all there is. */
  readonly decoderStart: number;
}

/** A model: stacks of layers, an embedding before and a vocabulary behind them. */
export interface ModelSpec {
  readonly modelType: string;
  readonly dModel: number;
  readonly vocab: number;
  readonly source: SourceSpec;
  readonly tokens: TokenIds;
  readonly embedding: EmbeddingSpec;
  /** The output matrix [vocab, d_model]; where the trunk has no tensor of this name, the embedding's table serves. */
  readonly lmHead: string;
  /** Makes a memory of the source; undefined: there is no source. */
  readonly encoder?: StackSpec | undefined;
  readonly decoder: StackSpec;
  /** Widest hidden layer of any feed-forward, dense or expert; both halves where gated. */
  readonly maxHidden: number;
}

/** Layers of all stacks, the encoder's first. */
export function layersOf(spec: ModelSpec): LayerSpec[] {
  return [...spec.encoder?.layers ?? [], ...spec.decoder.layers];
}

/** Attention blocks of all stacks. */
export function attentionsOf(spec: ModelSpec): AttentionSpec[] {
  return layersOf(spec).flatMap((l) =>
    l.crossAttention === undefined ? [l.attention] : [l.attention, l.crossAttention]
  );
}
