/** moqe eval: how well a model translates, against a reference. */
import { MoqeError } from "../base/errors.ts";
import { startEngine } from "../engine/client.ts";
import { BLEU } from "../text/metrics/bleu.ts";
import { interval, pairedP, SAMPLES } from "../text/metrics/bootstrap.ts";
import { CHRF } from "../text/metrics/chrf.ts";
import { EXIT, type Invocation } from "./command.ts";
import type { evalFlags } from "./flags.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { engineOptions, loadedInfo } from "./model.ts";
import { checkWritable } from "./outputs.ts";
import { usage } from "./parse.ts";
import { Progress } from "./progress.ts";
import { table } from "./tables.ts";
import { searchSettings, trainedPair, translateTexts } from "./texts.ts";

const METRICS = [BLEU, CHRF];
/** Lines that the engine is asked for at once. */
const BATCH = 64;

/** One metric's figures, as --json prints them. */
interface Scored {
  metric: string;
  signature: string;
  score: number;
  low: number;
  high: number;
  /** Score of --against and the probability that the difference is chance. */
  against?: { score: number; p: number };
}

/** Runs the command. */
export async function evaluate(
  { flags, positionals }: Invocation<typeof evalFlags>,
): Promise<number> {
  const [model, sourceFile, referenceFile] = positionals as [string, string, string];
  const { from, to } = flags;
  if (from === undefined || to === undefined) {
    throw usage({ name: "eval" }, "--from and --to are needed, as in --from en --to de");
  }
  const sources = readLines(sourceFile);
  const references = sameCount(referenceFile, sources.length);
  const against = flags.against === undefined
    ? undefined
    : sameCount(flags.against, sources.length);
  if (flags.output !== undefined) await checkWritable(flags.output);
  using interrupt = listenForInterrupt();
  const progress = new Progress({ force: flags.progress });
  const engine = startEngine(engineOptions({ ...flags, model }));
  try {
    const info = await loadedInfo(engine, progress, interrupt.signal);
    const settings = { ...trainedPair(from, to, info), ...searchSettings(flags, info) };
    const start = performance.now();
    const ours: string[] = [];
    let tokens = 0;
    for (let at = 0; at < sources.length; at += BATCH) {
      const batch = sources.slice(at, at + BATCH);
      const found = await translateTexts(engine, settings, batch, interrupt.signal);
      ours.push(...found.texts.map((t) => t.replace(/[\r\n]+/g, " ")));
      tokens += found.targetTokens;
      progress.show(`${ours.length} of ${sources.length} lines`, ours.length / sources.length);
    }
    const seconds = (performance.now() - start) / 1000;
    progress.clear();
    if (flags.output !== undefined) Deno.writeTextFileSync(flags.output, ours.join("\n") + "\n");
    const scores = METRICS.map((metric): Scored => {
      const count = (lines: string[]) => lines.map((l, i) => metric.counts(l, references[i]!));
      const counts = count(ours);
      const found = {
        metric: metric.name,
        signature: metric.signature,
        ...interval(metric, counts),
      };
      if (against === undefined) return found;
      const theirs = count(against);
      const p = pairedP(metric, counts, theirs);
      return { ...found, against: { score: interval(metric, theirs).score, p } };
    });
    const run = { model: info.name, lines: sources.length, tokens, seconds };
    console.log(flags.json ? JSON.stringify({ ...run, scores }) : shown(scores, run));
    return EXIT.ok;
  } finally {
    progress.clear();
    if (!interrupt.signal.aborted) await engine.close();
  }
}

function shown(
  scores: Scored[],
  run: { model: string; lines: number; tokens: number; seconds: number },
): string {
  const compared = scores[0]?.against !== undefined;
  const head = ["metric", "score", "95 % interval", ...(compared ? ["against", "p"] : [])];
  const rows = scores.map((s) => [
    s.metric,
    s.score.toFixed(2),
    `${s.low.toFixed(2)} to ${s.high.toFixed(2)}`,
    ...(s.against === undefined ? [] : [s.against.score.toFixed(2), s.against.p.toFixed(3)]),
  ]);
  return [
    table(head, rows),
    `${run.model}: ${run.lines} lines, ${run.tokens} tokens in ${run.seconds.toFixed(1)} s`,
    ...scores.map((s) => `${s.metric} as sacrebleu's ${s.signature}|bs:${SAMPLES}`),
  ].join("\n");
}

/** Lines of a file; the newline at its end makes no further line. */
function readLines(path: string): string[] {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (thrown) {
    throw new MoqeError("bad_input", {
      action: `read ${path}`,
      rule: "it must be a text file of one sentence a line",
      observed: thrown instanceof Error ? thrown.message : String(thrown),
      cause: thrown,
    });
  }
  const lines = text.replace(/\r?\n$/, "").split(/\r?\n/);
  if (text.trim() !== "") return lines;
  throw new MoqeError("bad_input", { action: `read ${path}`, rule: "it has no text" });
}

function sameCount(path: string, lines: number): string[] {
  const found = readLines(path);
  if (found.length === lines) return found;
  throw new MoqeError("bad_input", {
    action: `compare with ${path}`,
    rule: `it must have a line for each of the ${lines} lines of the source`,
    observed: `${found.length} lines`,
  });
}
