/** What the engine and its store Worker say to each other: plain messages, blocks transferred and never copied. */
import type { ByteRange, RetryCounts } from "../store/contract.ts";
import type { WireError } from "./protocol.ts";

/** Name of the Worker: a one-file bundle starts itself and tells by this name what it is. */
export const STORE_WORKER_NAME = "moqe-store";

export type StoreCommand =
  /** The stores that reads name by index; the first command. */
  | { type: "open"; addresses: readonly string[] }
  /** One read from the first range to the last one's end; ranges ascend and do not overlap. */
  | {
    type: "read";
    id: number;
    store: number;
    name: string;
    ranges: readonly ByteRange[];
    noCache: boolean;
  }
  | { type: "readAll"; id: number; store: number; name: string; maxBytes: number }
  | { type: "cancel"; id: number };

/** Every read is answered by exactly one of these, also after `cancel`; `retries` are the store's so far. */
export type StoreEvent =
  | {
    type: "bytes";
    id: number;
    blocks: { bytes: Uint8Array<ArrayBuffer>; sha256: string }[];
    retries: RetryCounts | undefined;
  }
  | { type: "error"; id: number; error: WireError; retries: RetryCounts | undefined };
