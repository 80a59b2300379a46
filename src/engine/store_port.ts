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

class WorkerStores implements StorePort {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #retries: (RetryCounts | undefined)[] = [];
  #failure: MoqeError | undefined;
  #nextId = 1;

  constructor(url: string, private readonly addresses: readonly string[]) {
    this.#worker = new Worker(url, { type: "module", name: STORE_WORKER_NAME });
    this.#worker.onmessage = ({ data }: MessageEvent<StoreEvent>) => this.#on(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end(`its Worker ended: ${event.message}`);
    };
    this.#send({ type: "open", addresses });
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
      retries: () => this.#retries[store] ?? noRetries(),
    };
  }

  close(): void {
    this.#end("it was closed");
  }

  #send(command: StoreCommand): void {
    this.#worker.postMessage(command);
  }

  /** An aborted read ends when the Worker has ended it: until then its bytes are somewhere, and stay counted. */
  #read(
    store: number,
    command: Read | ReadAll,
    signal: AbortSignal | undefined,
  ): Promise<HashedBlock[]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<HashedBlock[]>();
    this.#pending.set(id, { store, resolve, reject });
    const abort = () => this.#send({ type: "cancel", id });
    this.#send({ ...command, id, store });
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
    this.#failure ??= new MoqeError("unavailable", { action: "read from the store", rule });
    this.#worker.terminate();
    for (const { reject } of this.#pending.values()) reject(this.#failure);
    this.#pending.clear();
  }
}
