/** The builder: an architecture's spec and a trunk become a model that encodes and decodes. */
import type { Backend, DeviceBuffer, KvLayer, Matrix, Tensor } from "../backend/contract.ts";
import { PAGE_TOKENS } from "../backend/contract.ts";
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
import { buildSparse, type SparseFeedForward, sparseFeedForward } from "./sparse_feed_forward.ts";
import type { FeedForwardSpec, ModelSpec } from "./spec.ts";
import type { Trunk } from "./trunk.ts";

type FeedForward = DenseFeedForward | SparseFeedForward;

interface EncoderLayer {
  readonly attention: Attention;
  readonly feedForward: FeedForward;
}

interface DecoderLayer extends EncoderLayer {
  readonly cross: Attention;
  readonly kv: KvLayer;
}

/** The best continuations of each wanted row. */
export interface Candidates {
  /** Candidates a row. */
  readonly count: number;
  /** [T, count], best first; rows that were not wanted hold stale values. */
  readonly ids: Int32Array;
  readonly logProbs: Float32Array;
}

/** Bytes that one K/V page takes over all decoder layers: PAGE_TOKENS keys and values, f32. */
export function pageBytes(spec: ModelSpec): number {
  return spec.decoder.layers.length * layerPageBytes(spec);
}

function layerPageBytes(spec: ModelSpec): number {
  return 2 * PAGE_TOKENS * spec.attentionWidth * 4;
}

/** Device bytes of the tables that a model computes for itself. */
export function tableBytes(spec: ModelSpec): number {
  return positionRows(spec) * spec.dModel * 4 + distanceBytes(spec);
}

/** A model on a device. Owns its K/V pages and computed tables; the trunk, workspace and arenas are its caller's. */
export class TranslationModel {
  readonly pages: number;
  readonly #ctx: Context;
  readonly #table: Matrix;
  readonly #lmHead: Matrix;
  readonly #positions: Tensor;
  readonly #encoder: readonly EncoderLayer[];
  readonly #decoder: readonly DecoderLayer[];
  readonly #encoderNorm: Norm;
  readonly #decoderNorm: Norm;
  readonly #distances: Distances;
  readonly #owned: DeviceBuffer[] = [];

  constructor(ctx: Context, trunk: Trunk, pages: number) {
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
        buffer: this.#own(`kv ${i}`, pages * layerPageBytes(spec)),
        offset: 0,
        pages,
        dModel: spec.attentionWidth,
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
   * Encodes sentences and puts their cross-attention K and V into pages.
   * `places` [T]: page * PAGE_TOKENS + place of each source token. Returns the encoder output [T, d_model],
   * valid until the next call.
   */
  async encode(rows: EncodeRows, places: Int32Array, signal?: AbortSignal): Promise<Tensor> {
    const x = this.#embed(rows.ids, rows.positions);
    for (const layer of this.#encoder) {
      encoderSelfAttention(this.#ctx, layer.attention, x, rows);
      await this.#feedForward(layer.feedForward, x, signal);
    }
    const encoded = this.#ctx.workspace.view("h", x.rows);
    normalize(this.#ctx, x, this.#encoderNorm, encoded);
    for (const layer of this.#decoder) {
      storeCross(this.#ctx, layer.cross, encoded, layer.kv, places);
    }
    this.#ctx.backend.submit();
    return encoded;
  }

  /** One decoder step of all rows, without the vocabulary. Returns the normed hidden state [T, d_model]. */
  async decodeHidden(rows: DecodeRows, signal?: AbortSignal): Promise<Tensor> {
    const x = this.#embed(rows.ids, rows.positions);
    for (const layer of this.#decoder) {
      decoderSelfAttention(this.#ctx, layer.attention, x, layer.kv, rows);
      crossAttention(this.#ctx, layer.cross, x, layer.kv, rows);
      await this.#feedForward(layer.feedForward, x, signal);
    }
    const h = this.#ctx.workspace.view("h", x.rows);
    normalize(this.#ctx, x, this.#decoderNorm, h);
    return h;
  }

  /** One decoder step: the `count` best next tokens of each wanted row, with log-probabilities. */
  async decode(rows: DecodeRows, count: number, signal?: AbortSignal): Promise<Candidates> {
    const { backend, workspace } = this.#ctx;
    const h = await this.decodeHidden(rows, signal);
    const n = h.rows * count;
    const logProbs = workspace.view("logProbs", h.rows, count);
    backend.vocabTopK({
      x: h,
      w: this.#lmHead,
      candidates: count,
      ids: workspace.candidateIds,
      logProbs,
      mask: rows.wanted,
    });
    const ids = await backend.readback(workspace.candidateIds.buffer, 0, n * 4);
    const values = await backend.readback(logProbs.buffer, logProbs.offset, n * 4);
    return {
      count,
      ids: new Int32Array(ids.buffer, ids.byteOffset, n),
      logProbs: new Float32Array(values.buffer, values.byteOffset, n),
    };
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
    const bytes = layerPageBytes(this.#ctx.spec);
    for (const { kv } of this.#decoder) {
      this.#ctx.backend.copy(
        kv.buffer,
        kv.offset + from * bytes,
        kv.buffer,
        kv.offset + to * bytes,
        bytes,
      );
    }
  }

  #embed(ids: Int32Array, positions: Int32Array): Tensor {
    const { backend, workspace, spec } = this.#ctx;
    const x = workspace.view("x", ids.length);
    backend.embed({
      ids,
      positions,
      table: this.#table,
      scale: spec.embedding.scale,
      positionTable: this.#positions,
      out: x,
    });
    return x;
  }

  async #feedForward(w: FeedForward, x: Tensor, signal?: AbortSignal): Promise<void> {
    if (w.kind === "dense") denseFeedForward(this.#ctx, w, x);
    else await sparseFeedForward(this.#ctx, w, x, signal);
  }

  /** Gives K/V pages and tables back. */
  free(): void {
    this.#distances.free();
    for (const b of this.#owned.splice(0)) this.#ctx.backend.free(b);
  }
}
