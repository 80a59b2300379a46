/** What a checkpoint's index and headers say, as far as a few of their bytes do. */
import type { DType, Folder, TensorInfo } from "./contract.ts";
import { canonicalName, headerBytes, readHeader } from "./safetensors.ts";
import { findForm, missingFile } from "./tensor_source.ts";

export interface Outline {
  readonly origin: string;
  readonly files: number;
  /** Of all files of weights. */
  readonly bytes: number;
  /** Names of all tensors, where the index or the headers told them; otherwise undefined. */
  readonly names: ReadonlySet<string> | undefined;
  /** Those whose headers were read. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly dtypes: readonly DType[];
}

/**
 * Reads the index, and headers of safetensors files in their order, within `mostBytes` of both together. What torch files
 * hold is only known from the index.
 *
 * @throws MoqeError `bad_input` for missing files or an index of more than that, `corrupt` for a header that is none
 */
export async function readOutline(folder: Folder, mostBytes: number): Promise<Outline> {
  const { form, shards } = await findForm(folder, mostBytes);
  const index = shards === undefined ? undefined : await folder.stat(form.index);
  const tensors = new Map<string, TensorInfo>();
  const files = [...shards?.keys() ?? [form.single]];
  let left = mostBytes - (index?.bytes ?? 0), bytes = 0, whole = true;
  for (const file of files) {
    const info = await folder.stat(file);
    if (info === undefined) throw missingFile(folder, file);
    bytes += info.bytes;
    if (form.suffix !== ".safetensors" || !whole || left < 8) {
      whole = false;
      continue;
    }
    const length = await headerBytes(folder, file, info.bytes);
    left -= 8 + length;
    whole = left >= 0;
    if (!whole) continue;
    for (const tensor of await readHeader(folder, file, info.bytes, length)) {
      tensors.set(tensor.name, tensor);
    }
  }
  const listed = shards && new Set([...shards.values()].flat().map(canonicalName));
  return {
    origin: folder.origin,
    files: files.length,
    bytes,
    names: listed ?? (whole ? new Set(tensors.keys()) : undefined),
    tensors,
    dtypes: [...new Set(Array.from(tensors.values(), (t) => t.dtype))].sort(),
  };
}
