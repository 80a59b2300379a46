/** Opens a packed model and brings it to life: what runs inside the engine's Worker. */
import { MoqeError } from "../base/errors.ts";
import { Ledger } from "../base/ledger.ts";
import { PAGE_TOKENS } from "../backend/contract.ts";
import { ChatTemplates } from "../text/chat_template.ts";
import type { InputObserver } from "../nn/context.ts";
import { createLogger } from "../base/log.ts";
import type { PolicyFactory } from "../experts/contract.ts";
import { StoreFetcher } from "../store/fetcher.ts";
import { type OpenedModel, openModel } from "../store/open.ts";
import { type Manifest, pairSides } from "../store/manifest.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";
import { readTokenizer } from "../text/tokenizer_bytes.ts";
import { assemble, type Assembly } from "./assemble.ts";
import { contextTokens, MAX_TARGET_TOKENS, sourceTokens } from "./budget.ts";
import { chatEnds, chatPairs } from "./chat_model.ts";
import { Generator } from "./generator.ts";
import { Foresight } from "./foresight.ts";
import { chooseDevice, createBackend } from "./device.ts";
import { hostNeed, reserveHost, reserveRequest, widestBlock } from "./host_budget.ts";
import type {
  EngineOptions,
  EngineStats,
  GenerateOptions,
  GenerateParams,
  Generation,
  ModelInfo,
  TranslateOptions,
  TranslateParams,
  Translation,
} from "./protocol.ts";
import { Scheduler } from "./scheduler.ts";
import { batchInvariant } from "./self_test.ts";
import { openStorePort, type StorePort } from "./store_port.ts";
import { openTiers } from "./tiers.ts";
import { Translator } from "./translator.ts";

/** A model that answers. */
export interface LoadedEngine {
  readonly info: ModelInfo;
  translate(params: TranslateParams, options?: TranslateOptions): Promise<Translation[]>;
  generate(params: GenerateParams, options?: GenerateOptions): Promise<Generation>;
  stats(): EngineStats;
  /** Resolves when the device is gone: nothing can be answered any more, and `abandon` is due. */
  readonly lost: Promise<MoqeError>;
  /** Resident memory before anything of the model was read. */
  readonly rssBytes: number;
  /** What it runs on, whatever was asked for. */
  readonly device: "cpu" | "webgpu";
  /** Answers every request with `why`, then gives everything back. */
  abandon(why: MoqeError): Promise<void>;
  /** Finishes what was accepted, then gives everything back. */
  close(): Promise<void>;
}

/** What cannot cross a thread, and what a first start knows. */
export interface Inside {
  policy?: PolicyFactory | undefined;
  observer?: InputObserver | undefined;
  /** In place of opening what the options name. */
  device?: typeof chooseDevice | undefined;
  /** What an engine before this one measured; measured now unless given. */
  rssBytes?: number | undefined;
}

/**
 * Loads a model. `onProgress` is told of trunk bytes; `inside` is what cannot cross a thread. Throws MoqeError:
 * `over_budget` with the least budget that would do, `corrupt`, `unavailable`, `unsupported`.
 */
export async function loadEngine(
  options: EngineOptions,
  onProgress: (doneBytes: number, totalBytes: number) => void,
  inside: Inside = {},
): Promise<LoadedEngine> {
  const stores = openStorePort([options.model, ...options.mirrors ?? []]);
  try {
    const engine = await load(options, onProgress, inside, stores);
    const close = () => engine.close().finally(() => stores?.close());
    const abandon = (why: MoqeError) => engine.abandon(why).finally(() => stores?.close());
    return { ...engine, close, abandon };
  } catch (error) {
    stores?.close();
    throw error;
  }
}

async function load(
  options: EngineOptions,
  onProgress: (doneBytes: number, totalBytes: number) => void,
  inside: Inside,
  stores: StorePort | undefined,
): Promise<LoadedEngine> {
  const device = await (inside.device ?? chooseDevice)(options.device);
  // A load that fails is tried again, each time with a device of its own.
  const destroy = (error: unknown): never => {
    device.opened?.device.destroy();
    throw error;
  };
  const rssBytes = inside.rssBytes ?? Deno.memoryUsage().rss;
  const model = await prepare(options, rssBytes, stores).catch(destroy);
  const made = await createBackend(device, model.ledger, options.threads).catch(destroy);
  return await bringToLife(model, made, { options, onProgress, inside, rssBytes }).catch(
    (error) => {
      // Threads that wait for work would outlive the Worker.
      made.backend.close();
      throw error;
    },
  );
}

/** What a model needs before any of its weights is read. */
async function prepare(
  options: EngineOptions,
  rssBytes: number,
  stores: StorePort | undefined,
) {
  const ledger = new Ledger({ gpuBytes: options.gpuMemory, hostBytes: options.hostMemory });
  const opened = await openModel(options.model, {
    mirrors: options.mirrors,
    manifestSha256: options.manifestSha256,
    open: stores && ((address) => stores.open(address)),
  });
  const { manifest, store, mirrors } = opened;
  const tokenizer = await openTokenizer(opened);
  const templates = new ChatTemplates(manifest.chatTemplates ?? [], tokenizer.named);
  const need = hostNeed(manifest, {
    rssBytes,
    manifestBytes: opened.manifestBytes,
    tokenizerBytes: tokenizer.hostBytes + templates.hostBytes,
    threads: options.threads + (stores === undefined ? 0 : 1),
    serviceBytes: options.serviceBytes,
    shared: options.shared,
  });
  reserveHost(ledger, need, manifest.name, options.shared);
  const log = createLogger("warn");
  const tiers = await openTiers(options, { ledger, manifest, log });
  const foresight = await Foresight.open(options, { manifest, store, log });
  const fetcher = new StoreFetcher(store, manifest, ledger, { mirrors, tiers: tiers.list });
  return { ledger, manifest, tokenizer, templates, tiers, foresight, fetcher };
}

/** Trunk and arenas onto the backend, and what answers requests. Who calls it closes the backend if it throws. */
async function bringToLife(
  { ledger, manifest, tokenizer, templates, tiers, foresight, fetcher }: Awaited<
    ReturnType<typeof prepare>
  >,
  { backend, description }: Awaited<ReturnType<typeof createBackend>>,
  of: {
    options: EngineOptions;
    onProgress: (doneBytes: number, totalBytes: number) => void;
    inside: Inside;
    rssBytes: number;
  },
): Promise<LoadedEngine> {
  const { options, inside } = of;
  const assembly = await assemble(manifest, { ledger, backend, fetcher }, {
    ...options,
    policy: inside.policy ?? foresight.policy,
    observer: inside.observer,
    onProgress: of.onProgress,
  });
  foresight.attach(assembly.residency);
  const { model } = assembly, isChat = assembly.spec.source.kind === "chat";
  const spec = isChat ? chatEnds(assembly.spec, manifest, tokenizer) : assembly.spec;
  const maxContextTokens = Math.min(
    assembly.budget.pages * PAGE_TOKENS,
    contextTokens(spec, options),
  );
  const scheduler = new Scheduler(model, spec, {
    maxRows: assembly.budget.maxRows,
    maxQueue: options.maxQueue,
    onRunning: (languages) => foresight.running(languages),
    onEncoding: () => foresight.encoding(),
  });
  const pairs = isChat ? chatPairs(manifest) : manifest.pairs;
  const translator = new Translator(tokenizer, scheduler, { pairs }, spec, templates, {
    maxSourceTokens: sourceTokens(spec, options),
    maxTargetTokens: Math.min(
      MAX_TARGET_TOKENS,
      Math.floor(spec.embedding.maxPositions / (isChat ? 2 : 1)),
    ),
    ...isChat ? { maxContextTokens } : {},
  });
  const keepBytes = widestBlock(manifest);
  const info = describe({ ...manifest, pairs: [...pairs] }, {
    device: description,
    batchInvariant: await batchInvariant(backend, model.probe),
    limits: { ...translator.limits, maxQueue: options.maxQueue },
  });
  const generator = new Generator({
    tokenizer,
    templates,
    scheduler,
    spec,
    eos: spec.tokens.eos,
    contextTokens: maxContextTokens,
  });
  let closed: Promise<void> | undefined;
  // Also those that are still being made ready, of which the scheduler does not know yet.
  const accepted = new Set<Promise<unknown>>();
  const accept = async <T>(texts: readonly string[], run: () => Promise<T>): Promise<T> => {
    const held = reserveRequest(ledger, [...texts], keepBytes), work = run();
    accepted.add(work);
    try {
      return await work;
    } finally {
      accepted.delete(work);
      held.release();
    }
  };
  const giveBack = async () => {
    while (accepted.size > 0) await Promise.allSettled(accepted);
    await scheduler.idle();
    await foresight.close();
    await tiers.close();
    assembly.free();
    backend.close();
  };
  const close = () => closed ??= giveBack();
  // Who closes wants no other in its place, even if the device goes meanwhile.
  const { promise: lost, resolve } = Promise.withResolvers<MoqeError>();
  backend.lost.then((why) => closed === undefined && resolve(why));
  return {
    info,
    translate: (params, o) => accept(params.texts, () => translator.translate(params, o)),
    generate: (params, o) => {
      const texts = [
        params.prompt ?? "",
        ...params.messages === undefined ? [] : [JSON.stringify(params.messages)],
      ];
      return accept(texts, () => generator.generate(params, o));
    },
    stats: () => ({
      ...statsOf(ledger, assembly, fetcher, scheduler),
      tiers: tiers.stats(),
      prefetch: foresight.stats(),
    }),
    lost,
    rssBytes: of.rssBytes,
    device: backend.name,
    async abandon(why) {
      scheduler.failAll(why);
      await close();
    },
    close,
  };
}

/**
 * Reads tokenizer.json through a verifying fetcher of its own: how much the tokenizer holds is known only once
 * it is there, and the least host budget must name it.
 */
async function openTokenizer({ manifest, store, mirrors }: OpenedModel): Promise<TextTokenizer> {
  const { block, config } = manifest.tokenizer;
  const room = new Ledger({ gpuBytes: 0, hostBytes: block.length });
  const { bytes, release } = await new StoreFetcher(store, manifest, room, { mirrors }).fetch(
    block,
  );
  try {
    return readTokenizer(bytes, config);
  } finally {
    release();
  }
}

function describe(
  manifest: Manifest,
  more: Pick<ModelInfo, "device" | "batchInvariant" | "limits">,
): ModelInfo {
  return {
    name: manifest.name,
    modelType: manifest.config.model_type,
    pairs: manifest.pairs.map(pairSides),
    licence: manifest.licence,
    provenance: manifest.provenance,
    ...more,
  };
}

function statsOf(
  ledger: Ledger,
  assembly: Assembly,
  fetcher: StoreFetcher,
  scheduler: Scheduler,
): Omit<EngineStats, "tiers" | "prefetch"> {
  return {
    ledger: ledger.snapshot(),
    experts: assembly.residency.stats(),
    fetch: fetcher.stats(),
    ...scheduler.stats(),
  };
}
