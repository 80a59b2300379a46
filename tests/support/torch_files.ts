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

/** A zip file of stored entries, without ZIP64. */
export function zipFile(entries: readonly MadeEntry[]): Uint8Array<ArrayBuffer> {
  const out: number[] = [], directory: number[] = [];
  for (const e of entries) {
    const header = out.length, crc = e.crc ?? crc32(e.bytes), size = e.size ?? e.bytes.length;
    const common = (name: Uint8Array) => [
      ...le(e.flags ?? 0, 2),
      ...le(e.method ?? 0, 2),
      ...le(0, 4),
      ...le(crc, 4),
      ...le(size, 4),
      ...le(size, 4),
      ...le(name.length, 2),
      ...le(0, 2),
    ];
    const local = utf8(e.localName ?? e.name), name = utf8(e.name);
    out.push(...le(0x04034b50, 4), ...le(0, 2), ...common(local), ...local, ...e.bytes);
    directory.push(...le(0x02014b50, 4), ...le(0, 4), ...common(name), ...le(0, 10));
    directory.push(...le(e.header ?? header, 4), ...name);
  }
  const at = out.length;
  out.push(...directory, ...le(0x06054b50, 4), ...le(0, 4), ...le(entries.length, 2));
  out.push(...le(entries.length, 2), ...le(directory.length, 4), ...le(at, 4), ...le(0, 2));
  return new Uint8Array(out);
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

/** The pickle of a state dict of one tensor, as torch writes it, with whatever is said. */
export function tensorPickle(t: MadeTensor = {}): Uint8Array<ArrayBuffer> {
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
  return new Uint8Array([0x80, 2, 0x7d, ...text(t.name ?? "w"), ...call, 0x73, 0x2e]);
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
