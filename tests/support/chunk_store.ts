/**
 * A store that keeps equal pieces once: models whose blocks differ in a few bytes take a few bytes each, so that one of
 * 16 GB with 1,536 experts fits in a corner of a disk. Serves what it holds over HTTP, by ranges.
 */
import { createHash } from "node:crypto";
import type { ByteRange, WritableStore } from "../../src/store/contract.ts";

const CHUNK = 2 ** 16;

interface Entry {
  bytes: number;
  /** Where each chunk lies in the file, in chunks. */
  places: number[];
}

export class ChunkStore implements WritableStore {
  readonly origin: string;
  /** Bytes on the disk. */
  stored = 0;
  readonly #file: Deno.FsFile;
  readonly #entries = new Map<string, Entry>();
  readonly #places = new Map<string, number>();

  /** Opens or makes the two files `PATH` and `PATH.json`. The caller closes it. */
  constructor(readonly path: string) {
    this.origin = `chunks:${path}`;
    this.#file = Deno.openSync(path, { read: true, write: true, create: true });
    try {
      const kept: [string, Entry][] = JSON.parse(Deno.readTextFileSync(`${path}.json`));
      for (const [name, entry] of kept) this.#entries.set(name, entry);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  // deno-lint-ignore require-await
  async has(name: string): Promise<boolean> {
    return this.#entries.has(name);
  }

  async write(name: string, bytes: AsyncIterable<Uint8Array>): Promise<string> {
    const entry: Entry = { bytes: 0, places: [] };
    const chunk = new Uint8Array(CHUNK);
    let filled = 0;
    for await (const piece of bytes) {
      for (let from = 0; from < piece.length;) {
        const n = Math.min(CHUNK - filled, piece.length - from);
        chunk.set(piece.subarray(from, from + n), filled);
        from += n;
        if ((filled += n) === CHUNK) filled = this.#put(entry, chunk, CHUNK);
      }
    }
    if (filled > 0) this.#put(entry, chunk.fill(0, filled), filled);
    this.#entries.set(name, entry);
    return "";
  }

  #put(entry: Entry, chunk: Uint8Array, bytes: number): 0 {
    const hash = createHash("sha256").update(chunk).digest("base64");
    let place = this.#places.get(hash);
    if (place === undefined) {
      place = this.stored / CHUNK;
      this.#file.seekSync(this.stored, Deno.SeekMode.Start);
      for (let at = 0; at < CHUNK;) at += this.#file.writeSync(chunk.subarray(at));
      this.stored += CHUNK;
      this.#places.set(hash, place);
    }
    entry.places.push(place);
    entry.bytes += bytes;
    return 0;
  }

  /** Keeps the index, for the next process that opens the path. */
  save(): void {
    Deno.writeTextFileSync(`${this.path}.json`, JSON.stringify([...this.#entries]));
  }

  // deno-lint-ignore require-await
  async readRange(name: string, { offset, length }: ByteRange): Promise<Uint8Array<ArrayBuffer>> {
    const entry = this.#entries.get(name);
    if (entry === undefined || offset + length > entry.bytes) {
      throw new RangeError(`cannot read ${length} bytes at ${offset} of ${name}`);
    }
    const out = new Uint8Array(length);
    for (let at = 0; at < length;) {
      const chunk = Math.floor((offset + at) / CHUNK), inside = (offset + at) % CHUNK;
      const n = Math.min(CHUNK - inside, length - at);
      this.#file.seekSync(entry.places[chunk]! * CHUNK + inside, Deno.SeekMode.Start);
      for (let got = 0; got < n;) got += this.#file.readSync(out.subarray(at + got, at + n))!;
      at += n;
    }
    return out;
  }

  async readAll(name: string, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = this.#entries.get(name)?.bytes ?? Infinity;
    if (bytes > maxBytes) throw new RangeError(`cannot read all of ${name}: ${bytes} bytes`);
    return await this.readRange(name, { offset: 0, length: bytes });
  }

  /** Bytes of all objects, as a reader sees them. */
  get bytes(): number {
    let sum = 0;
    for (const entry of this.#entries.values()) sum += entry.bytes;
    return sum;
  }

  bytesOf(name: string): number | undefined {
    return this.#entries.get(name)?.bytes;
  }

  close(): void {
    this.#file.close();
  }
}

/** What a server of a store has answered so far. */
export interface Served {
  readonly url: string;
  readonly requests: number;
  readonly bytes: number;
  close(): Promise<void>;
}

/** Serves a store on a free port of this machine. */
export function serveChunks(store: ChunkStore): Served {
  let requests = 0, bytes = 0;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const name = new URL(request.url).pathname.slice(1), total = store.bytesOf(name);
    if (total === undefined) return new Response(null, { status: 404 });
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.get("range") ?? "");
    const first = range === null ? 0 : Number(range[1]);
    const last = range === null ? total - 1 : Math.min(Number(range[2]), total - 1);
    requests++;
    bytes += last + 1 - first;
    return new Response(body(store, name, first, last + 1), {
      status: range === null ? 200 : 206,
      headers: {
        "content-length": String(last + 1 - first),
        ...(range === null ? {} : { "content-range": `bytes ${first}-${last}/${total}` }),
      },
    });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}/`,
    get requests() {
      return requests;
    },
    get bytes() {
      return bytes;
    },
    close: () => server.shutdown(),
  };
}

/** Bytes [from, to) of an object, a piece at a time. */
function body(store: ChunkStore, name: string, from: number, to: number) {
  let at = from;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      if (at >= to) return controller.close();
      const length = Math.min(2 ** 20, to - at);
      controller.enqueue(await store.readRange(name, { offset: at, length }));
      at += length;
    },
  });
}
