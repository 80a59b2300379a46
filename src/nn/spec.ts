/**
 * What an architecture file says of its model, and all that the builder needs to run it. Plain data: new
 * behaviour is a new `kind` here and a block beside it, never a flag on a block that is there.
 */
import type { Activation } from "../backend/contract.ts";

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
}

/** T5's: no mean, no bias. */
export interface RmsNormSpec {
  readonly kind: "rms";
  readonly weight: string;
  /** What its result is multiplied by; 1 unless given. */
  readonly scale?: number | undefined;
}

/** A norm by name. */
export type NormSpec = LayerNormSpec | RmsNormSpec;

/** Scores are q . k / sqrt(head_dim). */
export interface ScaledScoresSpec {
  readonly kind: "scaled";
}

/** Scores are q . k as they are (T5's cross-attention). */
export interface PlainScoresSpec {
  readonly kind: "plain";
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
export type ScoresSpec = ScaledScoresSpec | PlainScoresSpec | DistanceScoresSpec;

/** A pre-norm attention block's weights, by name. */
export interface AttentionSpec {
  readonly norm: NormSpec;
  readonly scores: ScoresSpec;
  readonly query: AffineNames;
  readonly key: AffineNames;
  readonly value: AffineNames;
  readonly output: AffineNames;
}

/** fc2(act(fc1(norm(x)))), added to x. */
export interface DenseFeedForwardSpec {
  readonly kind: "dense";
  readonly norm: NormSpec;
  readonly fc1: AffineNames;
  readonly fc2: AffineNames;
  readonly activation: Activation;
}

/** A base of experts: its matrices' names in the trunk. */
export interface ExpertBaseNames {
  readonly fc1: string;
  readonly fc2: string;
}

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
  readonly activation: Activation;
}

export type FeedForwardSpec = DenseFeedForwardSpec | SparseFeedForwardSpec;

/** Self-attention, then a feed-forward block. */
export interface EncoderLayerSpec {
  readonly selfAttention: AttentionSpec;
  readonly feedForward: FeedForwardSpec;
}

/** Self-attention, cross-attention, then a feed-forward block. */
export interface DecoderLayerSpec extends EncoderLayerSpec {
  readonly crossAttention: AttentionSpec;
}

/** Sinusoids are added: the first token of a sentence has row `first` of the table; row `padding` is zero. */
export interface SinusoidalPositionsSpec {
  readonly kind: "sinusoidal";
  readonly first: number;
  readonly padding: number;
}

/** Nothing is added (T5, whose attention knows distances). */
export interface NoPositionsSpec {
  readonly kind: "none";
}

/** What embeddings gain by position. */
export type PositionsSpec = SinusoidalPositionsSpec | NoPositionsSpec;

export interface EmbeddingSpec {
  /** [vocab, d_model], shared by encoder and decoder. */
  readonly table: string;
  /** The output matrix; where the trunk has no tensor of this name, `table` serves. */
  readonly lmHead: string;
  readonly scale: number;
  readonly positions: PositionsSpec;
  /** Longest sentence, in tokens. */
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

/** How a model is told the languages. */
export type SourceSpec = LanguageTokensSpec | PromptSpec;

/** Ids with a meaning of their own. */
export interface TokenIds {
  readonly pad: number;
  readonly eos: number;
  readonly decoderStart: number;
}

export interface ModelSpec {
  readonly modelType: string;
  readonly dModel: number;
  /** heads * head_dim: width of queries, keys and values. */
  readonly attentionWidth: number;
  readonly vocab: number;
  readonly encoderHeads: number;
  readonly decoderHeads: number;
  readonly normEpsilon: number;
  readonly source: SourceSpec;
  readonly tokens: TokenIds;
  readonly embedding: EmbeddingSpec;
  readonly encoder: { readonly layers: readonly EncoderLayerSpec[]; readonly norm: NormSpec };
  readonly decoder: { readonly layers: readonly DecoderLayerSpec[]; readonly norm: NormSpec };
  /** Widest hidden layer of any feed-forward, dense or expert. */
  readonly maxHidden: number;
}
