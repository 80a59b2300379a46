/** moqe profile: which experts each language uses, from texts that are translated one sentence at a time. */
import { resolve } from "node:path";
import { MoqeError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";
import { architectureOf } from "../arch/registry.ts";
import { type LoadedEngine, loadEngine } from "../engine/load.ts";
import { routersHash } from "../engine/learned.ts";
import { horizon } from "../experts/policy/horizon.ts";
import { profilesOf } from "../experts/profiles.ts";
import { PROFILES_NAME } from "../store/profiles.ts";
import { TraceRecorder } from "../experts/record.ts";
import { type Trace, writeTrace } from "../experts/trace.ts";
import { openModel } from "../store/open.ts";
import { EXIT, type Invocation } from "./command.ts";
import type { profileFlags } from "./flags.ts";
import { type Interrupt, listenForInterrupt } from "./interrupt.ts";
import { engineOptions, modelAddress } from "./model.ts";
import { checkWritable } from "./outputs.ts";
import { usage } from "./parse.ts";
import { Progress } from "./progress.ts";
import { readTexts, wantedPairs } from "./texts.ts";

interface Ask {
  readonly text: string;
  readonly source: string;
  readonly target: string;
}

/** Runs the command. */
export async function profile(
  { flags, positionals }: Invocation<typeof profileFlags>,
): Promise<number> {
  const output = flags.output ?? PROFILES_NAME;
  await checkWritable(output);
  if (flags.trace !== undefined) {
    await checkWritable(flags.trace);
    if (resolve(flags.trace) === resolve(output)) {
      throw usage(
        { name: "profile" },
        `--trace and --output are both ${output}: one would be lost`,
      );
    }
  }
  const model = modelAddress(flags.model);
  const { manifest } = await openModel(model, { manifestSha256: flags.manifestSha256 });
  const { plan } = architectureOf(manifest.config).read(manifest.config);
  const layers = plan.expertLayers.map(({ stack, count }) => ({ stack, count }));
  if (layers.length === 0) {
    throw new MoqeError("unsupported", {
      action: `profile ${manifest.name}`,
      rule: "a dense model has no experts",
    });
  }
  using interrupt = listenForInterrupt();
  const progress = new Progress({ force: flags.progress });
  const recorder = new TraceRecorder(layers);
  const engine = await loadEngine(
    engineOptions({ ...flags, model }),
    () => {},
    { policy: (l) => recorder.wrap(horizon(l)) },
  );
  try {
    const asks = ordered(readAsks(positionals, flags.pairs, engine, flags.texts), flags.order);
    await translateAll(engine, asks, { recorder, beams: flags.beams, progress, interrupt });
    const about = `${asks.length} texts, ${flags.order}, ${flags.beams} beams`;
    const trace: Trace = { model: manifest.name, about, layers, visits: recorder.visits };
    if (flags.trace !== undefined) await writeTrace(flags.trace, trace);
    const text = `${JSON.stringify(profilesOf(trace, routersHash(manifest, plan)))}\n`;
    await Deno.writeTextFile(output, text);
    progress.clear();
    console.log(
      `wrote ${output} (${formatBytes(text.length)}) from ${about}; ` +
        `put it beside the manifest of ${manifest.name}`,
    );
    return EXIT.ok;
  } finally {
    progress.clear();
    await engine.close();
  }
}

/** One file a pair, or one for all pairs. */
function readAsks(
  files: readonly string[],
  given: readonly string[],
  engine: LoadedEngine,
  most: number,
): Ask[] {
  const pairs = wantedPairs(given, engine.info);
  if (files.length !== 1 && files.length !== pairs.length) {
    throw new MoqeError("bad_input", {
      action: "profile",
      rule: `give one file of texts for all ${pairs.length} pairs, or one for each`,
      observed: `${files.length} files`,
    });
  }
  return pairs.flatMap(({ source, target }, p) =>
    readTexts("profile", files[p] ?? files[0]!, most).map((text) => ({ text, source, target }))
  );
}

/** As the files have them, or the languages mixed in a fixed order of their own. */
function ordered(asks: Ask[], order: "document" | "mixed"): Ask[] {
  if (order === "document") return asks;
  const shuffled = [...asks];
  let state = 1;
  for (let i = shuffled.length - 1; i > 0; i--) {
    state = (state * 48271) % 2147483647;
    const j = state % (i + 1);
    [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
  }
  return shuffled;
}

async function translateAll(
  engine: LoadedEngine,
  asks: readonly Ask[],
  with_: { recorder: TraceRecorder; beams: number; progress: Progress; interrupt: Interrupt },
): Promise<void> {
  const { recorder, beams, progress, interrupt: { signal } } = with_;
  const maxTokens = Math.min(256, engine.info.limits.maxTargetTokens);
  for (const [i, { text, source, target }] of asks.entries()) {
    recorder.sentence({ source, target });
    const search = { beams, lengthPenalty: 1, maxTokens, alternatives: 0 };
    await engine.translate({ texts: [text], source, target, ...search }, { signal });
    progress.show(`${i} of ${asks.length} texts`, i / asks.length);
  }
}
