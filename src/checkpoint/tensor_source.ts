/** Tensors of a checkpoint's files, one or sharded, safetensors or torch's own, read by rows as f32. */
import { MoqeError } from "../base/errors.ts";
import { halfTable } from "../quant/half.ts";
import { asMatrix, type Folder, type TensorInfo, type TensorSource } from "./contract.ts";
import { quote } from "./header_text.ts";
import { findForm, missingFile, readIndex } from "./forms.ts";
import { canonicalName, MAX_TENSORS } from "./safetensors.ts";
import { readStrided } from "./strided.ts";
import { dataStart } from "./zip.ts";

/** Opens a folder's weights: all that its files say of them read and checked. The source owns the folder from then on. */
export async function openTensors(folder: Folder): Promise<TensorSource> {
  const found = await findForm(folder), { form } = found;
  const shards = await readIndex(folder, found);
  const tensors = new Map<string, TensorInfo>();
  const versions: string[] = [];
  for (const name of shards?.keys() ?? [form.single]) {
    const info = await folder.stat(name);
    if (info === undefined) throw missingFile(folder, name);
    versions.push(`${name}:${info.bytes}:${info.version}`);
    for (const tensor of await form.read(folder, name, info.bytes)) {
      addTensor(tensors, tensor, folder.origin);
    }
  }
  if (shards !== undefined) checkIndex(form.index, shards, tensors, folder.origin);
  return new FolderTensors(folder, tensors, versions.join("\n"));
}

function addTensor(tensors: Map<string, TensorInfo>, tensor: TensorInfo, origin: string): void {
  const before = tensors.get(tensor.name);
  const refuse = (rule: string, observed: string) =>
    new MoqeError("corrupt", { action: `open the checkpoint ${origin}`, rule, observed });
  if (before !== undefined) {
    throw refuse(
      "each tensor is stored once, with or without a leading model.",
      `${quote(tensor.name)} in ${before.file} and in ${tensor.file}`,
    );
  }
  if (tensors.size >= MAX_TENSORS) {
    throw refuse(`a checkpoint may have ${MAX_TENSORS} tensors at most`, `more in ${tensor.file}`);
  }
  tensors.set(tensor.name, tensor);
}

/** The index and the shards' own headers must say the same; every difference in one error. */
function checkIndex(
  index: string,
  shards: Map<string, string[]>,
  tensors: ReadonlyMap<string, TensorInfo>,
  origin: string,
): void {
  const faults: string[] = [];
  let listed = 0;
  for (const [file, names] of shards) {
    listed += names.length;
    for (const name of names) {
      const found = tensors.get(canonicalName(name));
      if (found === undefined) faults.push(`${quote(name)} is in no shard, but listed in ${file}`);
      else if (found.file !== file) {
        faults.push(`${quote(name)} is in ${found.file}, but listed in ${file}`);
      }
    }
  }
  if (faults.length === 0 && listed !== tensors.size) {
    faults.push(`it lists ${listed} tensors, the shards hold ${tensors.size}`);
  }
  if (faults.length === 0) return;
  const shown = faults.slice(0, 100);
  if (shown.length < faults.length) shown.push(`... and ${faults.length - shown.length} more`);
  throw new MoqeError("corrupt", {
    action: `open the checkpoint ${origin}`,
    rule: `${index} and its shards disagree:\n  ${shown.join("\n  ")}\n`,
    remedy: "download or save the checkpoint again",
  });
}

class FolderTensors implements TensorSource {
  readonly origin: string;
  /** Where the data of zip entries begin, by file and header; known once it was asked for. */
  readonly #starts = new Map<string, number>();

  constructor(
    readonly folder: Folder,
    readonly tensors: ReadonlyMap<string, TensorInfo>,
    readonly identity: string,
  ) {
    this.origin = folder.origin;
  }

  async readRows(
    name: string,
    rowStart: number,
    rowCount: number,
    options: { into?: Float32Array<ArrayBuffer>; signal?: AbortSignal | undefined } = {},
  ): Promise<Float32Array<ArrayBuffer>> {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw new RangeError(`cannot read ${name}: no such tensor`);
    const { rows, cols } = asMatrix(tensor.shape);
    if (rowStart < 0 || rowCount < 0 || rowStart + rowCount > rows) {
      throw new RangeError(`cannot read ${rowCount} rows at ${rowStart} of ${name}'s ${rows}`);
    }
    const count = rowCount * cols;
    const out = options.into?.subarray(0, count) ?? new Float32Array(count);
    const width = elementBytes(tensor);
    // Narrow elements are read into the end of their own place and widened from its start on: widening element i
    // writes bytes 4i..4i+3, which hold no element after i, since it starts at 2 count + 2i.
    const raw = new Uint8Array(
      out.buffer,
      out.byteOffset + count * (4 - width),
      count * width,
    );
    const base = await this.#dataStart(tensor);
    const read = (offset: number, into: Uint8Array<ArrayBuffer>) =>
      this.folder.read(tensor.file, base + offset, into, options.signal);
    if (tensor.strides === undefined) {
      await read(tensor.byteRange.offset + rowStart * cols * width, raw);
    } else await readStrided(tensor, [rowStart * cols, count], raw, width, read);
    widen(out, raw, tensor.dtype);
    return out;
  }

  async #dataStart({ file, entry }: TensorInfo): Promise<number> {
    if (entry === undefined) return 0;
    const id = `${file}:${entry.header}`;
    const start = this.#starts.get(id) ?? await dataStart(this.folder, file, entry);
    this.#starts.set(id, start);
    return start;
  }

  close(): void {
    this.folder.close();
  }
}

function elementBytes(tensor: TensorInfo): 2 | 4 {
  if (tensor.dtype === "F32") return 4;
  if (tensor.dtype === "F16" || tensor.dtype === "BF16") return 2;
  throw new MoqeError("unsupported", {
    action: `read the weights of ${tensor.name}`,
    rule: "weights are F32, F16 or BF16",
    observed: tensor.dtype,
    remedy: "save the checkpoint in one of these",
  });
}

/** Elements of `raw`, which ends where `out` ends, to f32 in place. */
function widen(out: Float32Array, raw: Uint8Array<ArrayBuffer>, dtype: string): void {
  if (dtype === "F32") return;
  const narrow = new Uint16Array(raw.buffer, raw.byteOffset, out.length);
  if (dtype === "BF16") {
    const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
    for (let i = 0; i < bits.length; i++) bits[i] = narrow[i]! << 16;
    return;
  }
  const halves = halfTable();
  for (let i = 0; i < out.length; i++) out[i] = halves[narrow[i]!]!;
}
