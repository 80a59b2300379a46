/**
 * The quality table, made by one command from checkpoints that the recipe makes:
 *
 *   deno task table WORK --corpus FOLDER --moe FOLDER [--more F] [--qat F] [--calibration FILE] [--twin F]
 *                   [--longer F] [--longest F] [--furthest F] [--scratch F]
 *                   [--before F] [--previous F] [--rows 200] [--only PATTERN] [--out models/QUALITY.md]
 *
 * Packs every system of systems.ts, translates the even dev rows by moqe itself, scores, and writes Markdown: into the
 * marked parts of --out (document.ts); what people wrote around them stays.
 * WORK keeps each system's result by what made it: a second run does only what is new. --only (a pattern of ids) and
 * --beams (1, 4 or 1,4) leave the rest for later; what was measured before is shown all the same.
 */
import { parseArgs } from "node:util";
import { devSet, LANGUAGES, measure, STATED_SLOTS } from "./measure.ts";
import { filled, type Part } from "./document.ts";
import { packSystem } from "./pack.ts";
import { renderTable, type Result } from "./render.ts";
import {
  type CheckpointName,
  CHECKPOINTS,
  PART_SYSTEMS,
  type System,
  SYSTEMS,
  TWIN_GROUPS,
} from "./systems.ts";
import { weightError } from "./weights.ts";
import { unlessMissing } from "../../src/base/files.ts";
import { BLEU } from "../../src/text/metrics/bleu.ts";
import { CHRF } from "../../src/text/metrics/chrf.ts";
import { SAMPLES } from "../../src/text/metrics/bootstrap.ts";

const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    corpus: { type: "string" },
    moe: { type: "string" },
    more: { type: "string" },
    qat: { type: "string" },
    before: { type: "string" },
    twin: { type: "string" },
    longer: { type: "string" },
    longest: { type: "string" },
    furthest: { type: "string" },
    previous: { type: "string" },
    scratch: { type: "string" },
    calibration: { type: "string" },
    rows: { type: "string", default: "200" },
    only: { type: "string", default: "" },
    beams: { type: "string", default: "1,4" },
    out: { type: "string", default: "models/QUALITY.md" },
  },
});
const [work] = positionals;
if (work === undefined || values.corpus === undefined || values.moe === undefined) {
  console.error(
    "usage: deno task table WORK --corpus FOLDER --moe FOLDER; tests/quality/table.ts says more",
  );
  Deno.exit(2);
}
Deno.mkdirSync(work, { recursive: true });
const rows = Number(values.rows);
const sets = Object.fromEntries(
  Object.keys(LANGUAGES).map((l) => [l, devSet(values.corpus!, l, rows)]),
);

const widths = values.beams!.split(",").map(Number);

/**
 * A system's result, made or remembered; undefined where its checkpoint or the calibration was not given, or where
 * nothing of it was asked for yet.
 */
async function resultOf(system: System): Promise<Result | undefined> {
  const checkpoint = values[system.checkpoint as CheckpointName];
  if (checkpoint === undefined) return undefined;
  const files = [`${checkpoint}/model.safetensors`];
  if (system.flags.includes("CALIBRATION")) {
    if (values.calibration === undefined) return undefined;
    files.push(values.calibration);
  }
  const key = JSON.stringify([system.flags, ...files.flatMap(state), rows]);
  const path = `${work}/${system.id}.json`;
  const file = readJson(path);
  const known: Omit<Result, "system"> | undefined = file?.key === key ? file.result : undefined;
  const missing = widths.filter((w) => known?.measured.outputs[`de ${w}`] === undefined);
  if (missing.length === 0 || !new RegExp(values.only!).test(system.id)) {
    return known && { ...known, system };
  }
  const packed = `${work}/packed`;
  await packSystem(system, checkpoint, packed, values.calibration);
  const measured = await measure(packed, missing, sets);
  console.error(`${system.id}, beams ${missing}: ${measured.seconds.toFixed(0)} s`);
  Object.assign(measured.outputs, known?.measured.outputs);
  const result = { measured, weightError: await weightError(packed, checkpoint) };
  Deno.writeTextFileSync(path, JSON.stringify({ key, result }));
  return { ...result, system };
}

/** What tells one state of a file from another. */
function state(path: string): unknown[] {
  const { size, mtime } = Deno.statSync(path);
  return [path, size, mtime];
}

// deno-lint-ignore no-explicit-any
function readJson(path: string): any {
  try {
    return JSON.parse(Deno.readTextFileSync(path));
  } catch {
    return undefined;
  }
}

async function all(systems: readonly System[]): Promise<Result[]> {
  const found: Result[] = [];
  for (const system of systems) {
    const result = await resultOf(system);
    if (result !== undefined) found.push(result);
  }
  return found;
}

/** " (2,326 steps, 12.9 M target tokens)": what the recipe noted in a checkpoint's weights, if it did. */
function trainedFor(name: CheckpointName): string {
  using file = Deno.openSync(`${values[name]!}/model.safetensors`);
  const length = new Uint8Array(8);
  file.readSync(length);
  const header = new Uint8Array(Number(new DataView(length.buffer).getBigUint64(0, true)));
  file.readSync(header);
  const { step, tokens } = JSON.parse(new TextDecoder().decode(header)).__metadata__ ?? {};
  if (step === undefined || tokens === undefined) return "";
  const millions = (Number(tokens) / 1e6).toFixed(1);
  return ` (${
    Number(step).toLocaleString("en")
  } steps, ${millions} M target tokens of its last run)`;
}

/** A table as a part of the file; none without results. */
function table(heading: string, results: readonly Result[], first: Result, name: string): Part[] {
  if (results.length === 0) return [];
  const title = heading.replace(/^#+ /, "");
  return [{ name: title, heading, text: renderTable(results, sets, { base: first, name }) }];
}

const systems = await all(SYSTEMS);
const twins: { title: string; results: Result[] }[] = [];
for (const { title, base, others } of TWIN_GROUPS) {
  const [first, ...rest] = [...await all([base]), ...await all(others)];
  if (first?.system.id === base.id && rest.length > 0) {
    twins.push({ title, results: [first, ...rest] });
  }
}
const base = systems.find((r) => r.system.id === "moe-f16");
if (base === undefined) throw new Error("moe-f16 has no result: everything is compared with it");
const shown = [...systems, ...twins.flatMap((t) => t.results)];
const used = new Set(shown.map((r) => r.system.checkpoint as CheckpointName));
const method =
  `Made by \`deno task table\` (tests/quality/). Every figure is of moqe itself: packed, then translated on the CPU backend,
first ${rows} even rows of each dev set, BLEU / chrF++ equal to sacrebleu's \`${BLEU.signature}\` and \`${CHRF.signature}\`.
The interval after a difference is that of a paired bootstrap over sentences (${SAMPLES} samples, the mean of the three
pairs). "Weight error" is the squared error of the quantized weights (of the experts alone, where they are) over their
squares; "same text" the share of translations equal to those of the system that the difference is to, by the same
search; "peak ledger" what the model holds at its peak (trunk, an arena of ${STATED_SLOTS} expert slots, activations of 128 tokens a pass,
beam 4), then the same with K/V cache, manifest and tokenizer. The host's measured runtime comes on top; it is the same
for all.`;
const checkpoints = [...used].map((name) =>
  `- \`${name}\`: ${CHECKPOINTS[name]}${trainedFor(name)}`
);
const parted = await all(PART_SYSTEMS);
const document = filled(await unlessMissing(Deno.readTextFile(values.out!)) ?? "", [
  { name: "method", heading: "# Quality", text: method },
  { name: "checkpoints", heading: "Checkpoints:", text: checkpoints.join("\n") },
  ...table("## Systems", systems, base, "f16"),
  ...twins.flatMap(({ title, results }) => table(`### ${title}`, results, results[0]!, "dense")),
  ...table("## One part alone", parted, base, "f16"),
]);
Deno.writeTextFileSync(values.out!, document);
console.error(`wrote ${values.out}`);
