/** What one packed model does: its translations of the even dev rows, its bytes, its peak ledger. */
import { floresPair } from "../../src/cli/pairs.ts";
import { startEngine } from "../../src/engine/client.ts";
import type { Engine, EngineOptions } from "../../src/engine/protocol.ts";
import { MANIFEST_NAME, pairSides, parseManifest } from "../../src/store/manifest.ts";

const MIB = 2 ** 20;
/** Texts of one request: below the engine's queue. */
const BATCH = 100;
/** Rows of the run that shows the peak ledger, and its arena: a quarter of the shipped model's experts. */
const LEDGER_ROWS = 24;
export const STATED_SLOTS = 20;

/** Even rows of a dev file (rows are numbered from 1; odd ones tune). */
export interface DevSet {
  /** FLORES codes. */
  source: string;
  target: string;
  sources: string[];
  references: string[];
}

/** All that is kept of a system's run. */
export interface Measured {
  /** Translations by pair and beam width: "en-de 4". */
  outputs: Record<string, string[]>;
  seconds: number;
  bytes: { experts: number; trunk: number; total: number };
  /**
   * With STATED_SLOTS expert slots and beam 4, in bytes: what the model itself holds at its peak (trunk, arena,
   * activations), and with K/V and what the host holds for it (manifest, tokenizer). Left out are the runtime, which
   * is measured and differs from start to start, and the tier that takes whatever memory is left.
   */
  ledger: { model: number; all: number };
}

/** The first `most` even rows of dev.en-XX.tsv, for `pair` en-XX. */
export function devSet(corpus: string, pair: string, most: number): DevSet {
  const lines = Deno.readTextFileSync(`${corpus}/dev.${pair}.tsv`).trimEnd().split("\n");
  const rows = lines.filter((_, i) => i % 2 === 1).slice(0, most).map((l) => l.split("\t"));
  const { source, target } = pairSides(floresPair(pair));
  return { source, target, sources: rows.map((r) => r[0]!), references: rows.map((r) => r[1]!) };
}

/** Every line of a file of the recipe's everyday text, `English TAB German TAB French TAB Spanish`, for `pair` en-XX. */
export function parallelSet(file: string, pair: string): DevSet {
  const column = ["en-de", "en-fr", "en-es"].indexOf(pair) + 1;
  if (column === 0) throw new RangeError(`${file} has no ${pair}`);
  const lines = Deno.readTextFileSync(file).trimEnd().split("\n").map((l) => l.split("\t"));
  const { source, target } = pairSides(floresPair(pair));
  const part = (n: number) => lines.map((l) => l[n]!.trim());
  return { source, target, sources: part(0), references: part(column) };
}

/** Translates every dev set with every beam width. */
export async function measure(
  model: string,
  beams: readonly number[],
  sets: Readonly<Record<string, DevSet>>,
): Promise<Measured> {
  const start = performance.now();
  const outputs: Record<string, string[]> = {};
  await withEngine(model, { maxBatchTokens: 512 }, async (engine) => {
    for (const [pair, { source, target, sources }] of Object.entries(sets)) {
      for (const width of beams) {
        const settings = { source, target, beams: width };
        outputs[`${pair} ${width}`] = await translateAll(engine, sources, settings);
      }
    }
  });
  const seconds = (performance.now() - start) / 1000;
  const bytes = sizes(model);
  const ledger = await peakLedger(model, Object.values(sets)[0]!, STATED_SLOTS);
  return { outputs, seconds, bytes, ledger };
}

/** What a model holds at its peak with so many expert slots; the translations are the same with any. */
export async function peakLedger(
  model: string,
  { source, target, sources }: DevSet,
  slots: number,
): Promise<Measured["ledger"]> {
  const stated = { maxBatchTokens: 128, maxSlots: slots };
  return await withEngine(model, stated, async (engine) => {
    await translateAll(engine, sources.slice(0, LEDGER_ROWS), { source, target, beams: 4 });
    const { gpu, host } = (await engine.stats()).ledger;
    return {
      model: gpu.peakBytes - gpu.lines.kv,
      all: gpu.peakBytes + host.lines.manifest + host.lines.tokenizer,
    };
  });
}

async function withEngine<T>(
  model: string,
  options: Partial<EngineOptions>,
  work: (engine: Engine) => Promise<T>,
): Promise<T> {
  const engine = startEngine({
    model,
    device: "cpu",
    gpuMemory: 512 * MIB,
    hostMemory: 512 * MIB,
    maxBatchTokens: 512,
    maxQueue: 512,
    threads: navigator.hardwareConcurrency,
    maxSourceTokens: 256,
    ...options,
  });
  try {
    await engine.ready;
    return await work(engine);
  } finally {
    await engine.close();
  }
}

/** One line a text, in order, by an open engine. */
async function translateAll(
  engine: Engine,
  texts: readonly string[],
  settings: { source: string; target: string; beams: number },
): Promise<string[]> {
  const out: string[] = [];
  for (let at = 0; at < texts.length; at += BATCH) {
    const found = await engine.translate({
      ...settings,
      texts: texts.slice(at, at + BATCH),
      lengthPenalty: 1,
      maxTokens: 256,
      alternatives: 0,
    });
    out.push(...found.map((t) => t.text.replace(/[\r\n]+/g, " ")));
  }
  return out;
}

/** Bytes by part; what is stored once counts once. */
function sizes(model: string): Measured["bytes"] {
  const path = `${model}/${MANIFEST_NAME}`;
  const manifest = parseManifest(Deno.readTextFileSync(path), path);
  const distinct = (blocks: { object: number; offset: number; length: number }[]) => {
    const once = new Map(blocks.map((b) => [`${b.object} ${b.offset}`, b.length]));
    return [...once.values()].reduce((sum, n) => sum + n, 0);
  };
  return {
    experts: distinct(manifest.expertLayers.flatMap((l) => l.experts.map((e) => e.block))),
    trunk: distinct(manifest.trunk.flatMap((t) => t.blocks)),
    total: manifest.objects.reduce((sum, o) => sum + o.bytes, 0) + Deno.statSync(path).size,
  };
}
