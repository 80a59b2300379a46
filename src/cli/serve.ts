/** moqe serve: the HTTP service with its engine, from the first line to the clean end. */
import type { Values } from "../base/config.ts";
import { errorText, MoqeError } from "../base/errors.ts";
import { createLogger, type Logger, redact } from "../base/log.ts";
import { formatBytes, formatSeconds } from "../base/units.ts";
import { startEngines } from "../engine/fleet.ts";
import type { Engine, EngineOptions, ModelInfo } from "../engine/protocol.ts";
import { createAdminApp, createApp } from "../http/app.ts";
import { HttpMetrics } from "../http/metrics.ts";
import type { HttpOptions } from "../http/options.ts";
import { listen, type Listening } from "../http/server.ts";
import { codeOf } from "../text/languages.ts";
import { EXIT, type Invocation } from "./command.ts";
import type { serveFlags } from "./flags.ts";
import { listenForInterrupt, orAborted } from "./interrupt.ts";
import { engineOptions, modelAddresses } from "./model.ts";
import { pairText } from "./pairs.ts";
import { usage } from "./parse.ts";
import { openService, serviceBytes } from "./service.ts";

/** The host budget where none is given: that of one model, and what each further one takes. */
const HOST_MEMORY = 512 * 2 ** 20;
const FURTHER_MODEL = 128 * 2 ** 20;
/** How often the engine's state is looked at after start. */
const WATCH_MS = 1000;
/** Pairs that the ready line names. */
const PAIRS_SHOWN = 8;

/** Runs the command until a signal ends it or the engine fails. */
export async function serve({ flags }: Invocation<typeof serveFlags>): Promise<number> {
  const log = createLogger(flags.logLevel);
  const service = await openService(flags, log);
  try {
    return await run(flags, service.options);
  } finally {
    await service.close();
  }
}

async function run(flags: Values<typeof serveFlags>, service: HttpOptions): Promise<number> {
  if (flags.port > 0 && flags.adminPort === flags.port && flags.adminHost === flags.host) {
    throw usage({ name: "serve" }, "--admin-port needs a port of its own");
  }
  using interrupt = listenForInterrupt();
  const models = oneOrMore(flags);
  const options = {
    ...engineOptions({ ...flags, model: models[0], hostMemory: hostMemory(flags, models.length) }),
    serviceBytes: serviceBytes(flags),
    idleUnloadMs: flags.idleUnload,
  };
  const engine = startEngines(models, options);
  const doors = await open(engine, flags, service);
  const { listening } = doors;
  console.log(`moqe: listening on ${listening.url}, loading ${models.map(redact).join(", ")}`);
  try {
    const info = await orAborted(engine.ready, interrupt.signal);
    console.log(readyText(info, listening.url, options, service.access.keyRequired));
    await failureOf(engine, interrupt.signal);
  } catch (thrown) {
    if (!interrupt.signal.aborted) throw thrown;
  }
  return await drain(engine, doors, flags.drainTimeout, service.log);
}

/** Addresses of the models. Throws MoqeError `bad_input` for several where a flag is about one. */
function oneOrMore(flags: Values<typeof serveFlags>): [string, ...string[]] {
  const models = modelAddresses(flags.model);
  if (models.length === 1) return models;
  const about = {
    "--mirror": flags.mirror.length > 0,
    "--manifest-sha256": flags.manifestSha256 !== undefined,
  };
  const of = Object.entries(about).find(([, isGiven]) => isGiven)?.[0];
  if (of === undefined) return models;
  throw new MoqeError("bad_input", {
    action: `serve ${models.length} models with ${of}`,
    rule: "it is about one model",
    remedy: "name that one with --model, or leave it out",
  });
}

/** The host budget of so many models. */
function hostMemory(flags: Values<typeof serveFlags>, models: number): number {
  return flags.hostMemory ?? HOST_MEMORY + (models - 1) * FURTHER_MODEL;
}

/** The service on its ports. */
interface Doors {
  readonly listening: Listening;
  /** What listens for whoever runs the service, where that has a port of its own. */
  readonly admin: Listening | undefined;
}

/** Takes the ports before the model is read: a busy one is told at once. */
async function open(
  engine: Engine,
  flags: Values<typeof serveFlags>,
  options: HttpOptions,
): Promise<Doors> {
  const metrics = new HttpMetrics();
  const app = createApp(engine, options, metrics);
  try {
    const listening = await listen((r, env) => app.fetch(r, env), flags, options.gate);
    if (options.admin !== "apart") return { listening, admin: undefined };
    const admin = createAdminApp(engine, options, metrics);
    const address = { host: flags.adminHost, port: flags.adminPort };
    return {
      listening,
      admin: await listen((r, env) => admin.fetch(r, env), address, options.gate),
    };
  } catch (thrown) {
    await engine.close();
    throw thrown;
  }
}

/** Settles only when the engine dies: a supervisor then starts the service anew. Rejects when interrupted. */
function failureOf(engine: Engine, signal: AbortSignal): Promise<never> {
  let timer: ReturnType<typeof setInterval> | undefined;
  const failed = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      if (engine.state !== "failed" && engine.state !== "closed") return;
      reject(
        new MoqeError("unavailable", {
          action: "go on serving",
          rule: "the engine has stopped",
          remedy: "the log may say why; start the service again",
        }),
      );
    }, WATCH_MS);
  });
  return orAborted(failed, signal).finally(() => clearInterval(timer));
}

/** Finishes what was accepted, within the time given. */
async function drain(
  engine: Engine,
  { listening, admin }: Doors,
  timeoutMs: number,
  log: Logger,
): Promise<number> {
  console.log(
    `moqe: draining for at most ${formatSeconds(timeoutMs / 1000)}; a second signal ends at once`,
  );
  const start = performance.now();
  const finished = await listening.drain(timeoutMs);
  const seconds = formatSeconds((performance.now() - start) / 1000);
  await admin?.drain(0);
  if (!finished) {
    log.warn("drain timed out; requests were cut off", { after: seconds });
    return EXIT.failure;
  }
  await engine.close().catch((thrown) => log.warn("engine", { error: errorText(thrown) }));
  console.log(`moqe: everything accepted was answered (${seconds}); bye`);
  return EXIT.ok;
}

/** Where, what, for whom, within what, and a line to try. */
/** What is tried first, in the languages of the models that ship. */
const SAMPLES: Readonly<Record<string, string>> & { readonly en: string } = {
  en: "The file could not be opened.",
  de: "Die Datei konnte nicht geöffnet werden.",
  fr: "Impossible de lire le fichier.",
  es: "No se puede abrir el archivo.",
};

function readyText(
  info: ModelInfo,
  url: string,
  options: EngineOptions,
  needsKey: boolean,
): string {
  const pairs = info.pairs.slice(0, PAIRS_SHOWN).map(pairText);
  if (info.pairs.length > pairs.length) {
    pairs.push(`and ${info.pairs.length - pairs.length} more`);
  }
  const { source, target } = info.pairs[0]!;
  const body = JSON.stringify({
    q: SAMPLES[codeOf(source)] ?? SAMPLES.en,
    source: codeOf(source),
    target: codeOf(target),
  });
  const facts = [
    info.name,
    pairs.join(" "),
    `licence ${info.licence.id}`,
    info.device,
    `gpu-memory ${formatBytes(options.gpuMemory)}`,
    `host-memory ${formatBytes(options.hostMemory)}`,
    info.batchInvariant ? "batch-invariant" : "NOT batch-invariant on this machine",
  ];
  return `moqe: ready on ${url}: ${facts.join(", ")}\n` +
    `try: curl -s ${url}/translate ${needsKey ? "-H 'Authorization: Bearer KEY' " : ""}` +
    `-H 'Content-Type: application/json' -d '${body}'`;
}
