/** Remote stores as the engine sees them: every request, body and hash is a Worker's. */
import { MoqeError } from "../base/errors.ts";
import { canStartWorker, workerUrl } from "../base/workers.ts";
import {
  type ByteRange,
  type HashedBlock,
  noRetries,
  type ObjectStore,
  type ReadOptions,
  type RetryCounts,
} from "../store/contract.ts";
import { openStore } from "../store/open.ts";
import { STORE_WORKER_NAME, type StoreCommand, type StoreEvent } from "./store_protocol.ts";
import { fromWire } from "./wire.ts";

/** Stores in a Worker. */
export interface StorePort {
  /** A store by one of the addresses that the port was opened with. */
  open(address: string): ObjectStore;
  /** Ends the Worker. Reads under way fail. */
  close(): void;
}

/**
 * Starts a Worker for these stores; undefined where none would help (a folder's reads are the system's threads' as it
 * is) or none can start: then the engine's own thread reads.
 */
export function openStorePort(addresses: readonly string[]): StorePort | undefined {
  const url = workerUrl("./store_worker.ts", import.meta.url);
  if (!addresses.some(isRemote) || !canStartWorker(url)) return undefined;
  return new WorkerStores(url, addresses);
}

function isRemote(address: string): boolean {
  return /^(https?|s3):/i.test(address);
}

interface Pending {
  readonly store: number;
  resolve(blocks: HashedBlock[]): void;
  reject(error: unknown): void;
}

type Read = { type: "read"; name: string; ranges: readonly ByteRange[]; noCache: boolean };
type ReadAll = { type: "readAll"; name: string; maxBytes: number };

/** A Worker that ended (a fault of ours, or of the host) fails its reads; the next read starts another. */
class WorkerStores implements StorePort {
  #worker: Worker | undefined;
  #isClosed = false;
  readonly #pending = new Map<number, Pending>();
  /** What each store's Worker counted last, and what those before it had. */
  readonly #retries: (RetryCounts | undefined)[] = [];
  readonly #earlier: (RetryCounts | undefined)[] = [];
  #nextId = 1;

  constructor(private readonly url: string, private readonly addresses: readonly string[]) {
    this.#worker = this.#start();
  }

  #start(): Worker {
    const worker = new Worker(this.url, { type: "module", name: STORE_WORKER_NAME });
    worker.onmessage = ({ data }: MessageEvent<StoreEvent>) => this.#on(data);
    worker.onerror = (event) => {
      event.preventDefault();
      if (this.#worker === worker) this.#end(`its Worker ended: ${event.message}`);
    };
    worker.postMessage({ type: "open", addresses: this.addresses } satisfies StoreCommand);
    return worker;
  }

  open(address: string): ObjectStore {
    const store = this.addresses.indexOf(address);
    const read = (command: Read | ReadAll, options: ReadOptions) =>
      this.#read(store, command, options.signal);
    return {
      // Opening makes no request; it knows the name without the secrets.
      origin: openStore(address).origin,
      readRange: async (name, range, options = {}) => {
        const noCache = options.noCache ?? false;
        return (await read({ type: "read", name, ranges: [range], noCache }, options))[0]!.bytes;
      },
      readAll: async (name, maxBytes, options = {}) =>
        (await read({ type: "readAll", name, maxBytes }, options))[0]!.bytes,
      readHashed: (name, ranges, options = {}) =>
        read({ type: "read", name, ranges, noCache: options.noCache ?? false }, options),
      retries: () => sum(this.#earlier[store], this.#retries[store]),
    };
  }

  close(): void {
    this.#isClosed = true;
    this.#end(CLOSED);
  }

  /** An aborted read ends when the Worker has ended it: until then its bytes are somewhere, and stay counted. */
  #read(
    store: number,
    command: Read | ReadAll,
    signal: AbortSignal | undefined,
  ): Promise<HashedBlock[]> {
    if (this.#isClosed) return Promise.reject(failure(CLOSED));
    const worker = this.#worker ??= this.#start();
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<HashedBlock[]>();
    this.#pending.set(id, { store, resolve, reject });
    const send = (c: StoreCommand) => worker.postMessage(c);
    const abort = () => send({ type: "cancel", id });
    send({ ...command, id, store });
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    return promise.finally(() => signal?.removeEventListener("abort", abort));
  }

  #on(event: StoreEvent): void {
    const pending = this.#pending.get(event.id);
    if (pending === undefined) return;
    this.#pending.delete(event.id);
    this.#retries[pending.store] = event.retries;
    if (event.type === "bytes") pending.resolve(event.blocks);
    else pending.reject(fromWire(event.error));
  }

  #end(rule: string): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    for (const { reject } of this.#pending.values()) reject(failure(rule));
    this.#pending.clear();
    for (const store of this.addresses.keys()) {
      this.#earlier[store] = sum(this.#earlier[store], this.#retries[store]);
      this.#retries[store] = undefined;
    }
  }
}

const CLOSED = "it was closed";

function failure(rule: string): MoqeError {
  return new MoqeError("unavailable", { action: "read from the store", rule });
}

function sum(...counts: (RetryCounts | undefined)[]): RetryCounts {
  const total = noRetries();
  for (const reason of Object.keys(total) as (keyof RetryCounts)[]) {
    for (const some of counts) total[reason] += some?.[reason] ?? 0;
  }
  return total;
}
