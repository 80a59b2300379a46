/** What `serve` gives the HTTP application, made from its flags. */
import type { Values } from "../base/config.ts";
import { errorText, MoqeError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { Access } from "../http/access/access.ts";
import { TrustedProxies } from "../http/access/address.ts";
import { parseKeys, readKeyFile } from "../http/access/keys.ts";
import { UsageMeter, usageSchema, type UsageSnapshot } from "../http/access/meter.ts";
import { GlossaryStore } from "../http/deepl/glossary_store.ts";
import { DocumentDesk } from "../http/documents/desk.ts";
import { Gate } from "../http/gate.ts";
import type { HttpOptions } from "../http/options.ts";
import { StateFolder } from "../http/state.ts";
import { DETECTOR_BYTES } from "../text/detect.ts";
import type { serveFlags } from "./flags.ts";

/** How often the usage of keys is written. */
const SAVE_MS = 10_000;
const USAGE = "usage";
/** A translated document waits so long to be fetched. */
const KEEP_MS = 3_600_000;
/** Documents that are translated, and that come in, at once. */
const RUNNING_DOCUMENTS = 2;
const MOST_UPLOADS = 2;
/** Glossaries of all keys together; DeepL allows an account as many. */
const MOST_GLOSSARIES = 1000;

/** The application's options, and what must be written when the service ends. */
export interface Service {
  readonly options: HttpOptions;
  /** Writes what is not written yet, and writes no more. Never throws. */
  close(): Promise<void>;
}

/** Reads keys and kept state. Throws MoqeError `bad_input`. */
export async function openService(flags: Values<typeof serveFlags>, log: Logger): Promise<Service> {
  const folder = new StateFolder(flags.state);
  const kept = await folder.readAll([USAGE]);
  const keys = [
    ...flags.keys === undefined ? [] : await readKeyFile(flags.keys),
    ...flags.keysJson === undefined ? [] : parseKeys(flags.keysJson, "MOQE_KEYS_JSON"),
  ];
  const glossaries = new GlossaryStore(folder, {
    maxGlossaries: MOST_GLOSSARIES,
    maxBytes: flags.glossaryMemory,
  });
  glossaries.load(kept);
  const gate = new Gate(flags.maxRequests);
  const meter = new UsageMeter(undefined, await readUsage(folder, log));
  const save = saver(folder, meter, log);
  const timer = setInterval(save, SAVE_MS);
  return {
    options: {
      limits: {
        maxBodyBytes: flags.maxBody,
        maxTexts: flags.maxTexts,
        maxChars: flags.maxChars,
        bodyTimeoutMs: flags.bodyTimeout === 0 ? undefined : flags.bodyTimeout,
        requestTimeoutMs: flags.requestTimeout === 0 ? undefined : flags.requestTimeout,
      },
      defaults: {
        beams: flags.beams,
        lengthPenalty: flags.lengthPenalty,
        maxTokens: flags.maxTokens,
      },
      gate,
      log,
      access: new Access({ keys, anonymousPerMinute: flags.rate, meter }),
      proxies: new TrustedProxies(flags.trustedProxies),
      corsOrigins: flags.cors.map(checkedOrigin),
      admin: flags.adminPort > 0 ? "apart" : keys.length > 0 ? "key" : "open",
      glossaries,
      desk: new DocumentDesk({
        maxBytes: flags.documentMemory,
        maxDocumentBytes: flags.maxDocument,
        keepMs: KEEP_MS,
        maxRunning: RUNNING_DOCUMENTS,
      }, gate),
      uploads: new Gate(MOST_UPLOADS),
      detection: flags.detection === "on",
    },
    async close() {
      clearInterval(timer);
      await save();
    },
  };
}

/** An origin as browsers send it. Throws MoqeError `bad_input` for one that no page would ever match. */
function checkedOrigin(origin: string): string {
  if (/^(?:\*|null|[a-z][a-z0-9+.-]*:\/\/[^\s/?#]+)$/.test(origin)) return origin;
  throw new MoqeError("bad_input", {
    action: "read --cors",
    rule: "each must be an origin without a path, as https://a.example, or *",
    observed: JSON.stringify(origin.slice(0, 60)),
  });
}

/** What the service may hold at most besides requests, for the ledger. */
export function serviceBytes(flags: Values<typeof serveFlags>): number {
  const detection = flags.detection === "on" ? DETECTOR_BYTES : 0;
  return detection + flags.documentMemory + flags.glossaryMemory;
}

/**
 * The counts that were kept. A file that cannot be read or holds none is no reason to serve nobody: it is kept aside
 * and told, and counts start at 0. Throws MoqeError `bad_input` where it cannot be kept aside.
 */
async function readUsage(folder: StateFolder, log: Logger): Promise<UsageSnapshot | undefined> {
  let rule: string;
  try {
    const kept = await folder.read(USAGE);
    if (kept === undefined) return undefined;
    const parsed = usageSchema.safeParse(kept);
    if (parsed.success) return parsed.data;
    rule = parsed.error.issues.map((i) => `${i.path.join(".")}: ${i.message}`).join("; ");
  } catch (thrown) {
    rule = errorText(thrown);
  }
  const file = folder.fileOf(USAGE), keptAs = await folder.setAside(USAGE);
  log.warn("the usage of keys cannot be read and starts at 0", { file, keptAs, error: rule });
  return undefined;
}

/** Writes the counts where they have changed since the last time. */
function saver(folder: StateFolder, meter: UsageMeter, log: Logger): () => Promise<void> {
  let written = JSON.stringify(meter.snapshot());
  return async () => {
    const snapshot = meter.snapshot();
    const text = JSON.stringify(snapshot);
    if (text === written) return;
    try {
      await folder.write(USAGE, snapshot);
      written = text;
    } catch (thrown) {
      log.warn("the usage of keys could not be written", { error: errorText(thrown) });
    }
  };
}
