/** The builder: an architecture's spec and a trunk become a model that encodes and decodes. */
import type {
  Backend,
  DeviceBuffer,
  IndexArray,
  KvBits,
  KvLayer,
  Matrix,
  Tensor,
} from "../backend/contract.ts";
import { kvPageBytes } from "../backend/contract.ts";
import type { Residency, WaitOptions } from "../experts/contract.ts";
import {
  type Attention,
  buildAttention,
  crossAttention,
  decoderSelfAttention,
  encoderSelfAttention,
  storeCross,
} from "./attention.ts";
import type { Context, DecodeRows, EncodeRows } from "./context.ts";
import { buildDense, type DenseFeedForward, denseFeedForward } from "./feed_forward.ts";
import { distanceBytes, Distances } from "./distances.ts";
import { buildNorm, type Norm, normalize } from "./norm.ts";
import { positionRows, positionTable } from "./positions.ts";
import {
  buildSparse,
  type SparseFeedForward,
  sparseFeedForward,
  waitlessFeedForward,
} from "./sparse_feed_forward.ts";
import { heldBits, layerPageBytes } from "./kv.ts";
import type { FeedForwardSpec, ModelSpec } from "./spec.ts";
import type { StepResult, StepView } from "./step.ts";
import type { Trunk } from "./trunk.ts";
import type { Workspace } from "./workspace.ts";

type FeedForward = DenseFeedForward | SparseFeedForward;

interface EncoderLayer {
  readonly attention: Attention;
  readonly feedForward: FeedForward;
}

interface DecoderLayer extends EncoderLayer {
  readonly cross: Attention;
  readonly kv: KvLayer;
}

/** How a decoder step runs. */
export interface DecodeOptions extends WaitOptions {
  /**
   * "park": no waiting, rows that miss an expert stop at its layer. "waves": the routing of every sparse layer is
   * read back, its experts are brought in, and no row stops.
   */
  readonly mode: "park" | "waves";
}

/** A context for the decoder's blocks, and all of the workspace. */
type WholeContext = Context & { readonly workspace: Workspace };

/** Device bytes of the tables that a model computes for itself. */
export function tableBytes(spec: ModelSpec): number {
  return positionRows(spec) * spec.dModel * 4 + distanceBytes(spec);
}

/** A model on a device. Owns its K/V pages and computed tables; the trunk, workspace and arenas are its caller's. */
export class TranslationModel {
  readonly pages: number;
  readonly #ctx: WholeContext;
  readonly #table: Matrix;
  readonly #lmHead: Matrix;
  readonly #positions: Tensor;
  readonly #encoder: readonly EncoderLayer[];
  readonly #decoder: readonly DecoderLayer[];
  readonly #encoderNorm: Norm;
  readonly #decoderNorm: Norm;
  readonly #distances: Distances;
  readonly #owned: DeviceBuffer[] = [];

  constructor(ctx: WholeContext, trunk: Trunk, pages: number, kvBits: KvBits) {
    this.#ctx = ctx;
    this.pages = pages;
    const { spec, backend } = ctx;
    this.#table = trunk.matrix(spec.embedding.table);
    this.#lmHead = trunk.has(spec.embedding.lmHead)
      ? trunk.matrix(spec.embedding.lmHead)
      : this.#table;
    this.#positions = this.#placePositions(backend, spec);
    const distances = this.#distances = new Distances(backend, spec);
    const feedForward = (s: FeedForwardSpec): FeedForward =>
      s.kind === "dense" ? buildDense(trunk, s) : buildSparse(trunk, s);
    this.#encoder = spec.encoder.layers.map((l) => ({
      attention: buildAttention(trunk, l.selfAttention, { heads: spec.encoderHeads, distances }),
      feedForward: feedForward(l.feedForward),
    }));
    this.#decoder = spec.decoder.layers.map((l, i) => ({
      attention: buildAttention(trunk, l.selfAttention, { heads: spec.decoderHeads, distances }),
      cross: buildAttention(trunk, l.crossAttention, { heads: spec.decoderHeads, distances }),
      feedForward: feedForward(l.feedForward),
      kv: {
        buffer: this.#own(`kv ${i}`, pages * layerPageBytes(spec, kvBits)),
        offset: 0,
        pages,
        width: spec.attentionWidth,
        bits: heldBits(spec, kvBits),
      },
    }));
    this.#encoderNorm = buildNorm(trunk, spec.encoder.norm);
    this.#decoderNorm = buildNorm(trunk, spec.decoder.norm);
  }

  #own(label: string, bytes: number): DeviceBuffer {
    const buffer = this.#ctx.backend.alloc(label, bytes, "kv");
    this.#owned.push(buffer);
    return buffer;
  }

  #placePositions(backend: Backend, spec: ModelSpec): Tensor {
    const rows = positionRows(spec);
    const buffer = backend.alloc("positions", rows * spec.dModel * 4, "trunk");
    this.#owned.push(buffer);
    backend.write(buffer, 0, new Uint8Array(positionTable(spec).buffer));
    return { buffer, offset: 0, rows, cols: spec.dModel };
  }

  /**
   * Encodes sentences and puts their cross-attention K and V into pages. Where it pauses, decoder steps may run.
   * `places` [T]: page * PAGE_TOKENS + place of each source token, -1 for none; read at the end of the pass. Returns
   * the encoder output [T, d_model], valid until the next call.
   */
  async encode(rows: EncodeRows, places: Int32Array, wait?: WaitOptions): Promise<Tensor> {
    const ctx: Context = { ...this.#ctx, workspace: this.#ctx.workspace.encoder };
    const x = ctx.workspace.view("x", rows.ids.length);
    this.#embedInto(ctx, rows.ids, rows.positions, x);
    for (const { attention, feedForward } of this.#encoder) {
      encoderSelfAttention(ctx, attention, x, rows);
      if (feedForward.kind === "dense") denseFeedForward(ctx, feedForward, x);
      else await sparseFeedForward(ctx, feedForward, x, { wait });
    }
    const encoded = ctx.workspace.view("h", x.rows);
    normalize(ctx, x, this.#encoderNorm, encoded);
    for (const layer of this.#decoder) storeCross(ctx, layer.cross, encoded, layer.kv, places);
    ctx.backend.submit();
    return encoded;
  }

  /**
   * One decoder step of all rows, without the vocabulary, in waves. Returns the normed hidden state [T, d_model]:
   * for goldens and self-tests, not for service.
   */
  async decodeHidden(rows: DecodeRows): Promise<Tensor> {
    return await this.#hidden(this.#ctx.workspace.step.begin(rows, 1), { mode: "waves" });
  }

  /**
   * One decoder step: the `count` best next tokens of each wanted row that ran to the end, and where the others
   * stopped. A stopped row's residual is where `park` finds it until the next pass.
   */
  async decode(rows: DecodeRows, count: number, options: DecodeOptions): Promise<StepResult> {
    const { backend, residency, workspace } = this.#ctx;
    if (options.mode === "park") residency.flush();
    const step = workspace.step.begin(rows, count);
    const h = await this.#hidden(step, options);
    step.dropUnwanted();
    backend.vocabTopK({
      x: h,
      w: this.#lmHead,
      candidates: count,
      ids: step.ids,
      logProbs: step.logProbs,
      mask: step.live,
    });
    const result = await step.read();
    if (options.mode === "park") this.#tellUse(rows, result);
    return result;
  }

  async #hidden(step: StepView, wait: DecodeOptions): Promise<Tensor> {
    const ctx: Context = { ...this.#ctx, mask: step.live };
    const x = this.#restore(step);
    this.#embedInto(ctx, step.rows.ids, step.rows.positions, x);
    for (const layer of this.#decoder) {
      decoderSelfAttention(ctx, layer.attention, x, layer.kv, step.rows);
      crossAttention(ctx, layer.cross, x, layer.kv, step.rows);
      const { feedForward } = layer;
      if (feedForward.kind === "dense") denseFeedForward(ctx, feedForward, x);
      else {
        step.wake(feedForward.expertLayer);
        // An observer waits, and so sees every row.
        if (wait.mode === "park" && ctx.observer === undefined) {
          waitlessFeedForward(ctx, feedForward, x, step);
        } else await sparseFeedForward(ctx, feedForward, x, { step, wait });
      }
    }
    const h = ctx.workspace.view("h", x.rows);
    normalize(ctx, x, this.#decoderNorm, h);
    return h;
  }

  /** The residual stream of a step, with that of parked rows in its place; nothing writes to it until they wake. */
  #restore({ rows }: StepView): Tensor {
    const { workspace, spec, backend } = this.#ctx;
    const x = workspace.view("x", rows.parkedAt.length), parked = workspace.view("parked", 0);
    const bytes = spec.dModel * 4;
    rows.parkedAt.forEach((at, t) => {
      if (at >= 0) {
        backend.copy(
          parked.buffer,
          parked.offset + at * bytes,
          x.buffer,
          x.offset + t * bytes,
          bytes,
        );
      }
    });
    return x;
  }

  /** Keeps the residual of row t of the last step at place `at`, below the workspace's rows. */
  park(t: number, at: number): void {
    const { workspace, spec, backend } = this.#ctx, bytes = spec.dModel * 4;
    const x = workspace.view("x", 0), parked = workspace.view("parked", 0);
    backend.copy(x.buffer, x.offset + t * bytes, parked.buffer, parked.offset + at * bytes, bytes);
  }

  /** Recency of the experts that rows of a waitless step ran. */
  #tellUse(rows: DecodeRows, result: StepResult): void {
    for (const { feedForward: f } of this.#decoder) {
      if (f.kind !== "sparse") continue;
      const layer = f.expertLayer, chosen = result.choices(layer), used = new Set<number>();
      result.faults.forEach((fault, t) => {
        // A row that resumes here was counted when it missed.
        if (rows.resumeAt[t]! >= layer || (fault >= 0 && fault <= layer)) return;
        for (let pair = t * f.topK; pair < (t + 1) * f.topK; pair++) used.add(chosen[pair]!);
      });
      if (used.size > 0) this.#ctx.residency.used(layer, [...used]);
    }
  }

  /** Which experts of the model are where. */
  get residency(): Residency {
    return this.#ctx.residency;
  }

  /** A matrix of the model with room for its input and output, for a self-test of the device between passes. */
  get probe(): { w: Matrix; input: Tensor; output: Tensor } {
    const { workspace } = this.#ctx, rows = workspace.maxRows;
    const w = this.#decoder[0]!.attention.query.weight;
    return { w, input: workspace.view("h", rows), output: workspace.view("q", rows) };
  }

  /** All logits of hidden rows into `out` [T, vocab]: for goldens and self-tests, not for service. */
  logits(hidden: Tensor, out: Tensor): void {
    this.#ctx.backend.linear({ x: hidden, w: this.#lmHead, out });
  }

  /** Copies a whole page in every decoder layer (a forked hypothesis gets a last page of its own). */
  copyPage(from: number, to: number): void {
    for (const { kv } of this.#decoder) {
      const bytes = kvPageBytes(kv.width, kv.bits);
      this.#ctx.backend.copy(
        kv.buffer,
        kv.offset + from * bytes,
        kv.buffer,
        kv.offset + to * bytes,
        bytes,
      );
    }
  }

  #embedInto(ctx: Context, ids: IndexArray, positions: IndexArray, out: Tensor): void {
    ctx.backend.embed({
      ids,
      positions,
      table: this.#table,
      scale: ctx.spec.embedding.scale,
      positionTable: this.#positions,
      out,
      mask: ctx.mask,
    });
  }

  /** Gives K/V pages and tables back. */
  free(): void {
    this.#distances.free();
    for (const b of this.#owned.splice(0)) this.#ctx.backend.free(b);
  }
}
