/** `moqe verify`: every block and every object of a model against its hash. */
import { createHash, type Hash } from "node:crypto";
import { MoqeError } from "../base/errors.ts";
import type { ObjectStore } from "../store/contract.ts";
import type { BlockRef, Manifest } from "../store/manifest.ts";

/** Bytes a read; the memory that verifying takes. */
const READ_BYTES = 8 * 2 ** 20;

export interface VerifyProgress {
  /** The object at hand. */
  readonly what: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface VerifyReport {
  readonly objects: number;
  /** Distinct blocks; equal ones are stored once. */
  readonly blocks: number;
  readonly bytes: number;
  /** One line a fault, in the order of the objects; empty for a model that is whole. */
  readonly faults: string[];
}

/**
 * Reads a model once and hashes all of it. Faults are collected, not thrown; a store that does not answer is a
 * fault of that object. Throws MoqeError `cancelled` by the signal.
 */
export async function verifyModel(
  store: ObjectStore,
  manifest: Manifest,
  onProgress: (progress: VerifyProgress) => void = () => {},
  signal?: AbortSignal,
): Promise<VerifyReport> {
  const blocks = blocksByObject(manifest);
  const totalBytes = manifest.objects.reduce((sum, o) => sum + o.bytes, 0);
  const faults: string[] = [];
  let count = 0, doneBytes = 0;
  for (const [i, object] of manifest.objects.entries()) {
    const list = blocks.get(i) ?? [];
    count += list.length;
    const before = doneBytes;
    try {
      const onBytes = (bytes: number) => {
        doneBytes = before + bytes;
        onProgress({ what: object.name, doneBytes, totalBytes });
      };
      // A server that ignores ranges may send a small object whole; the engine needs parts.
      if (i === 0) await store.readRange(object.name, { offset: 1, length: 1 }, { signal });
      faults.push(...await verifyObject(store, object, list, { onBytes, signal }));
    } catch (error) {
      if (!(error instanceof MoqeError) || error.code === "cancelled") throw error;
      faults.push(error.message);
    }
    doneBytes = before + object.bytes;
  }
  return { objects: manifest.objects.length, blocks: count, bytes: totalBytes, faults };
}

/** Distinct blocks of each object, by offset. */
function blocksByObject(manifest: Manifest): Map<number, BlockRef[]> {
  const seen = new Map<string, BlockRef>();
  const add = (b: BlockRef) => seen.set(`${b.object}:${b.offset}:${b.length}`, b);
  add(manifest.tokenizer.block);
  for (const tensor of manifest.trunk) tensor.blocks.forEach(add);
  for (const layer of manifest.expertLayers) layer.experts.forEach((e) => add(e.block));
  const byObject = new Map<number, BlockRef[]>();
  for (const b of seen.values()) {
    const list = byObject.get(b.object);
    if (list === undefined) byObject.set(b.object, [b]);
    else list.push(b);
  }
  for (const list of byObject.values()) list.sort((a, b) => a.offset - b.offset);
  return byObject;
}

/** One pass over an object feeds its own hash and those of the blocks that lie under each read. */
async function verifyObject(
  store: ObjectStore,
  object: { name: string; bytes: number },
  blocks: readonly BlockRef[],
  work: { onBytes: (bytes: number) => void; signal: AbortSignal | undefined },
): Promise<string[]> {
  const whole = createHash("sha256");
  const open: { ref: BlockRef; hash: Hash }[] = [];
  const faults: string[] = [];
  let next = 0;
  for (let offset = 0; offset < object.bytes; offset += READ_BYTES) {
    const length = Math.min(READ_BYTES, object.bytes - offset);
    const bytes = await store.readRange(object.name, { offset, length }, { signal: work.signal });
    whole.update(bytes);
    const end = offset + length;
    while (next < blocks.length && blocks[next]!.offset < end) {
      open.push({ ref: blocks[next++]!, hash: createHash("sha256") });
    }
    for (const { ref, hash } of open) {
      const from = Math.max(ref.offset, offset), to = Math.min(ref.offset + ref.length, end);
      hash.update(bytes.subarray(from - offset, to - offset));
    }
    for (let i = open.length - 1; i >= 0; i--) {
      const { ref, hash } = open[i]!;
      if (ref.offset + ref.length > end) continue;
      open.splice(i, 1);
      if (hash.digest("hex") !== ref.sha256) {
        faults.push(`block of ${ref.length} bytes at ${ref.offset} of ${object.name} is damaged`);
      }
    }
    work.onBytes(end);
  }
  const name = object.name.slice(0, object.name.indexOf("."));
  if (whole.digest("hex") !== name) faults.push(`object ${object.name} is damaged`);
  return faults;
}
