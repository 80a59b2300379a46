/** Opens stores and models by their address. */
import { createHash } from "node:crypto";
import { MoqeError } from "../base/errors.ts";
import type { ObjectStore } from "./contract.ts";
import { FileStore } from "./file_store.ts";
import type { HttpOptions } from "./http_client.ts";
import { HttpStore } from "./http_store.ts";
import { s3Place } from "./s3_address.ts";
import { S3Store } from "./s3_store.ts";
import { type Manifest, MANIFEST_NAME, parseManifest } from "./manifest.ts";

/** NLLB-MoE-54B's manifest has about 1 MB. */
const MAX_MANIFEST_BYTES = 64 * 2 ** 20;

/** A path, or a URL of file:, http(s): or s3:. Throws MoqeError `unsupported` for other schemes. */
export function openStore(address: string, http: HttpOptions = {}): ObjectStore {
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(address)?.[1]?.toLowerCase();
  if (scheme === undefined) return new FileStore(trimSlashes(address));
  if (scheme === "file") return new FileStore(trimSlashes(filePath(address)));
  if (scheme === "http" || scheme === "https") return new HttpStore(httpUrl(address), http);
  if (scheme === "s3") return new S3Store(s3Place(address), http);
  throw new MoqeError("unsupported", {
    action: "open a model",
    rule: "an address is a folder, or a URL of file:, http:, https: or s3:",
    observed: `${scheme}:`,
    remedy: scheme === "hf"
      ? "pack it first: moqe pack hf://ORG/NAME OUT --pairs en-de"
      : undefined,
  });
}

/** Whatever is wrong with it, the address stays out of the message: it may hold a password or a signature. */
function httpUrl(address: string): URL {
  try {
    const url = new URL(address);
    decodeURIComponent(url.username);
    decodeURIComponent(url.password);
    return url;
  } catch {
    throw new MoqeError("bad_input", {
      action: "open a model",
      rule: "its address is no URL: a host name, a port up to 65535, % only as in %25",
    });
  }
}

/** A store to write a model to: a path, a file: URL, or s3://bucket/prefix. Throws MoqeError `unsupported`. */
export function openWritableStore(address: string, http: HttpOptions = {}): FileStore | S3Store {
  const store = openStore(address, http);
  if (store instanceof FileStore || store instanceof S3Store) return store;
  throw new MoqeError("unsupported", {
    action: "write a model",
    rule: "it is written to a folder, a file: URL or s3://bucket/prefix",
    observed: store.origin,
  });
}

export interface OpenedModel {
  readonly manifest: Manifest;
  readonly store: ObjectStore;
  readonly mirrors: readonly ObjectStore[];
  /** Of manifest.json as read. */
  readonly manifestSha256: string;
  /** Bytes of manifest.json's text, for the ledger. */
  readonly manifestBytes: number;
}

export interface OpenOptions {
  /** Addresses of the same model. */
  readonly mirrors?: readonly string[] | undefined;
  /** The only manifest to accept; block hashes are only as good as the manifest. */
  readonly manifestSha256?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Opens an address, in place of `openStore`. */
  readonly open?: ((address: string) => ObjectStore) | undefined;
}

/**
 * Reads and checks a model's manifest: from the first address that answers.
 *
 * @throws MoqeError `corrupt` with every fault, or for another hash; `unavailable` where there is no manifest
 */
export async function openModel(address: string, options: OpenOptions = {}): Promise<OpenedModel> {
  const open = options.open ?? ((a: string) => openStore(a));
  const store = open(address), mirrors = (options.mirrors ?? []).map((m) => open(m));
  const bytes = await readManifest([store, ...mirrors], options.signal);
  const manifestSha256 = createHash("sha256").update(bytes).digest("hex");
  const wanted = options.manifestSha256;
  // An empty pin is a pin that nothing meets, not a missing one.
  if (wanted !== undefined && wanted.toLowerCase() !== manifestSha256) {
    throw new MoqeError("corrupt", {
      action: `use the manifest of ${store.origin}`,
      rule: `its sha256 must be ${wanted === "" ? "(empty)" : wanted}`,
      observed: manifestSha256,
      remedy: "check the address and --manifest-sha256",
    });
  }
  const manifest = parseManifest(new TextDecoder().decode(bytes), store.origin);
  return { manifest, store, mirrors, manifestSha256, manifestBytes: bytes.length };
}

/** The first store that has it; what the first one said where none has. */
async function readManifest(
  stores: readonly ObjectStore[],
  signal: AbortSignal | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  let first: unknown;
  for (const store of stores) {
    try {
      return await store.readAll(MANIFEST_NAME, MAX_MANIFEST_BYTES, { signal });
    } catch (error) {
      if (signal?.aborted) throw error;
      first ??= error;
    }
  }
  throw first;
}

/** The path of a file: URL on this machine. */
export function filePath(url: string): string {
  return decodeURIComponent(new URL(url).pathname);
}

function trimSlashes(path: string): string {
  return path.replace(/(?<=.)\/+$/, "");
}
