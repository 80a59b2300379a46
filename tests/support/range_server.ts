/**
 * An HTTP server of a sharded checkpoint that exists nowhere, as safetensors or as torch writes it: its bytes are made up
 * as they are asked for. Weights are f32; what is encoded is u8.
 */
import { architectureOf } from "../../src/arch/registry.ts";
import type { ModelPlan } from "../../src/base/plan.ts";
import { storedTensors } from "../../src/checkpoint/stored.ts";
import { randomWeights } from "../quant/random.ts";
import { type Literal, torchSkeleton } from "./torch_files.ts";

export interface MadeUpCheckpoint {
  readonly url: string;
  /** Bytes of all shards. */
  readonly bytes: number;
  readonly weights: number;
  /** Bytes sent so far. */
  readonly sent: number;
  /** The weight at an index into a safetensors shard's data, for tests. */
  weightAt(index: number): number;
  close(): Promise<void>;
}

interface Shard {
  /** What is no weight, by its place. */
  literals: readonly Literal[];
  /** Where the pattern of weights begins. */
  base: number;
  bytes: number;
  /** Where tensors of u8 are. */
  encoded: readonly { from: number; to: number }[];
}

type Form = "safetensors" | "torch";

/**
 * A prime number of weights, repeated through each shard's data: so every tensor begins at another phase and no
 * two experts are equal.
 */
const PATTERN = 262_139;
/** Any two codes of MXFP4, or an exponent of small weights. */
const ENCODED = Uint8Array.from({ length: PATTERN }, (_, i) => 112 + i * 7919 % 11);

/** Serves a checkpoint of this configuration in shards of about shardBytes. The caller closes it. */
export function rangeServer(
  config: unknown,
  shardBytes: number,
  form: Form = "safetensors",
  plan: ModelPlan = architectureOf(config).read(config).plan,
): MadeUpCheckpoint {
  let sent = 0;
  const pattern = randomWeights(PATTERN, "gauss", 1).map((w) => w * 0.02);
  const patternBytes = new Uint8Array(pattern.buffer as ArrayBuffer);
  const { shards, index, weights } = makeShards(plan, shardBytes, form);
  const texts: Record<string, string> = {
    "config.json": JSON.stringify(config),
    "tokenizer.json": "{}",
    [`${FORMS[form].index}.index.json`]: JSON.stringify({ weight_map: index }),
  };
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const file = new URL(request.url).pathname.slice(1);
    const text = texts[file] === undefined ? undefined : new TextEncoder().encode(texts[file]);
    const shard = shards.get(file);
    if (text === undefined && shard === undefined) return new Response(null, { status: 404 });
    const total = text?.length ?? shard!.bytes;
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.get("range") ?? "");
    const first = range === null ? 0 : Number(range[1]);
    const last = range === null ? total - 1 : Math.min(Number(range[2]), total - 1);
    sent += last + 1 - first;
    const body = text?.slice(first, last + 1) ?? made(shard!, patternBytes, first, last + 1);
    return new Response(body, {
      status: range === null ? 200 : 206,
      headers: {
        "content-length": String(last + 1 - first),
        ...(range === null ? {} : { "content-range": `bytes ${first}-${last}/${total}` }),
      },
    });
  });
  return {
    url: `http://127.0.0.1:${(server.addr as Deno.NetAddr).port}/`,
    bytes: [...shards.values()].reduce((sum, s) => sum + s.bytes, 0),
    weights,
    get sent() {
      return sent;
    },
    weightAt: (i) => pattern[i % PATTERN]!,
    close: () => server.shutdown(),
  };
}

const FORMS = {
  safetensors: { index: "model.safetensors", file: (n: string) => `model-${n}.safetensors` },
  torch: { index: "pytorch_model.bin", file: (n: string) => `pytorch_model-${n}.bin` },
};

interface Made {
  name: string;
  shape: readonly number[];
  /** Of an element: 4, or 1 where it is encoded. */
  width: number;
}

function makeShards(plan: ModelPlan, shardBytes: number, form: Form) {
  const groups: Made[][] = [[]];
  let size = 0, weights = 0;
  for (const [name, { shape, types }] of storedTensors(plan)) {
    if (size >= shardBytes) {
      groups.push([]);
      size = 0;
    }
    const count = shape.reduce((a, b) => a * b, 1), width = types.includes("U8") ? 1 : 4;
    groups.at(-1)!.push({ name, shape, width });
    weights += count;
    size += width * count;
  }
  const shards = new Map<string, Shard>();
  const index: Record<string, string> = {};
  groups.forEach((tensors, i) => {
    const file = FORMS[form].file(String(i + 1).padStart(5, "0"));
    const shard = form === "torch"
      ? { ...torchSkeleton(tensors), base: 0, encoded: [] }
      : safetensorsSkeleton(tensors);
    shards.set(file, shard);
    for (const { name } of tensors) index[name] = file;
  });
  return { shards, index, weights };
}

function safetensorsSkeleton(tensors: readonly Made[]): Shard {
  const entries: Record<string, unknown> = {}, bytes: { from: number; to: number }[] = [];
  let at = 0;
  for (const { name, shape, width } of tensors) {
    const end = at + width * shape.reduce((a, b) => a * b, 1);
    entries[name] = { dtype: width === 1 ? "U8" : "F32", shape, data_offsets: [at, end] };
    if (width === 1) bytes.push({ from: at, to: end });
    at = end;
  }
  const text = JSON.stringify(entries);
  const header = new TextEncoder().encode(" ".repeat(8) + text + " ".repeat(-text.length & 7));
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  const base = header.length;
  const encoded = bytes.map(({ from, to }) => ({ from: base + from, to: base + to }));
  return { literals: [{ at: 0, bytes: header }], base, bytes: base + at, encoded };
}

/** Bytes [from, to) of a shard, a piece at a time. */
function made(shard: Shard, pattern: Uint8Array<ArrayBuffer>, from: number, to: number) {
  let at = from;
  let next = shard.literals.findIndex((l) => l.at + l.bytes.length > from);
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      if (at >= to) return controller.close();
      while (next >= 0 && shard.literals[next] && at >= end(shard.literals[next]!)) next++;
      const literal = next < 0 ? undefined : shard.literals[next];
      const inside = literal !== undefined && at >= literal.at;
      const region = shard.encoded.find((r) => r.to > at), isEncoded = region && region.from <= at;
      const source = inside ? literal.bytes : isEncoded ? ENCODED : pattern;
      const start = inside ? at - literal.at : (at - shard.base) % source.length;
      const edge = isEncoded ? region.to : region?.from ?? to;
      const until = inside ? to : Math.min(to, edge, literal?.at ?? to);
      const piece = source.slice(
        start,
        Math.min(source.length, start + until - at, start + 2 ** 18),
      );
      at += piece.length;
      controller.enqueue(piece);
    },
  });
}

function end({ at, bytes }: Literal): number {
  return at + bytes.length;
}
