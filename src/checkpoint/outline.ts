/** What a checkpoint's index and headers say, as far as a few of their bytes do. */
import type { Folder, TensorInfo } from "./contract.ts";
import { findForm, missingFile, readIndex } from "./forms.ts";
import { canonicalName, headerBytes, readHeader } from "./safetensors.ts";

export interface Outline {
  readonly origin: string;
  /** Files of weights and their bytes; undefined where the index was too long to read. */
  readonly files: { readonly count: number; readonly bytes: number } | undefined;
  /** Names of all tensors, where the index or the headers told them; otherwise undefined. */
  readonly names: ReadonlySet<string> | undefined;
  /** Those whose headers were read. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

/**
 * Reads the index, and headers of safetensors files in their order, within `mostBytes` of both together. What torch files
 * hold is only known from the index.
 *
 * @throws MoqeError `bad_input` for missing files, `corrupt` for an index or a header that is none
 */
export async function readOutline(folder: Folder, mostBytes: number): Promise<Outline> {
  const { origin } = folder;
  const found = await findForm(folder), { form, indexBytes = 0 } = found;
  if (indexBytes > mostBytes) {
    return { origin, files: undefined, names: undefined, tensors: new Map() };
  }
  const shards = await readIndex(folder, found);
  const tensors = new Map<string, TensorInfo>(), files = [...shards?.keys() ?? [form.single]];
  let left = mostBytes - indexBytes, bytes = 0, looking = form.suffix === ".safetensors";
  for (const file of files) {
    const info = await folder.stat(file);
    if (info === undefined) throw missingFile(folder, file);
    bytes += info.bytes;
    if (!looking) continue;
    const length = await headerBytes(folder, file, info.bytes);
    left -= 8 + length;
    looking = left >= 0;
    if (!looking) continue;
    for (const tensor of await readHeader(folder, file, info.bytes, length)) {
      tensors.set(tensor.name, tensor);
    }
  }
  const listed = shards && new Set([...shards.values()].flat().map(canonicalName));
  const names = listed ?? (looking ? new Set(tensors.keys()) : undefined);
  return { origin, files: { count: files.length, bytes }, names, tensors };
}
