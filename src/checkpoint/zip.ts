/** Directories of zip files as torch writes them: stored entries, ZIP64, read by ranges and checked whole. */
import { MoqeError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";
import type { Folder, ZipEntry } from "./contract.ts";
import { quote } from "./header_text.ts";

/** An entry of the directory. Where its bytes begin is known from its local header only: `dataStart` reads that. */
export interface DirectoryEntry extends ZipEntry {
  readonly bytes: number;
  readonly crc: number;
}

const END = 0x06054b50, END64 = 0x06064b50, LOCATOR64 = 0x07064b50, CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END_BYTES = 22, END64_BYTES = 56, LOCATOR_BYTES = 20, CENTRAL_BYTES = 46, LOCAL_BYTES = 30;
const MAX_COMMENT = 0xffff;
/** Enough for 200,000 entries of torch. */
const MAX_DIRECTORY_BYTES = 32 * 2 ** 20;

/** A part of a zip file that is not as it must be. */
export class ZipError extends Error {}

/** Reads and checks a file's directory. Throws MoqeError `corrupt`. */
export async function readZipDirectory(
  folder: Folder,
  file: string,
  fileBytes: number,
): Promise<Map<string, DirectoryEntry>> {
  const read = async (offset: number, length: number) => {
    if (offset < 0 || length < 0 || offset + length > fileBytes) {
      throw new ZipError(`${length} bytes at ${offset} are beyond the file of ${fileBytes}`);
    }
    const bytes = new Uint8Array(length);
    if (length > 0) await folder.read(file, offset, bytes);
    return new DataView(bytes.buffer);
  };
  try {
    const { offset, length, count } = await findDirectory(read, fileBytes);
    if (length > MAX_DIRECTORY_BYTES) {
      throw new ZipError(`its directory is over ${formatBytes(MAX_DIRECTORY_BYTES)}`);
    }
    const entries = readEntries(await read(offset, length), count);
    checkPlaces([...entries.values()], offset);
    return entries;
  } catch (error) {
    if (!(error instanceof ZipError)) throw error;
    throw new MoqeError("corrupt", {
      action: `read the zip directory of ${folder.origin}/${file}`,
      rule: error.message,
      remedy: "download or save the checkpoint again",
    });
  }
}

type Read = (offset: number, length: number) => Promise<DataView>;

async function findDirectory(read: Read, fileBytes: number) {
  const tailBytes = Math.min(fileBytes, END_BYTES + MAX_COMMENT + LOCATOR_BYTES + END64_BYTES);
  const tailStart = fileBytes - tailBytes;
  const tail = await read(tailStart, tailBytes);
  let at = tailBytes - END_BYTES;
  const isEnd = (i: number) =>
    tail.getUint32(i, true) === END && i + END_BYTES + tail.getUint16(i + 20, true) === tailBytes;
  while (at >= 0 && !isEnd(at)) at--;
  if (at < 0) throw new ZipError("it does not end as a zip file: it may be cut off");
  const plain = {
    count: tail.getUint16(at + 10, true),
    length: tail.getUint32(at + 12, true),
    offset: tail.getUint32(at + 16, true),
  };
  const locator = at - LOCATOR_BYTES;
  if (locator < 0 || tail.getUint32(locator, true) !== LOCATOR64) {
    if (plain.count === 0xffff || plain.length === 0xffffffff || plain.offset === 0xffffffff) {
      throw new ZipError("its ZIP64 directory is missing");
    }
    return plain;
  }
  const end64 = await read(whole(tail, locator + 8), END64_BYTES);
  if (end64.getUint32(0, true) !== END64) throw new ZipError("its ZIP64 directory is missing");
  return { count: whole(end64, 32), length: whole(end64, 40), offset: whole(end64, 48) };
}

function readEntries(view: DataView, count: number): Map<string, DirectoryEntry> {
  const entries = new Map<string, DirectoryEntry>();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + CENTRAL_BYTES > view.byteLength || view.getUint32(at, true) !== CENTRAL) {
      throw new ZipError(`its directory ends after ${i} of ${count} entries`);
    }
    const nameBytes = view.getUint16(at + 28, true), extraBytes = view.getUint16(at + 30, true);
    const next = at + CENTRAL_BYTES + nameBytes + extraBytes + view.getUint16(at + 32, true);
    if (next > view.byteLength) throw new ZipError("an entry reaches beyond its directory");
    const nameAt = view.byteOffset + at + CENTRAL_BYTES;
    let name: string;
    try {
      name = decoder.decode(new Uint8Array(view.buffer, nameAt, nameBytes));
    } catch {
      throw new ZipError("an entry's name is not UTF-8");
    }
    if (entries.has(name)) throw new ZipError(`${quote(name)} is there twice`);
    if ((view.getUint16(at + 8, true) & 1) !== 0) throw new ZipError(`${quote(name)} is encrypted`);
    const method = view.getUint16(at + 10, true);
    if (method !== 0) {
      throw new ZipError(`${quote(name)} is compressed (method ${method}); torch stores as is`);
    }
    const sizes = zip64Sizes(view, at, at + CENTRAL_BYTES + nameBytes, extraBytes, name);
    if (sizes.bytes !== sizes.stored) {
      throw new ZipError(
        `${quote(name)} is stored, but in ${sizes.stored} for ${sizes.bytes} bytes`,
      );
    }
    const { bytes, header } = sizes;
    entries.set(name, { name, header, bytes, crc: view.getUint32(at + 16, true) });
    at = next;
  }
  if (at !== view.byteLength) throw new ZipError("there is more behind its directory's last entry");
  return entries;
}

/** Sizes and place of an entry; those that do not fit 32 bits are in its extra field, in this order. */
function zip64Sizes(view: DataView, at: number, extraAt: number, extraBytes: number, name: string) {
  const fields = {
    bytes: view.getUint32(at + 24, true),
    stored: view.getUint32(at + 20, true),
    header: view.getUint32(at + 42, true),
  };
  const large = (["bytes", "stored", "header"] as const).filter((f) => fields[f] === 0xffffffff);
  if (large.length === 0) return fields;
  const end = extraAt + extraBytes;
  for (let i = extraAt; i + 4 <= end;) {
    const id = view.getUint16(i, true), length = view.getUint16(i + 2, true);
    if (id === 1 && length >= 8 * large.length && i + 4 + length <= end) {
      large.forEach((field, n) => fields[field] = whole(view, i + 4 + 8 * n));
      return fields;
    }
    i += 4 + length;
  }
  throw new ZipError(`${quote(name)} lacks its ZIP64 sizes`);
}

/** Entries lie one behind the other, before the directory. */
function checkPlaces(entries: DirectoryEntry[], directory: number): void {
  entries.sort((a, b) => a.header - b.header);
  entries.forEach((entry, i) => {
    const next = entries[i + 1]?.header ?? directory;
    if (entry.header + LOCAL_BYTES + entry.bytes > next) {
      throw new ZipError(`${quote(entry.name)} reaches into what lies behind it`);
    }
  });
}

/** A 64-bit number that JavaScript can hold. */
function whole(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new ZipError("a size or place is over 2^53");
  return Number(value);
}

/** Where an entry's bytes begin, by its local header, which must name it. Throws MoqeError `corrupt`. */
export async function dataStart(folder: Folder, file: string, entry: ZipEntry): Promise<number> {
  const name = new TextEncoder().encode(entry.name);
  const bytes = new Uint8Array(LOCAL_BYTES + name.length);
  await folder.read(file, entry.header, bytes);
  const view = new DataView(bytes.buffer);
  const nameBytes = view.getUint16(26, true), extraBytes = view.getUint16(28, true);
  const right = view.getUint32(0, true) === LOCAL && nameBytes === name.length &&
    name.every((b, i) => b === bytes[LOCAL_BYTES + i]);
  if (right) return entry.header + LOCAL_BYTES + nameBytes + extraBytes;
  throw new MoqeError("corrupt", {
    action: `read ${quote(entry.name)} of ${folder.origin}/${file}`,
    rule: "its local header does not name it",
    remedy: "download or save the checkpoint again",
  });
}
