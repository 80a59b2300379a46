/** Several models behind one Engine: a request goes to the model that was trained for its pair. */
import { MoqeError } from "../base/errors.ts";
import { startEngine } from "./client.ts";
import {
  type Engine,
  type EngineOptions,
  type EngineState,
  type EngineStats,
  type GenerateOptions,
  type GenerateParams,
  type Generation,
  isPrompted,
  type ModelInfo,
  type TranslateOptions,
  type TranslateParams,
  type Translation,
} from "./protocol.ts";
import { shareBudgets } from "./shares.ts";
import { infoOfAll, statsOfAll } from "./sums.ts";

/**
 * Starts an engine for each address; the budgets of `options` are those of all together, in equal shares. Where two
 * models have a pair, the first has it. `model` of the options is not looked at.
 */
export function startEngines(
  models: readonly [string, ...string[]],
  options: Omit<EngineOptions, "model">,
): Engine {
  const [first, ...others] = models;
  if (others.length === 0) return startEngine({ ...options, model: first });
  const shares = shareBudgets(options, models.length, Deno.memoryUsage().rss);
  return new Fleet(models.map((model, i) => startEngine({ ...options, model, ...shares[i] })));
}

/** From the worst on: the fleet is what its worst engine is, but for those that load once more. */
const STATES: readonly EngineState[] = ["failed", "closed", "draining", "loading", "ready"];

/**
 * How long a refusal of a budget waits for those of the other models: each plans before it reads weights, so they come
 * together or not at all.
 */
const REFUSALS_MS = 3000;

/** Every engine is ready; or the refusal of a budget that asks for most, else what failed first. */
async function allReady(engines: readonly Engine[]): Promise<void> {
  const ready = engines.map((e) => e.ready);
  try {
    await Promise.all(ready);
  } catch (first) {
    let worst = first as MoqeError, timer: ReturnType<typeof setTimeout> | undefined;
    if (leastOf(first) === undefined) throw first;
    const others = ready.map((r) =>
      r.catch((error: MoqeError) => {
        if ((leastOf(error) ?? 0) > leastOf(worst)!) worst = error;
      })
    );
    const late = new Promise((resolve) => timer = setTimeout(resolve, REFUSALS_MS));
    await Promise.race([Promise.all(others), late]);
    clearTimeout(timer);
    throw worst;
  }
}

function leastOf(error: unknown): number | undefined {
  return error instanceof MoqeError ? error.parts.leastMiB : undefined;
}

/** Engines as one. */
export class Fleet implements Engine {
  readonly ready: Promise<ModelInfo>;
  readonly #engines: readonly Engine[];
  /** What the infos of the engines come to, kept while they are the same. */
  #known: { infos: readonly ModelInfo[]; info: ModelInfo } | undefined;

  constructor(engines: readonly Engine[]) {
    this.#engines = engines;
    this.ready = allReady(engines).then(() => this.info!);
    // A caller that only polls `state` must not bring the process down.
    this.ready.catch(() => {});
  }

  /** One that lost its device is coming back by itself and refuses its own pairs meanwhile: the others' are answered. */
  get state(): EngineState {
    const there = this.#engines.filter((e) => e.state !== "loading" || e.info === undefined);
    const asked = there.length > 0 ? there : this.#engines;
    return STATES.find((state) => asked.some((e) => e.state === state))!;
  }

  get info(): ModelInfo | undefined {
    const infos = this.#engines.flatMap(({ info }) => info === undefined ? [] : [info]);
    if (infos.length < this.#engines.length) return undefined;
    const isKnown = this.#known?.infos.every((info, i) => info === infos[i]);
    if (!isKnown) this.#known = { infos, info: infoOfAll(infos) };
    return this.#known!.info;
  }

  get loaded(): { doneBytes: number; totalBytes: number } {
    const sum = (of: "doneBytes" | "totalBytes") =>
      this.#engines.reduce((n, e) => n + e.loaded[of], 0);
    return { doneBytes: sum("doneBytes"), totalBytes: sum("totalBytes") };
  }

  translate(params: TranslateParams, options?: TranslateOptions): Promise<Translation[]> {
    const has = ({ info }: Engine) =>
      info?.pairs.some((p) => p.source === params.source && p.target === params.target);
    // A pair that none has, and a model that is not there yet, are the first one's to refuse.
    return (this.#engines.find(has) ?? this.#engines[0]!).translate(params, options);
  }

  /** By the first model that generates; where none does, the first one says so. */
  generate(params: GenerateParams, options?: GenerateOptions): Promise<Generation> {
    const generates = ({ info }: Engine) => info !== undefined && isPrompted(info);
    return (this.#engines.find(generates) ?? this.#engines[0]!).generate(params, options);
  }

  async stats(): Promise<EngineStats> {
    const all = await Promise.all(this.#engines.map((e) => e.stats()));
    return statsOfAll(all, this.#engines.map((e, i) => e.info?.name ?? String(i)));
  }

  async close(): Promise<void> {
    await Promise.all(this.#engines.map((e) => e.close()));
  }
}
