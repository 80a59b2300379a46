/** The store Worker: requests, bodies and hashes of remote stores, away from the thread that computes. */
import { createHash } from "node:crypto";
import { isWorkerNamed } from "../base/workers.ts";
import type { ObjectStore } from "../store/contract.ts";
import { openStore } from "../store/open.ts";
import { readParts } from "../store/read_parts.ts";
import { STORE_WORKER_NAME, type StoreCommand, type StoreEvent } from "./store_protocol.ts";
import { toWire } from "./wire.ts";

interface WorkerScope {
  onmessage: ((message: MessageEvent<StoreCommand>) => void) | null;
  postMessage(event: StoreEvent, transfer: Transferable[]): void;
}

/** Takes over this Worker's messages. */
export function serveStoreWorker(): void {
  const scope = globalThis as unknown as WorkerScope;
  const running = new Map<number, AbortController>();
  let stores: ObjectStore[] = [];

  const read = async (command: StoreCommand & { type: "read" | "readAll" }) => {
    const { id } = command, store = stores[command.store]!;
    const stop = new AbortController();
    running.set(id, stop);
    try {
      const all = await bytesOf(store, command, stop.signal);
      const blocks = all.map((bytes) => ({ bytes, sha256: sha256(bytes) }));
      const retries = store.retries?.();
      scope.postMessage({ type: "bytes", id, blocks, retries }, all.map((b) => b.buffer));
    } catch (error) {
      const retries = store.retries?.();
      scope.postMessage({ type: "error", id, error: toWire(error), retries }, []);
    } finally {
      running.delete(id);
    }
  };

  scope.onmessage = ({ data: command }) => {
    if (command.type === "open") stores = command.addresses.map((a) => openStore(a));
    else if (command.type === "cancel") running.get(command.id)?.abort();
    else read(command);
  };
}

async function bytesOf(
  store: ObjectStore,
  command: StoreCommand & { type: "read" | "readAll" },
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>[]> {
  const { name } = command;
  if (command.type === "readAll") return [await store.readAll(name, command.maxBytes, { signal })];
  const parts = command.ranges.map(({ offset, length }) => ({
    offset,
    into: new Uint8Array(length),
  }));
  await readParts(store, name, parts, { signal, noCache: command.noCache });
  return parts.map((p) => p.into);
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

if (isWorkerNamed(STORE_WORKER_NAME)) serveStoreWorker();
