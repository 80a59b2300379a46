/** `moqe reorder`: a packed model's blocks into new objects in another order; nothing is encoded again. */
import { createHash } from "node:crypto";
import { MoqeError } from "../base/errors.ts";
import { Ledger } from "../base/ledger.ts";
import type { BlockFetcher, VerifiedBlock, WritableStore } from "../store/contract.ts";
import { StoreFetcher } from "../store/fetcher.ts";
import { isMissingOrForbidden } from "../store/http_failure.ts";
import { type BlockRef, type Manifest } from "../store/manifest.ts";
import type { OpenedModel } from "../store/open.ts";
import { PROFILES_NAME } from "../store/profiles.ts";
import { entryLine, type JournalFile } from "./journal.ts";
import { asAsync, ObjectWriter } from "./object_writer.ts";
import { DEFAULT_OBJECT_BYTES } from "./options.ts";
import { type BlockOrder, checkOrder } from "./order.ts";
import { resume } from "./resume.ts";
import { writeManifest } from "./write_manifest.ts";

/** Blocks on their way while one is written. */
const AHEAD = 6;
const MAX_PROFILES_BYTES = 64 * 2 ** 20;

export interface ReorderOptions {
  readonly order: BlockOrder;
  readonly objectBytes?: number | undefined;
  /** Left out: an interrupted run starts anew. */
  readonly journal?: JournalFile | undefined;
  readonly anew?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a copy made. */
export interface ReorderReport {
  readonly manifest: Manifest;
  readonly manifestSha256: string;
  readonly resumedBlocks: number;
}

/**
 * Copies a model with its experts in this order, every block checked by its hash; manifest.json is written last, and
 * profiles.json goes along. Equal inputs give equal bytes. Memory: two objects and some blocks.
 */
export async function reorderModel(
  model: OpenedModel,
  out: WritableStore,
  options: ReorderOptions,
  onProgress: (doneBytes: number, totalBytes: number) => void = () => {},
): Promise<ReorderReport> {
  const { manifest: from, store, mirrors } = model;
  const { order, journal, anew, objectBytes = DEFAULT_OBJECT_BYTES, signal } = options;
  checkOrder(order, from.expertLayers.map((l) => ({ ...l, count: l.experts.length })));
  const writer = new ObjectWriter(
    out,
    objectBytes,
    async (finished) => await journal?.append(entryLine(finished)),
  );
  await using _lock = await journal?.lock?.();
  const fingerprint = createHash("sha256")
    .update(JSON.stringify(["moqe-reorder 1", model.manifestSha256, objectBytes, order]))
    .digest("hex");
  const recorded = journal === undefined
    ? []
    : await resume(writer, { journal, head: { fingerprint }, anew });
  const resumedBlocks = recorded.length;
  const widest = Math.max(...blocksOf(from).map((b) => b.length));
  const ledger = new Ledger({ gpuBytes: 0, hostBytes: 2 * AHEAD * widest });
  const fetcher = new StoreFetcher(store, from, ledger, { mirrors });
  const copy = new Copier(writer, fetcher, recorded, { from, onProgress, signal });
  const manifest = await copied(from, order, copy).finally(() => writer.settle());
  await copyProfiles(store, out, signal);
  const manifestSha256 = await writeManifest(out, manifest);
  await journal?.remove();
  return { manifest, manifestSha256, resumedBlocks };
}

/** Every block in its order, and the manifest that names their new places. */
async function copied(from: Manifest, order: BlockOrder, copy: Copier): Promise<Manifest> {
  const trunkBlocks = await copy.blocks(from.trunk.flatMap((t) => t.blocks));
  const trunk = from.trunk.map((t) => ({ ...t, blocks: trunkBlocks.splice(0, t.blocks.length) }));
  const expertLayers: Manifest["expertLayers"] = [];
  for (const [l, layer] of from.expertLayers.entries()) {
    const places = await copy.blocks(order[l]!.map((e) => layer.experts[e]!.block));
    const placeOf = new Map(order[l]!.map((e, i) => [e, places[i]!]));
    const experts = layer.experts.map((expert, e) => ({ ...expert, block: placeOf.get(e)! }));
    expertLayers.push({ ...layer, experts });
  }
  const tokenizer = { ...from.tokenizer, block: await copy.text(from.tokenizer.block) };
  return { ...from, objects: copy.writer.objects, trunk, expertLayers, tokenizer };
}

/** Copies runs of blocks, each to objects of its own. */
class Copier {
  readonly #total: number;
  #done = 0;

  constructor(
    readonly writer: ObjectWriter,
    readonly fetcher: BlockFetcher,
    /** Blocks of an earlier run still to be used, in order. */
    readonly recorded: BlockRef[],
    readonly with_: {
      readonly from: Manifest;
      readonly onProgress: (doneBytes: number, totalBytes: number) => void;
      readonly signal: AbortSignal | undefined;
    },
  ) {
    this.#total = blocksOf(with_.from).reduce((sum, b) => sum + b.length, 0);
  }

  async blocks(refs: readonly BlockRef[]): Promise<BlockRef[]> {
    const places = this.recorded.splice(0, refs.length);
    for (const ref of refs.slice(0, places.length)) this.#count(ref);
    for await (const bytes of this.#read(refs.slice(places.length))) {
      places.push(await this.writer.add(bytes));
    }
    await this.writer.flush();
    return places;
  }

  /** The tokenizer, an object of its own. */
  async text(ref: BlockRef): Promise<BlockRef> {
    for await (const bytes of this.#read([ref])) return await this.writer.addText(bytes);
    throw new RangeError("a block that was asked for was not read");
  }

  /** The blocks' bytes, some being read ahead. */
  async *#read(refs: readonly BlockRef[]): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const stop = new AbortController();
    const signals = this.with_.signal === undefined ? [] : [this.with_.signal];
    const signal = AbortSignal.any([stop.signal, ...signals]);
    const coming: Promise<VerifiedBlock>[] = [];
    let next = 0;
    try {
      for (const ref of refs) {
        while (next < refs.length && coming.length < AHEAD) {
          const block = this.fetcher.fetch(refs[next++]!, { signal });
          block.catch(() => {});
          coming.push(block);
        }
        const block = await coming.shift()!;
        const bytes = block.bytes.slice();
        block.release();
        this.#count(ref);
        yield bytes;
      }
    } finally {
      stop.abort();
      for (const block of coming) block.then((b) => b.release(), () => {});
    }
  }

  #count(ref: BlockRef): void {
    this.with_.onProgress(this.#done += ref.length, this.#total);
  }
}

function blocksOf(manifest: Manifest): BlockRef[] {
  return [
    ...manifest.trunk.flatMap((t) => t.blocks),
    ...manifest.expertLayers.flatMap((l) => l.experts.map((e) => e.block)),
    manifest.tokenizer.block,
  ];
}

/** Profiles are of weights, wherever their blocks lie. A model may have none. */
async function copyProfiles(
  from: OpenedModel["store"],
  out: WritableStore,
  signal: AbortSignal | undefined,
): Promise<void> {
  let bytes: Uint8Array;
  try {
    bytes = await from.readAll(PROFILES_NAME, MAX_PROFILES_BYTES, { signal });
  } catch (error) {
    const noFile = error instanceof MoqeError && error.parts.cause instanceof Deno.errors.NotFound;
    if (noFile || isMissingOrForbidden(error)) return;
    throw error;
  }
  await out.write(PROFILES_NAME, asAsync(() => [bytes]));
}
