/**
 * What an architecture file says of its model, and all that the builder needs to run it. Plain data: new
 * behaviour is a new `kind` here and a block beside it, never a flag on a block that is there.
 */
import type { Activation } from "../backend/contract.ts";

/** Names of a weight and its bias in the trunk. */
export interface AffineNames {
  readonly weight: string;
  readonly bias: string;
}

/** A pre-norm attention block's weights, by name. */
export interface AttentionSpec {
  readonly norm: AffineNames;
  readonly query: AffineNames;
  readonly key: AffineNames;
  readonly value: AffineNames;
  readonly output: AffineNames;
}

/** fc2(act(fc1(norm(x)))), added to x. */
export interface DenseFeedForwardSpec {
  readonly kind: "dense";
  readonly norm: AffineNames;
  readonly fc1: AffineNames;
  readonly fc2: AffineNames;
  readonly activation: Activation;
}

export interface SparseFeedForwardSpec {
  readonly kind: "sparse";
  readonly norm: AffineNames;
  readonly router: { readonly weight: string; readonly bias?: string | undefined };
  /** Ordinal of this layer in ModelPlan.expertLayers. */
  readonly expertLayer: number;
  readonly topK: 1 | 2;
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

export interface EmbeddingSpec {
  /** [vocab, d_model], shared by encoder and decoder. */
  readonly table: string;
  /** The output matrix; where the trunk has no tensor of this name, `table` serves. */
  readonly lmHead: string;
  readonly scale: number;
  /** Sinusoidal positions: the first token of a sentence has row `firstPosition`; row `paddingRow` is zero. */
  readonly firstPosition: number;
  readonly paddingRow: number;
  /** Longest sentence, in tokens, that has positions. */
  readonly maxPositions: number;
}

/** Ids with a meaning of their own. */
export interface TokenIds {
  readonly pad: number;
  readonly bos: number;
  readonly eos: number;
  readonly decoderStart: number;
}

export interface ModelSpec {
  readonly modelType: string;
  readonly dModel: number;
  readonly vocab: number;
  readonly encoderHeads: number;
  readonly decoderHeads: number;
  readonly normEpsilon: number;
  readonly tokens: TokenIds;
  readonly embedding: EmbeddingSpec;
  readonly encoder: { readonly layers: readonly EncoderLayerSpec[]; readonly norm: AffineNames };
  readonly decoder: { readonly layers: readonly DecoderLayerSpec[]; readonly norm: AffineNames };
  /** Widest hidden layer of any feed-forward, dense or expert. */
  readonly maxHidden: number;
}
