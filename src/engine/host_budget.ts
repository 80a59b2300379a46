/** What the host budget must hold at the least, and what one request takes of it. */
import { MoqeError } from "../base/errors.ts";
import type { Ledger, Reservation } from "../base/ledger.ts";
import { formatBytes } from "../base/units.ts";
import type { Manifest } from "../store/manifest.ts";
import {
  leastHostOfAll,
  MODEL_GROWTH_BYTES,
  RUNTIME_GROWTH_BYTES,
  type Shared,
  sharing,
} from "./shares.ts";

const MIB = 2 ** 20;
/** A further thread: its Worker's V8 heap, stack and compiled kernels (12 MiB measured). */
const THREAD_BYTES = 16 * MIB;
/** A parsed manifest takes about this many times its text. */
const MANIFEST_FACTOR = 4;
/** tokenizer.json while it is parsed: its bytes, its text and the tree of its values. */
const PARSE_FACTOR = 6;
/** Blocks that can be under way at the least: one arrives while another is placed. */
const LEAST_BLOCKS = 2;
/** Room that every budget leaves for requests. */
export const LEAST_REQUEST_BYTES = 8 * MIB;
/** The same program starts with some MiB more or less; the budget named in a refusal must do every time. */
const START_VARIES_BYTES = 8 * MIB;
/** A character as text on both threads, as sentences, as tokens and as its translation's; a text's own objects. */
const BYTES_A_CHAR = 32;
const BYTES_A_TEXT = 4096;

/** Parts of the least host budget. */
export interface HostNeed {
  readonly runtimeBytes: number;
  readonly manifestBytes: number;
  readonly tokenizerBytes: number;
  /** Blocks under way, or the tokenizer while it is parsed: never both. */
  readonly fetchingBytes: number;
  readonly requestBytes: number;
  readonly serviceBytes: number;
}

/** What a model needs. `rssBytes` is the process's before anything of the model was read. */
export function hostNeed(
  manifest: Manifest,
  of: {
    rssBytes: number;
    manifestBytes: number;
    tokenizerBytes: number;
    threads: number;
    serviceBytes?: number | undefined;
    shared?: Shared | undefined;
  },
): HostNeed {
  return {
    runtimeBytes: processBytes(of) + (of.threads - 1) * THREAD_BYTES,
    manifestBytes: of.manifestBytes * MANIFEST_FACTOR,
    tokenizerBytes: of.tokenizerBytes,
    fetchingBytes: Math.max(
      LEAST_BLOCKS * widestBlock(manifest),
      PARSE_FACTOR * manifest.tokenizer.block.length,
    ),
    requestBytes: LEAST_REQUEST_BYTES,
    serviceBytes: of.serviceBytes ?? 0,
  };
}

/** What the process itself takes, in the account of this model. */
function processBytes(of: {
  rssBytes: number;
  serviceBytes?: number | undefined;
  shared?: Shared | undefined;
}): number {
  const { rssBytes, serviceBytes = 0, shared } = of;
  if (shared === undefined) return rssBytes + RUNTIME_GROWTH_BYTES;
  return (shared.first ? shared.processBytes - serviceBytes : 0) + MODEL_GROWTH_BYTES;
}

/** Bytes of the largest block that is ever fetched while the engine works. */
export function widestBlock(manifest: Manifest): number {
  let widest = 0;
  for (const t of manifest.trunk) for (const b of t.blocks) widest = Math.max(widest, b.length);
  for (const l of manifest.expertLayers) {
    for (const e of l.experts) widest = Math.max(widest, e.block.length);
  }
  return widest;
}

/** Bytes of all parts together. */
function leastHost(need: HostNeed): number {
  return need.runtimeBytes + need.manifestBytes + need.tokenizerBytes + need.fetchingBytes +
    need.requestBytes + need.serviceBytes;
}

/** The --host-memory in MiB that a refusal asks for; `shared`: of all models of the process. */
export function leastHostMiB(need: HostNeed, shared?: Shared): number {
  return Math.ceil((leastHostOfAll(shared, leastHost(need)) + START_VARIES_BYTES) / MIB);
}

/**
 * Puts what stays for good on the ledger.
 *
 * @throws MoqeError `over_budget` with the least --host-memory that does, before a weight is read
 */
export function reserveHost(
  ledger: Ledger,
  need: HostNeed,
  name: string,
  shared?: Shared,
): void {
  const { budgetBytes } = ledger.snapshot().host;
  if (budgetBytes < leastHost(need)) {
    const leastMiB = leastHostMiB(need, shared);
    throw new MoqeError("over_budget", {
      action: `run ${name} with --host-memory ${formatBytes(shared?.hostMemory ?? budgetBytes)}`,
      rule: `${sharing(shared?.models ?? 1)}the process takes ${
        formatBytes(need.runtimeBytes)
      }, the manifest ${formatBytes(need.manifestBytes)}, the tokenizer ${
        formatBytes(need.tokenizerBytes)
      }, blocks under way ${formatBytes(need.fetchingBytes)} and requests ${
        formatBytes(need.requestBytes)
      }${
        need.serviceBytes === 0
          ? ""
          : `, detection, documents and glossaries ${formatBytes(need.serviceBytes)}`
      }`,
      remedy: `give it --host-memory ${leastMiB}MiB or more`,
      leastMiB,
    });
  }
  ledger.host("runtime", need.runtimeBytes, "the process itself");
  ledger.host("manifest", need.manifestBytes, "the manifest");
  ledger.host("tokenizer", need.tokenizerBytes, "the tokenizer");
  ledger.host("service", need.serviceBytes, "detection, documents and glossaries");
}

/**
 * Takes a request's bytes, leaving `keepBytes` for blocks under way: they must not wait for a request that waits
 * for them. Throws MoqeError `overloaded`, or `too_large` for what would not fit alone either.
 */
export function reserveRequest(
  ledger: Ledger,
  texts: readonly string[],
  keepBytes: number,
): Reservation {
  const bytes = texts.reduce((sum, t) => sum + BYTES_A_TEXT + BYTES_A_CHAR * t.length, 0);
  if (ledger.hasHostRoom(bytes + keepBytes)) {
    return ledger.host("requests", bytes, "a request");
  }
  const { budgetBytes, lines } = ledger.snapshot().host;
  const forGood = lines.runtime + lines.manifest + lines.tokenizer + lines.service;
  const action = `hold a request of ${formatBytes(bytes)}`;
  if (forGood + bytes + keepBytes > budgetBytes) {
    throw new MoqeError("too_large", {
      action,
      rule: `the host budget of ${formatBytes(budgetBytes)} never has so much left`,
      remedy: "send less at once, or raise --host-memory",
    });
  }
  throw new MoqeError("overloaded", {
    action,
    rule: `requests hold ${formatBytes(lines.requests)} of the host budget already`,
    remedy: "try again later",
  }, { retryAfterSeconds: 1 });
}
