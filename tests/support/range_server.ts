/** An HTTP server of a sharded f32 checkpoint that exists nowhere: its bytes are made up as they are asked for. */
import { nllbMoe } from "../../src/arch/nllb_moe.ts";
import { plannedTensors } from "../../src/checkpoint/check.ts";
import { randomWeights } from "../quant/random.ts";

export interface MadeUpCheckpoint {
  readonly url: string;
  /** Bytes of all shards. */
  readonly bytes: number;
  readonly weights: number;
  /** The weight at an index into a shard's data, for tests. */
  weightAt(index: number): number;
  close(): Promise<void>;
}

interface Shard {
  header: Uint8Array<ArrayBuffer>;
  bytes: number;
}

/**
 * A prime number of weights, repeated through each shard's data: so every tensor begins at another phase and no
 * two experts are equal.
 */
const PATTERN = 262_139;

/** Serves a checkpoint of this configuration in shards of about shardBytes. The caller closes it. */
export function rangeServer(config: unknown, shardBytes: number): MadeUpCheckpoint {
  const pattern = randomWeights(PATTERN, "gauss", 1).map((w) => w * 0.02);
  const patternBytes = new Uint8Array(pattern.buffer as ArrayBuffer);
  const { shards, index, weights } = makeShards(config, shardBytes);
  const texts: Record<string, string> = {
    "config.json": JSON.stringify(config),
    "tokenizer.json": "{}",
    "model.safetensors.index.json": JSON.stringify({ weight_map: index }),
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
    weightAt: (i) => pattern[i % PATTERN]!,
    close: () => server.shutdown(),
  };
}

function makeShards(config: unknown, shardBytes: number) {
  const { plan } = nllbMoe.read(config);
  const headers: Record<string, unknown>[] = [{}];
  const sizes = [0];
  let weights = 0;
  for (const { name, shape } of plannedTensors(plan)) {
    if (sizes.at(-1)! >= shardBytes) {
      headers.push({});
      sizes.push(0);
    }
    const count = shape.reduce((a, b) => a * b, 1);
    weights += count;
    const begin = sizes.at(-1)!, end = begin + 4 * count;
    headers.at(-1)![name] = { dtype: "F32", shape, data_offsets: [begin, end] };
    sizes[sizes.length - 1] = end;
  }
  const shards = new Map<string, Shard>();
  const index: Record<string, string> = {};
  headers.forEach((entries, i) => {
    const file = `model-${String(i + 1).padStart(5, "0")}.safetensors`;
    const text = JSON.stringify(entries);
    const header = new TextEncoder().encode(" ".repeat(8) + text + " ".repeat(-text.length & 7));
    new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
    shards.set(file, { header, bytes: header.length + sizes[i]! });
    for (const name of Object.keys(entries)) index[name] = file;
  });
  return { shards, index, weights };
}

/** Bytes [from, to) of a shard, a piece at a time. */
function made(shard: Shard, pattern: Uint8Array<ArrayBuffer>, from: number, to: number) {
  let at = from;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      if (at >= to) return controller.close();
      const inHeader = at < shard.header.length;
      const source = inHeader ? shard.header : pattern;
      const start = inHeader ? at : (at - shard.header.length) % pattern.length;
      const piece = source.slice(start, Math.min(source.length, start + to - at, start + 2 ** 18));
      at += piece.length;
      controller.enqueue(piece);
    },
  });
}
