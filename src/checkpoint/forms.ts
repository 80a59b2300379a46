/** How a checkpoint's weights are stored: safetensors or torch's own, in one file or in shards with an index. */
import { MoqeError } from "../base/errors.ts";
import type { Folder, TensorInfo } from "./contract.ts";
import { quote } from "./header_text.ts";
import { readHeader } from "./safetensors.ts";
import { parseObject, readText } from "./texts.ts";
import { readTorchFile } from "./torch_file.ts";

const MAX_INDEX_BYTES = 32 * 2 ** 20;
const MAX_SHARDS = 1000;

/** How a checkpoint is stored; the first that a folder has is read. */
export interface Form {
  readonly single: string;
  readonly index: string;
  /** A shard's name: in this folder, no path, no address. */
  readonly shard: RegExp;
  readonly suffix: string;
  read(folder: Folder, file: string, fileBytes: number): Promise<TensorInfo[]>;
}

const FORMS: readonly Form[] = [
  {
    single: "model.safetensors",
    index: "model.safetensors.index.json",
    shard: /^[A-Za-z0-9_][A-Za-z0-9._-]{0,200}\.safetensors$/,
    suffix: ".safetensors",
    read: readHeader,
  },
  {
    single: "pytorch_model.bin",
    index: "pytorch_model.bin.index.json",
    shard: /^[A-Za-z0-9_][A-Za-z0-9._-]{0,200}\.bin$/,
    suffix: ".bin",
    read: readTorchFile,
  },
];

/** Files of which a checkpoint has one. */
export const WEIGHT_FILES: readonly string[] = FORMS.flatMap((f) => [f.single, f.index]);

/** A folder's weights: in one file, or in shards that an index names. */
export interface StoredForm {
  readonly form: Form;
  /** Of the index; undefined for one file. */
  readonly indexBytes: number | undefined;
}

/** How a folder's weights are stored. Throws MoqeError `bad_input` where there are none. */
export async function findForm(folder: Folder): Promise<StoredForm> {
  for (const form of FORMS) {
    const index = await folder.stat(form.index);
    if (index !== undefined) return { form, indexBytes: index.bytes };
    if (await folder.stat(form.single) !== undefined) return { form, indexBytes: undefined };
  }
  throw missingFile(folder, FORMS[0]!.single);
}

/**
 * The index's tensors by shard; undefined without an index. Throws MoqeError `corrupt` for anything but names of files in
 * this folder.
 */
export async function readIndex(
  folder: Folder,
  { form, indexBytes }: StoredForm,
): Promise<Map<string, string[]> | undefined> {
  if (indexBytes === undefined) return undefined;
  const action = `read ${folder.origin}/${form.index}`;
  const refuse = (rule: string, observed?: string) =>
    new MoqeError("corrupt", { action, rule, observed });
  const index = parseObject(
    await readText(folder, form.index, MAX_INDEX_BYTES, indexBytes),
    action,
  );
  const map = index.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    throw refuse("weight_map must be an object of tensor names to file names");
  }
  const shards = new Map<string, string[]>();
  for (const [tensor, file] of Object.entries(map)) {
    if (typeof file !== "string" || !form.shard.test(file)) {
      throw refuse(
        `a shard is a ${form.suffix} file in the checkpoint's own folder`,
        quote(String(file)),
      );
    }
    const list = shards.get(file);
    if (list === undefined) shards.set(file, [tensor]);
    else list.push(tensor);
    if (shards.size > MAX_SHARDS) throw refuse(`there may be ${MAX_SHARDS} shards at most`);
  }
  if (shards.size === 0) throw refuse("weight_map is empty");
  return new Map([...shards].sort(([a], [b]) => a < b ? -1 : 1));
}

/** A checkpoint without one of its files. */
export function missingFile(folder: Folder, file: string): MoqeError {
  return new MoqeError("bad_input", {
    action: `open the checkpoint ${folder.origin}`,
    rule: `it has no ${file}`,
    remedy: file === FORMS[0]!.single
      ? `a checkpoint is a folder with config.json and ${WEIGHT_FILES.join(" or ")}`
      : "download the missing shard",
  });
}
