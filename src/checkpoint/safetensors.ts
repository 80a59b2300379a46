/** Headers of safetensors files, read and checked before a byte of weights is. */
import { MoqeError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";
import { type DType, DTYPE_BYTES, type Folder, type TensorInfo } from "./contract.ts";
import { HeaderSyntaxError, parseHeaderText, quote, type RawEntry } from "./header_text.ts";

/** Enough for 100,000 tensors; NLLB-MoE-54B's shards have 50 kB each. */
export const MAX_HEADER_BYTES = 16 * 2 ** 20;
export const MAX_TENSORS = 200_000;
export const MAX_NAME = 256;

/** "model.shared.weight" and "shared.weight" are one tensor. */
export function canonicalName(name: string): string {
  return name.startsWith("model.") ? name.slice("model.".length) : name;
}

/** Bytes of a file's header, without the 8 that say so. Throws MoqeError `corrupt` for none that can be. */
export async function headerBytes(
  folder: Folder,
  file: string,
  fileBytes: number,
): Promise<number> {
  const refuse = refusal(folder, file);
  if (fileBytes < 8) throw refuse("a safetensors file has 8 bytes of header length at least");
  const prefix = new Uint8Array(8);
  await folder.read(file, 0, prefix);
  const length = new DataView(prefix.buffer).getBigUint64(0, true);
  if (length > BigInt(fileBytes - 8)) {
    throw refuse(
      `the header's length is beyond the file of ${formatBytes(fileBytes)}`,
      `${length} bytes`,
    );
  }
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw refuse(`a header may have ${formatBytes(MAX_HEADER_BYTES)} at most`, `${length} bytes`);
  }
  return Number(length);
}

/**
 * Reads and checks one file's header. The tensors' byte ranges are proven to lie in the file, back to back, and
 * to agree with their shapes. Throws MoqeError `corrupt` otherwise.
 *
 * @param length what `headerBytes` answered, where it was asked before
 */
export async function readHeader(
  folder: Folder,
  file: string,
  fileBytes: number,
  length?: number,
): Promise<TensorInfo[]> {
  const bytes = new Uint8Array(length ?? await headerBytes(folder, file, fileBytes));
  await folder.read(file, 8, bytes);
  const refuse = refusal(folder, file);
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    const entries = parseHeaderText(text, MAX_TENSORS);
    return checkEntries(entries, file, 8 + bytes.length, fileBytes);
  } catch (error) {
    if (error instanceof HeaderSyntaxError) throw refuse(error.message);
    if (error instanceof TypeError) throw refuse("it is not UTF-8");
    throw error;
  }
}

function refusal(folder: Folder, file: string): (rule: string, observed?: string) => MoqeError {
  return (rule, observed) =>
    new MoqeError("corrupt", {
      action: `read the header of ${folder.origin}/${file}`,
      rule,
      observed,
      remedy: "download or save the checkpoint again",
    });
}

/** Entries to tensors, in the order of their bytes. Throws HeaderSyntaxError. */
function checkEntries(
  entries: RawEntry[],
  file: string,
  dataStart: number,
  fileBytes: number,
): TensorInfo[] {
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let expected = 0;
  const tensors = entries.map((e) => {
    const bytes = checkShape(e);
    if (e.end - e.begin !== bytes) {
      throw new HeaderSyntaxError(
        `${quote(e.name)} of ${e.dtype} [${e.shape}] has ${bytes} bytes, but its offsets span ` +
          `${e.end - e.begin}`,
      );
    }
    if (e.begin !== expected) {
      const what = e.begin < expected ? "overlaps the tensor before it" : "leaves a gap before it";
      throw new HeaderSyntaxError(`${quote(e.name)} ${what}, at byte ${e.begin}`);
    }
    expected = e.end;
    return {
      name: canonicalName(e.name),
      dtype: e.dtype as DType,
      shape: e.shape,
      byteRange: { offset: dataStart + e.begin, length: bytes },
      file,
    };
  });
  if (dataStart + expected !== fileBytes) {
    throw new HeaderSyntaxError(
      `the tensors end at byte ${dataStart + expected} of a file of ${fileBytes}`,
    );
  }
  return tensors;
}

/** Bytes of a tensor by its dtype and shape. */
function checkShape(e: RawEntry): number {
  if (e.name === "" || e.name.length > MAX_NAME) {
    throw new HeaderSyntaxError(`${quote(e.name)} is no name: 1 to ${MAX_NAME} characters`);
  }
  if (!Object.hasOwn(DTYPE_BYTES, e.dtype)) {
    throw new HeaderSyntaxError(`${quote(e.name)} has an unknown dtype ${quote(e.dtype)}`);
  }
  let bytes: number = DTYPE_BYTES[e.dtype as DType];
  for (const d of e.shape) {
    if (d === 0) throw new HeaderSyntaxError(`${quote(e.name)} has a dimension of 0`);
    bytes *= d;
    if (!Number.isSafeInteger(bytes)) {
      throw new HeaderSyntaxError(`${quote(e.name)} [${e.shape}] has more than 2^53 bytes`);
    }
  }
  return bytes;
}
