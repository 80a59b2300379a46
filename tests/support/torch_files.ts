/** Files of torch made by hand, to be wrong in one place each: zips of stored entries, pickles of state dicts. */
import { crc32 } from "node:zlib";

export interface MadeEntry {
  name: string;
  bytes: Uint8Array;
  method?: number;
  flags?: number;
  crc?: number;
  /** What the directory says instead of the truth. */
  size?: number;
  header?: number;
  /** What the local header is called instead. */
  localName?: string;
}

const utf8 = (text: string) => new TextEncoder().encode(text);

/** A number as little-endian bytes. */
function le(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** i) & 255);
}

/** One entry's local header and its line of the directory, for data of `size` bytes. */
function entryHeads(e: Omit<MadeEntry, "bytes">, at: number, size: number, crc: number) {
  const common = (name: Uint8Array) => [
    ...le(e.flags ?? 0, 2),
    ...le(e.method ?? 0, 2),
    ...le(0, 4),
    ...le(crc, 4),
    ...le(e.size ?? size, 4),
    ...le(e.size ?? size, 4),
    ...le(name.length, 2),
    ...le(0, 2),
  ];
  const local = utf8(e.localName ?? e.name), name = utf8(e.name);
  const directory = [...le(0x02014b50, 4), ...le(0, 4), ...common(name), ...le(0, 10)];
  return {
    local: [...le(0x04034b50, 4), ...le(0, 2), ...common(local), ...local],
    directory: [...directory, ...le(e.header ?? at, 4), ...name],
  };
}

function directoryEnd(count: number, bytes: number, at: number): number[] {
  const counts = [...le(count, 2), ...le(count, 2)];
  return [...le(0x06054b50, 4), ...le(0, 4), ...counts, ...le(bytes, 4), ...le(at, 4), ...le(0, 2)];
}

/** A zip file of stored entries, without ZIP64. */
export function zipFile(entries: readonly MadeEntry[]): Uint8Array<ArrayBuffer> {
  const out: number[] = [], directory: number[] = [];
  for (const e of entries) {
    const heads = entryHeads(e, out.length, e.bytes.length, e.crc ?? crc32(e.bytes));
    out.push(...heads.local, ...e.bytes);
    directory.push(...heads.directory);
  }
  const end = directoryEnd(entries.length, directory.length, out.length);
  return new Uint8Array(out.concat(directory, end));
}

/** Literal bytes of a file that exists nowhere, by their place; what lies between is data. */
export interface Literal {
  readonly at: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A file of torch with f32 tensors of these shapes: all of it but the weights. Data begin at multiples of 64. */
export function torchSkeleton(
  tensors: readonly { name: string; shape: readonly number[] }[],
): { literals: Literal[]; bytes: number } {
  const count = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
  const pickle = statePickle(tensors.map(({ name, shape }, i) => ({
    name,
    key: String(i),
    elements: count(shape),
    shape: [...shape],
    strides: shape.map((_, d) => count(shape.slice(d + 1))),
  })));
  const literals: Literal[] = [], directory: number[] = [];
  let at = 0;
  const add = (name: string, size: number, data?: Uint8Array) => {
    const plain = entryHeads({ name }, at, size, data === undefined ? 0 : crc32(data));
    const { local } = plain;
    // The extra field's length is the header's last two bytes before the name.
    const padding = -(at + local.length) & 63;
    local.splice(28, 2, ...le(padding, 2));
    const bytes = new Uint8Array(local.length + padding + (data?.length ?? 0));
    bytes.set(local);
    if (data !== undefined) bytes.set(data, local.length + padding);
    literals.push({ at, bytes });
    directory.push(...plain.directory);
    at += local.length + padding + size;
  };
  add("archive/data.pkl", pickle.length, pickle);
  tensors.forEach(({ shape }, i) => add(`archive/data/${i}`, 4 * count(shape)));
  const end = directoryEnd(tensors.length + 1, directory.length, at);
  literals.push({ at, bytes: new Uint8Array(directory.concat(end)) });
  return { literals, bytes: at + directory.length + end.length };
}

const text = (value: string) => [0x58, ...le(utf8(value).length, 4), ...utf8(value)];
const int = (value: number) =>
  Math.abs(value) < 2 ** 31 ? [0x4a, ...le(value >>> 0, 4)] : [0x8a, 8, ...le(value, 8)];
const tuple = (...items: number[][]) => [0x28, ...items.flat(), 0x74];
const global = (name: string) => {
  const at = name.lastIndexOf(".");
  return [0x63, ...utf8(`${name.slice(0, at)}\n${name.slice(at + 1)}\n`)];
};

export interface MadeTensor {
  name?: string;
  type?: string;
  key?: string;
  elements?: number;
  offset?: number;
  shape?: number[];
  strides?: number[];
}

/** The pickle of a state dict of these tensors, as torch writes it, with whatever is said. */
export function statePickle(tensors: readonly MadeTensor[]): Uint8Array<ArrayBuffer> {
  const items = tensors.map((t) => {
    const storage = tuple(
      text("storage"),
      global(`torch.${t.type ?? "FloatStorage"}`),
      text(t.key ?? "0"),
      text("cpu"),
      int(t.elements ?? 4),
    );
    const call = [
      ...global("torch._utils._rebuild_tensor_v2"),
      ...tuple(
        [...storage, 0x51],
        int(t.offset ?? 0),
        tuple(...(t.shape ?? [2, 2]).map(int)),
        tuple(...(t.strides ?? [2, 1]).map(int)),
        [0x89],
        [...global("collections.OrderedDict"), 0x29, 0x52],
      ),
      0x52,
    ];
    return [...text(t.name ?? "w"), ...call, 0x73];
  });
  return new Uint8Array([0x80, 2, 0x7d, ...items.flat(), 0x2e]);
}

/** The pickle of one tensor. */
export function tensorPickle(t: MadeTensor = {}): Uint8Array<ArrayBuffer> {
  return statePickle([t]);
}

/** A whole file of torch around a pickle, with one storage of four f32. */
export function torchFile(
  pickle: Uint8Array,
  change: { pickle?: Partial<MadeEntry>; data?: Partial<MadeEntry>; more?: MadeEntry[] } = {},
): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
  return zipFile([
    { name: "archive/data.pkl", bytes: pickle, ...change.pickle },
    { name: "archive/data/0", bytes: data, ...change.data },
    ...change.more ?? [],
  ]);
}
