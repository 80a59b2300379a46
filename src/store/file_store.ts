/** A folder of objects on a local disk, for reading and for packing into. */
import { MoqeError } from "../base/errors.ts";
import { unlessMissing } from "../base/files.ts";
import { formatBytes } from "../base/units.ts";
import type { ByteRange, RangePart, ReadOptions, WritableStore } from "./contract.ts";
import { checkObjectName, checkRange } from "./names.ts";

/** Objects are written under this prefix and renamed when whole; what a killed run left is overwritten by the next. */
const TEMPORARY = ".moqe-tmp-";

export class FileStore implements WritableStore {
  readonly origin: string;

  /** @param folder a path; it need not exist before the first write */
  constructor(readonly folder: string) {
    this.origin = folder;
  }

  async readRange(
    name: string,
    range: ByteRange,
    options: ReadOptions = {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    checkObjectName(name);
    checkRange(name, range.offset, range.length);
    options.signal?.throwIfAborted();
    using file = await this.#open(name);
    return await readExactly(file, range.offset, range.length, `${this.folder}/${name}`);
  }

  async readParts(
    name: string,
    parts: readonly RangePart[],
    options: ReadOptions = {},
  ): Promise<void> {
    checkObjectName(name);
    for (const { offset, into } of parts) checkRange(name, offset, into.length);
    using file = await this.#open(name);
    for (const { offset, into } of parts) {
      options.signal?.throwIfAborted();
      await fill(file, offset, into, `${this.folder}/${name}`);
    }
  }

  async readAll(
    name: string,
    maxBytes: number,
    options: ReadOptions = {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    checkObjectName(name);
    options.signal?.throwIfAborted();
    using file = await this.#open(name);
    const { size } = await file.stat();
    if (size > maxBytes) {
      throw new MoqeError("corrupt", {
        action: `read ${this.folder}/${name}`,
        rule: `it may have ${formatBytes(maxBytes)} at most`,
        observed: formatBytes(size),
      });
    }
    return await readExactly(file, 0, size, `${this.folder}/${name}`);
  }

  async has(name: string): Promise<boolean> {
    checkObjectName(name);
    return (await unlessMissing(Deno.stat(`${this.folder}/${name}`)))?.isFile ?? false;
  }

  /** Writes to a temporary name, syncs, renames: an object is there whole or not at all, also after kill -9. */
  async write(name: string, bytes: AsyncIterable<Uint8Array>): Promise<string> {
    checkObjectName(name);
    await Deno.mkdir(this.folder, { recursive: true });
    const temporary = `${this.folder}/${TEMPORARY}${name}`;
    try {
      using file = await Deno.open(temporary, { write: true, create: true, truncate: true });
      for await (const chunk of bytes) {
        for (let at = 0; at < chunk.length;) at += await file.write(chunk.subarray(at));
      }
      await file.syncData();
    } catch (error) {
      // A full disk must not stay full of halves.
      await Deno.remove(temporary).catch(() => {});
      throw error;
    }
    await Deno.rename(temporary, `${this.folder}/${name}`);
    return "";
  }

  async #open(name: string): Promise<Deno.FsFile> {
    try {
      return await Deno.open(`${this.folder}/${name}`);
    } catch (cause) {
      throw new MoqeError("unavailable", {
        action: `open ${this.folder}/${name}`,
        rule: cause instanceof Deno.errors.NotFound ? "there is no such file" : String(cause),
        remedy: "check the address of the model",
        cause,
      });
    }
  }
}

/** Exactly [offset, offset + length) of a file, or MoqeError `corrupt` where it ends before. */
async function readExactly(
  file: Deno.FsFile,
  offset: number,
  length: number,
  where: string,
): Promise<Uint8Array<ArrayBuffer>> {
  // The size is asked first: a manifest that lies about it must not make us allocate what it says.
  const { size } = await file.stat();
  if (offset + length > size) throw tooShort(offset, length, where, size);
  const bytes = new Uint8Array(length);
  await fill(file, offset, bytes, where);
  return bytes;
}

/** Fills `into` from a file's `offset` on. */
async function fill(
  file: Deno.FsFile,
  offset: number,
  into: Uint8Array<ArrayBuffer>,
  where: string,
): Promise<void> {
  await file.seek(offset, Deno.SeekMode.Start);
  for (let at = 0; at < into.length;) {
    const n = await file.read(into.subarray(at));
    if (n === null) throw tooShort(offset, into.length, where, (await file.stat()).size);
    at += n;
  }
}

function tooShort(offset: number, length: number, where: string, size: number): MoqeError {
  return new MoqeError("corrupt", {
    action: `read ${length} bytes at ${offset} of ${where}`,
    rule: `the file has only ${size} bytes`,
    remedy: "pack or download the model again",
  });
}
