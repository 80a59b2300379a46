/** moqe calibrate: what each expert is fed, for the packer to weigh its errors by. */
import { dirname } from "node:path";
import type { Values } from "../base/config.ts";
import { errorCode, MoqeError } from "../base/errors.ts";
import type { ModelPlan } from "../base/plan.ts";
import { architectureOf } from "../arch/registry.ts";
import { isHubAddress } from "../checkpoint/hub_address.ts";
import { openFolder } from "../checkpoint/open.ts";
import { loadEngine } from "../engine/load.ts";
import type { ModelSpec } from "../nn/spec.ts";
import type { InputObserver, RoutedPass } from "../nn/context.ts";
import { CalibrationWriter } from "../pack/calibration/file.ts";
import { packCheckpoint } from "../pack/pack.ts";
import { FileStore } from "../store/file_store.ts";
import { hessianBlock } from "../quant/moments.ts";
import { openModel } from "../store/open.ts";
import { openKnown, pairsNeeded, waiting } from "./checkpoint.ts";
import { EXIT, type Invocation } from "./command.ts";
import type { calibrateFlags } from "./pack_flags.ts";
import { type Interrupt, listenForInterrupt } from "./interrupt.ts";
import { engineOptions } from "./model.ts";
import { checkWritable } from "./outputs.ts";
import { trainedPairs } from "./pairs.ts";
import { usage } from "./parse.ts";
import { Progress } from "./progress.ts";
import { readTexts, translateTexts, wantedPairs } from "./texts.ts";

/** Texts that the engine is asked for at once. */
const BATCH = 32;
const FLOATS = { experts: { bits: 16 }, trunk: { bits: 16 }, embedding: { bits: 16 } } as const;

/** Runs the command. A checkpoint is packed to f16 in a folder of its own first, which is removed again. */
export async function calibrate(
  { flags, positionals }: Invocation<typeof calibrateFlags>,
): Promise<number> {
  const [address, textsFile] = positionals as [string, string];
  if (flags.samples > 0 && flags.samples < 16) {
    throw usage({ name: "calibrate" }, `--samples ${flags.samples}: 16 at least, or 0`);
  }
  const texts = readTexts("calibrate", textsFile, flags.texts);
  await checkWritable(flags.output);
  using interrupt = listenForInterrupt();
  const progress = new Progress({ force: flags.progress });
  let packed: string | undefined;
  try {
    if (isHubAddress(address) || !await isPacked(address)) {
      packed = await Deno.makeTempDir({ dir: dirname(flags.output), prefix: "moqe-calibrate-" });
      await packFloats(address, packed, { flags, progress, interrupt });
    }
    const model = packed ?? address;
    const { manifest } = await openModel(model);
    const { plan } = sparseModel(manifest.config);
    // Written aside: a run that fails must not take the calibration of one before with it.
    const aside = `${flags.output}.moqe-tmp`;
    const samples = flags.samples || samplesFor(plan);
    const writer = new CalibrationWriter(aside, plan, samples);
    try {
      await collect(model, new Collector(writer), flags, texts, progress, interrupt);
      writer.finish();
    } catch (error) {
      writer.abandon();
      await Deno.remove(aside);
      throw error;
    }
    await Deno.rename(aside, flags.output);
    progress.clear();
    const seen = writer.header.layers.flatMap((l) => l.seen);
    const few = seen.filter((n) => n < samples).length;
    console.log(
      `wrote ${flags.output}: ${texts.length} texts, ${seen.length} experts; ` +
        `${few} saw fewer than ${samples} rows, the least ${Math.min(...seen)}`,
    );
    return EXIT.ok;
  } finally {
    progress.clear();
    if (packed !== undefined) await Deno.remove(packed, { recursive: true });
  }
}

/**
 * Where the packer takes a layer's moments whole, several times as many rows as its columns are worth having; the blocks
 * that it takes of wider ones need fewer.
 */
function samplesFor(plan: ModelPlan): number {
  const widest = Math.max(...plan.expertLayers.flatMap((l) => l.projections.map((p) => p.cols)));
  return hessianBlock(widest) < widest ? 512 : 4096;
}

/** Whether an address has a manifest; a checkpoint has none. */
async function isPacked(address: string): Promise<boolean> {
  try {
    await openModel(address);
    return true;
  } catch (error) {
    if (errorCode(error) === "unavailable") return false;
    throw error;
  }
}

/** What a model is made of. Throws MoqeError `unsupported` for one without experts. */
function sparseModel(config: unknown): { plan: ModelPlan; spec: ModelSpec } {
  const { plan, spec } = architectureOf(config).read(config);
  if (plan.expertLayers.length > 0) return { plan, spec };
  throw new MoqeError("unsupported", {
    action: `calibrate ${plan.modelType}`,
    rule: "a dense model has no experts",
    remedy: "pack it without --calibration",
  });
}

async function packFloats(
  address: string,
  folder: string,
  { flags, progress, interrupt: { signal } }: {
    flags: Values<typeof calibrateFlags>;
    progress: Progress;
    interrupt: Interrupt;
  },
): Promise<void> {
  const from = await openFolder(address, { signal, onWait: waiting(progress) });
  if (flags.pairs.length === 0) throw pairsNeeded("calibrate", from.card);
  const { checkpoint, plan, spec } = await openKnown(from, sparseModel);
  try {
    await packCheckpoint(checkpoint, plan, new FileStore(folder), {
      ...FLOATS,
      name: "calibration",
      pairs: trainedPairs(flags.pairs, spec.source, checkpoint.texts),
      licence: { id: "unknown" },
      signal,
    });
  } finally {
    checkpoint.weights.close();
  }
}

/** Translates the texts greedily, each to one of the pairs in turn, under the collector's eyes. */
async function collect(
  model: string,
  collector: Collector,
  flags: Values<typeof calibrateFlags>,
  texts: readonly string[],
  progress: Progress,
  { signal }: Interrupt,
): Promise<void> {
  const engine = await loadEngine(engineOptions({ ...flags, model }), () => {}, {
    observer: collector,
  });
  try {
    const pairs = wantedPairs(flags.pairs, engine.info);
    const search = {
      beams: 1,
      lengthPenalty: 1,
      maxTokens: Math.min(256, engine.info.limits.maxTargetTokens),
      alternatives: 0,
    };
    for (let at = 0; at < texts.length; at += BATCH) {
      for (const [p, pair] of pairs.entries()) {
        const here = texts.slice(at, at + BATCH).filter((_, i) => (at + i) % pairs.length === p);
        await translateTexts(engine, { ...pair, ...search }, here, signal);
      }
      progress.show(`${at} of ${texts.length} texts`, at / texts.length);
    }
  } finally {
    await engine.close();
  }
}

/** Gives every routed row to the writer. Holds one pass's rows. */
class Collector implements InputObserver {
  constructor(readonly writer: CalibrationWriter) {}

  async routed(layer: number, { backend, x, experts, weights, topK }: RoutedPass): Promise<void> {
    const { rows, cols } = x;
    const read = (buffer: RoutedPass["experts"]["buffer"], offset: number, words: number) =>
      backend.readback(buffer, offset, words * 4).then((bytes) => bytes.buffer);
    const [inputs, chosen, shares] = await Promise.all([
      read(x.buffer, x.offset, rows * cols),
      read(experts.buffer, experts.offset, rows * topK),
      read(weights.buffer, weights.offset, rows * topK),
    ]);
    const values = new Float32Array(inputs), share = new Float32Array(shares);
    for (const [pair, expert] of new Int32Array(chosen).entries()) {
      const at = Math.floor(pair / topK) * cols;
      this.writer.add(layer, expert, values.subarray(at, at + cols), share[pair]!);
    }
  }
}
