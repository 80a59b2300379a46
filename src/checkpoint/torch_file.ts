/** Tensors of a file that torch.save wrote: a zip of a pickle and its storages, or the older row of pickles. */
import { crc32 } from "node:zlib";
import { MoqeError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";
import { DTYPE_BYTES, type Folder, type TensorInfo } from "./contract.ts";
import { quote } from "./header_text.ts";
import { readPickle } from "./pickle.ts";
import { PickleEndError, PickleError, said, type Storage, Tensor } from "./pickle_values.ts";
import { canonicalName, MAX_NAME, MAX_TENSORS } from "./safetensors.ts";
import { dataStart, type DirectoryEntry, readZipDirectory } from "./zip.ts";

/** NLLB-MoE-54B's shards have pickles of about 100 kB. */
const MAX_PICKLE_BYTES = 64 * 2 ** 20;
const FIRST_LOOK_BYTES = 256 * 1024;
/** What legacy files begin with, as a pickled number. */
const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_PROTOCOL = 1001;

/** Where a storage's bytes are: at an offset of the file, or in a zip entry. */
type Place = Pick<TensorInfo, "entry"> & { readonly offset: number };

/** Reads and checks what a file says of its tensors. Throws MoqeError `corrupt` with what it refused. */
export async function readTorchFile(
  folder: Folder,
  file: string,
  fileBytes: number,
): Promise<TensorInfo[]> {
  const refuse = (rule: string) =>
    new MoqeError("corrupt", {
      action: `read the tensors of ${folder.origin}/${file}`,
      rule,
      remedy: "download the checkpoint again, or save it as safetensors",
    });
  const start = new Uint8Array(Math.min(4, fileBytes));
  if (start.length > 0) await folder.read(file, 0, start);
  const zip = start[0] === 0x50 && start[1] === 0x4b;
  if (!zip && start[0] !== 0x80) throw refuse("it is neither a zip nor a pickle");
  try {
    return zip ? await readZip(folder, file, fileBytes) : await readLegacy(folder, file, fileBytes);
  } catch (error) {
    if (error instanceof PickleError) throw refuse(error.message);
    throw error;
  }
}

async function readZip(folder: Folder, file: string, fileBytes: number): Promise<TensorInfo[]> {
  const entries = await readZipDirectory(folder, file, fileBytes);
  const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length !== 1) throw new PickleError("it has not one data.pkl in one folder");
  const root = pickles[0]!.slice(0, -"data.pkl".length);
  const order = entries.get(`${root}byteorder`);
  if (order !== undefined) {
    const text = new TextDecoder().decode(await readEntry(folder, file, order, 16));
    if (text !== "little") throw new PickleError(`its byte order is ${quote(text)}, not "little"`);
  }
  const pickle = await readEntry(folder, file, entries.get(pickles[0]!)!, MAX_PICKLE_BYTES);
  const { value, end } = readPickle(pickle);
  if (end !== pickle.length) throw new PickleError("there is more behind its pickle");
  return tensorsOf(value, file, (storage) => {
    const entry = entries.get(`${root}data/${storage.key}`);
    const bytes = storage.elements * DTYPE_BYTES[storage.dtype];
    if (entry === undefined) {
      throw new PickleError(`storage ${quote(storage.key)} is not in the zip`);
    }
    if (entry.bytes !== bytes) {
      throw new PickleError(
        `storage ${quote(storage.key)} has ${entry.bytes} bytes where ${bytes} are due`,
      );
    }
    return { offset: 0, entry: { name: entry.name, header: entry.header } };
  });
}

async function readEntry(
  folder: Folder,
  file: string,
  entry: DirectoryEntry,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  if (entry.bytes > maxBytes) {
    throw new PickleError(`${quote(entry.name)} has over ${formatBytes(maxBytes)}`);
  }
  const bytes = new Uint8Array(entry.bytes);
  if (bytes.length > 0) await folder.read(file, await dataStart(folder, file, entry), bytes);
  if (crc32(bytes) !== entry.crc) {
    throw new PickleError(`${quote(entry.name)} does not have its CRC-32`);
  }
  return bytes;
}

/**
 * Five pickles: a magic number, a version, facts about the machine, the state dict, and the keys of the storages
 * in the order in which they follow, each behind its number of elements in 8 bytes.
 */
async function readLegacy(folder: Folder, file: string, fileBytes: number): Promise<TensorInfo[]> {
  const { values, end } = await readPickles(folder, file, fileBytes, 5);
  const [magic, protocol, , state, keys] = values;
  if (magic !== LEGACY_MAGIC || protocol !== LEGACY_PROTOCOL) {
    throw new PickleError("it is a pickle, but not one that torch.save wrote");
  }
  if (!Array.isArray(keys) || !keys.every((k) => typeof k === "string")) {
    throw new PickleError("its list of storages is no list of texts");
  }
  const sizes = new Map<string, number>();
  for (const [, { storage }] of namedTensors(state)) {
    sizes.set(storage.key, storage.elements * DTYPE_BYTES[storage.dtype]);
  }
  const places = new Map<string, number>();
  let at = end;
  for (const key of keys) {
    const bytes = sizes.get(key);
    if (bytes === undefined) throw new PickleError(`storage ${quote(key)} belongs to no tensor`);
    if (places.has(key)) throw new PickleError(`storage ${quote(key)} is there twice`);
    places.set(key, at + 8);
    at += 8 + bytes;
  }
  if (at !== fileBytes) {
    throw new PickleError(`its storages end at byte ${at} of a file of ${fileBytes}`);
  }
  return tensorsOf(state, file, ({ key }) => {
    const offset = places.get(key);
    if (offset === undefined) throw new PickleError(`storage ${quote(key)} is not in the file`);
    return { offset };
  });
}

/** Pickles one behind the other from the file's start; more of it is read until they are whole. */
async function readPickles(folder: Folder, file: string, fileBytes: number, count: number) {
  for (let look = FIRST_LOOK_BYTES;; look *= 4) {
    const bytes = new Uint8Array(Math.min(look, fileBytes, MAX_PICKLE_BYTES));
    await folder.read(file, 0, bytes);
    try {
      const values: unknown[] = [];
      let at = 0;
      for (let i = 0; i < count; i++) {
        const { value, end } = readPickle(bytes, at);
        values.push(value);
        at = end;
      }
      return { values, end: at };
    } catch (error) {
      if (!(error instanceof PickleEndError) || bytes.length < look) throw error;
    }
  }
}

/** A state dict's tensors with their names. */
function* namedTensors(state: unknown): Generator<[string, Tensor]> {
  if (!(state instanceof Map)) throw new PickleError(`it holds ${said(state)}, not a state dict`);
  if (state.size > MAX_TENSORS) throw new PickleError(`there are more than ${MAX_TENSORS} tensors`);
  for (const [name, value] of state) {
    if (typeof name !== "string" || name === "" || name.length > MAX_NAME) {
      throw new PickleError(`${said(name)} is no name: 1 to ${MAX_NAME} characters`);
    }
    if (!(value instanceof Tensor)) {
      throw new PickleError(`${quote(name)} is ${said(value)}, not a tensor: it is no state dict`);
    }
    yield [name, value];
  }
}

function tensorsOf(state: unknown, file: string, place: (s: Storage) => Place): TensorInfo[] {
  const places = new Map<Storage, Place>();
  const tensors: TensorInfo[] = [];
  for (const [name, { storage, offset, shape, strides }] of namedTensors(state)) {
    const at = places.get(storage) ?? place(storage);
    places.set(storage, at);
    const width = DTYPE_BYTES[storage.dtype];
    const elements = shape.reduce((n, d) => n * d, 1);
    tensors.push({
      name: canonicalName(name),
      dtype: storage.dtype,
      shape,
      byteRange: { offset: at.offset + offset * width, length: elements * width },
      file,
      ...(at.entry === undefined ? {} : { entry: at.entry }),
      ...(isRowMajor(shape, strides) ? {} : { strides }),
    });
  }
  return tensors;
}

/** Whether elements lie one behind the other; a dimension of 1 may have any stride. */
function isRowMajor(shape: readonly number[], strides: readonly number[]): boolean {
  let due = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i]! > 1 && strides[i] !== due) return false;
    due *= shape[i]!;
  }
  return true;
}
