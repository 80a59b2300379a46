/** The builder: an architecture's spec and a trunk become a model that encodes sources and extends sequences. */
import type { DeviceBuffer, IndexArray, KvBits, Matrix, Tensor } from "../backend/contract.ts";
import { kvPageBytes } from "../backend/contract.ts";
import type { Residency, WaitOptions } from "../experts/contract.ts";
import { segmentSelfAttention, storeCross } from "./attention.ts";
import type { Context, DecodeRows, SegmentRows } from "./context.ts";
import { distanceBytes, Distances } from "./distances.ts";
import { denseFeedForward } from "./feed_forward.ts";
import { heldBits, kvWidth, layerPageBytes } from "./kv.ts";
import {
  attend,
  buildStack,
  type DecoderLayer,
  feedForward,
  type Layer,
  type Stack,
} from "./layers.ts";
import { normalize } from "./norm.ts";
import { positionRows, positionTable } from "./positions.ts";
import { sparseFeedForward, waitlessFeedForward } from "./sparse_feed_forward.ts";
import type { ModelSpec } from "./spec.ts";
import type { StepResult, StepView } from "./step.ts";
import type { Trunk } from "./trunk.ts";
import type { Workspace } from "./workspace.ts";

/** How a decoder step runs. */
export interface DecodeOptions extends WaitOptions {
  /**
   * "park": no waiting, rows that miss an expert stop at its layer. "waves": the routing of every sparse layer is
   * read back, its experts are brought in, and no row stops.
   */
  readonly mode: "park" | "waves";
}

/** A context for a step's blocks, and all of the workspace. */
type WholeContext = Context & { readonly workspace: Workspace };

/** Device bytes of the tables that a model computes for itself. */
export function tableBytes(spec: ModelSpec): number {
  return positionRows(spec) * spec.dModel * 4 + distanceBytes(spec);
}

/** A model on a device. Owns its K/V pages and computed tables; the trunk, workspace and arenas are its caller's. */
export class SequenceModel {
  readonly pages: number;
  readonly #ctx: WholeContext;
  readonly #table: Matrix;
  readonly #lmHead: Matrix;
  readonly #positions: Tensor;
  readonly #encoder: Stack<Layer> | undefined;
  readonly #decoder: Stack<DecoderLayer>;
  readonly #distances: Distances;
  readonly #owned: DeviceBuffer[] = [];

  constructor(ctx: WholeContext, trunk: Trunk, pages: number, kvBits: KvBits) {
    this.#ctx = ctx;
    this.pages = pages;
    const { spec, backend } = ctx;
    this.#table = trunk.matrix(spec.embedding.table);
    this.#lmHead = trunk.has(spec.lmHead) ? trunk.matrix(spec.lmHead) : this.#table;
    this.#positions = this.#placePositions(spec);
    const distances = this.#distances = new Distances(backend, spec);
    this.#encoder = spec.encoder && buildStack(trunk, spec.encoder, distances, () => ({}));
    this.#decoder = buildStack(trunk, spec.decoder, distances, ({ attention }, i) => ({
      kv: {
        buffer: this.#own(`kv ${i}`, pages * layerPageBytes(attention, kvBits)),
        offset: 0,
        pages,
        width: kvWidth(attention),
        bits: heldBits(attention, kvBits),
      },
    }));
  }

  #own(label: string, bytes: number): DeviceBuffer {
    const buffer = this.#ctx.backend.alloc(label, bytes, "kv");
    this.#owned.push(buffer);
    return buffer;
  }

  #placePositions(spec: ModelSpec): Tensor {
    const { backend } = this.#ctx, rows = positionRows(spec);
    const buffer = backend.alloc("positions", rows * spec.dModel * 4, "trunk");
    this.#owned.push(buffer);
    backend.write(buffer, 0, new Uint8Array(positionTable(spec).buffer));
    return { buffer, offset: 0, rows, cols: spec.dModel };
  }

  /** What blocks of a pass over given tokens work with; it may pause, and decoder steps run meanwhile. */
  #prefixContext() {
    return { ...this.#ctx, workspace: this.#ctx.workspace.prefix };
  }

  /**
   * Encodes sources and puts their cross-attention K and V into pages. `places` [T]: page * PAGE_TOKENS + place of each
   * token, -1 for none; read at the end of the pass. Returns the encoder's output [T, d_model], valid until the next
   * pass. Throws TypeError for a model without an encoder.
   */
  async encode(rows: SegmentRows, places: Int32Array, wait?: WaitOptions): Promise<Tensor> {
    if (this.#encoder === undefined) throw new TypeError("cannot encode: the model has no encoder");
    const ctx = this.#prefixContext(), { workspace } = ctx;
    const x = workspace.view("x", rows.ids.length);
    workspace.rotary.begin(rows.starts.map((start, t) => t - start));
    this.#embedInto(ctx, rows.ids, rows.positions, x);
    for (const layer of this.#encoder.layers) {
      segmentSelfAttention(ctx, layer.attention, x, rows);
      await feedForward(ctx, layer, x, wait);
    }
    const encoded = workspace.view("h", x.rows);
    normalize(ctx, x, this.#encoder.norm, encoded);
    for (const { cross, kv } of this.#decoder.layers) {
      if (cross !== undefined) storeCross(ctx, cross, encoded, kv, places);
    }
    ctx.backend.submit();
    return encoded;
  }

  /**
   * Prefill: puts K and V of prefix tokens into pages; nobody wants their logits. Every row runs to the end, in waves.
   * Pages of the rows must stay theirs until it resolves.
   */
  async prefill(rows: DecodeRows, wait?: WaitOptions): Promise<void> {
    const ctx = this.#prefixContext(), { workspace } = ctx;
    const on = workspace.indices.begin(rows), x = workspace.view("x", rows.ids.length);
    workspace.rotary.begin(rows.selfLengths.map((n) => n - 1));
    this.#embedInto(ctx, on.ids, on.positions, x);
    for (const layer of this.#decoder.layers) {
      attend(ctx, layer, x, on);
      await feedForward(ctx, layer, x, wait);
    }
    ctx.backend.submit();
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
    ctx.workspace.rotary.begin(step.positions);
    this.#embedInto(ctx, step.rows.ids, step.rows.positions, x);
    for (const layer of this.#decoder.layers) {
      attend(ctx, layer, x, step.rows);
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
    normalize(ctx, x, this.#decoder.norm, h);
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
    for (const { feedForward: f } of this.#decoder.layers) {
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
    const w = this.#decoder.layers[0]!.attention.query.weight;
    const output = workspace.view("q", rows, w.layout.rows);
    return { w, input: workspace.view("h", rows), output };
  }

  /** All logits of hidden rows into `out` [T, vocab]: for goldens and self-tests, not for service. */
  logits(hidden: Tensor, out: Tensor): void {
    this.#ctx.backend.linear({ x: hidden, w: this.#lmHead, out });
  }

  /** Copies a whole page in every decoder layer (a forked hypothesis gets a last page of its own). */
  copyPage(from: number, to: number): void {
    for (const { kv } of this.#decoder.layers) {
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
