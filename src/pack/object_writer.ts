/** Blocks into content-named objects, equal blocks once. */
import { createHash } from "node:crypto";
import { BLOCK_ALIGN } from "../base/layout.ts";
import { alignUp } from "../base/units.ts";
import type { WritableStore } from "../store/contract.ts";
import type { BlockRef } from "../store/manifest.ts";

/** An object as manifests list it. */
export interface StoredObject {
  readonly name: string;
  readonly bytes: number;
}

/** An object that was just written, and the places of all blocks given since the one before, in their order. */
export interface FinishedObject {
  readonly object: StoredObject;
  /** What the store said of it, for `holds`. */
  readonly receipt: string;
  readonly refs: readonly BlockRef[];
}

/**
 * Collects blocks until an object is full, then writes it while the next one fills. Holds at most two objects' bytes
 * and one block. Blocks start at multiples of 256; the gaps are zero.
 */
export class ObjectWriter {
  readonly objects: StoredObject[] = [];
  /** Blocks of the open object, by their offsets. */
  #open: PlacedBlock[] = [];
  #openBytes = 0;
  /** Places of all blocks since the last object; those in the open object get its index when it is written. */
  #refs: BlockRef[] = [];
  readonly #bySha = new Map<string, BlockRef>();
  /** The object on its way; one at a time, so that they are finished in their order. */
  #writing: Promise<void> = Promise.resolve();

  constructor(
    readonly out: WritableStore,
    readonly objectBytes: number,
    readonly onFinished: (finished: FinishedObject) => Promise<void>,
  ) {}

  /** Takes what an earlier run finished, as onFinished was told it. */
  restore(finished: FinishedObject): void {
    if (!this.objects.some((o) => o.name === finished.object.name)) {
      this.objects.push(finished.object);
    }
    for (const ref of finished.refs) this.#bySha.set(ref.sha256, ref);
  }

  /** Places a block, which is the writer's from then on. The answer's `object` is right after the next flush. */
  async add(bytes: Uint8Array): Promise<BlockRef> {
    const sha256 = sha256Hex(bytes);
    const before = this.#bySha.get(sha256);
    if (before !== undefined) {
      this.#refs.push(before);
      return before;
    }
    const full = this.#openBytes > 0 &&
      alignUp(this.#openBytes, BLOCK_ALIGN) + bytes.length > this.objectBytes;
    if (full) await this.flush();
    const offset = alignUp(this.#openBytes, BLOCK_ALIGN);
    const ref: BlockRef = { object: this.objects.length, offset, length: bytes.length, sha256 };
    this.#open.push({ offset, bytes });
    this.#openBytes = offset + bytes.length;
    this.#bySha.set(sha256, ref);
    this.#refs.push(ref);
    return ref;
  }

  /**
   * Begins to write the open object, if it holds anything; the next block begins another. Throws what the write
   * before threw.
   */
  async flush(): Promise<void> {
    if (this.#open.length === 0) return;
    await this.#writing;
    const bytes = alignUp(this.#openBytes, BLOCK_ALIGN);
    const hash = createHash("sha256");
    const blocks = this.#open;
    for (const piece of pieces(blocks, bytes)) hash.update(piece);
    const object = { name: `${hash.digest("hex")}.moqe`, bytes };
    // Other blocks can make the same bytes (a shorter block of zeros and padding): then it is that object again.
    const twin = this.objects.findIndex((o) => o.name === object.name);
    const index = twin >= 0 ? twin : this.objects.length;
    const open = this.objects.length;
    for (const ref of this.#refs) if (ref.object === open) ref.object = index;
    if (twin < 0) this.objects.push(object);
    const refs = this.#refs;
    this.#open = [];
    this.#openBytes = 0;
    this.#refs = [];
    this.#writing = this.#write(object, blocks, refs);
    // Whoever waits for it next is told.
    this.#writing.catch(() => {});
  }

  async #write(
    object: StoredObject,
    blocks: readonly PlacedBlock[],
    refs: readonly BlockRef[],
  ): Promise<void> {
    // Also where there is one of that name: it may be damaged.
    const bytes = asAsync(() => pieces(blocks, object.bytes));
    const receipt = await this.out.write(object.name, bytes);
    await this.onFinished({ object, receipt, refs });
  }

  /** Waits until all that was flushed is written. Throws what its write threw. */
  async settle(): Promise<void> {
    await this.#writing;
  }

  /** Writes one object of its own, `<sha256>.json`, and answers its place as one block. */
  async addText(bytes: Uint8Array): Promise<BlockRef> {
    await this.flush();
    await this.settle();
    const sha256 = sha256Hex(bytes);
    const name = `${sha256}.json`;
    await this.out.write(name, asAsync(() => [bytes]));
    this.objects.push({ name, bytes: bytes.length });
    return { object: this.objects.length - 1, offset: 0, length: bytes.length, sha256 };
  }
}

interface PlacedBlock {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** An object's bytes: its blocks, and zeros between and behind them. */
function* pieces(blocks: readonly PlacedBlock[], total: number): Generator<Uint8Array> {
  let at = 0;
  for (const { offset, bytes } of blocks) {
    if (offset > at) yield new Uint8Array(offset - at);
    yield bytes;
    at = offset + bytes.length;
  }
  if (total > at) yield new Uint8Array(total - at);
}

/** sha256 in hex; node's hash reads the bytes where they lie, where crypto.subtle copies them. */
export function sha256Hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Pieces as a store takes them: to be iterated as often as it likes. */
export function asAsync(pieces: () => Iterable<Uint8Array>): AsyncIterable<Uint8Array> {
  return {
    async *[Symbol.asyncIterator]() {
      yield* pieces();
    },
  };
}
