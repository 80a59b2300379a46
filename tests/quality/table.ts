/**
 * The quality table, made by one command from checkpoints that the recipe makes:
 *
 *   deno task table WORK --corpus FOLDER [--six F] [--six-qat F] [--six-twin F] [--moe F] [--more F] [--qat F]
 *                   [--calibration FILE] [--twin F] [--longer F] [--longest F] [--furthest F] [--scratch F]
 *                   [--before F] [--previous F] [--rows 200] [--only PATTERN] [--out models/QUALITY.md]
 *
 * Packs every system of systems.ts, translates the even dev rows by moqe itself, scores, and writes Markdown: into the
 * marked parts of --out (document.ts); what people wrote around them stays.
 * WORK keeps each system's result by what made it: a second run does only what is new. --only (a pattern of ids) and
 * --beams (1, 4 or 1,4) leave the rest for later; what was measured before is shown all the same.
 */
import { parseArgs } from "node:util";
import { type DevSet, devSet, measure, STATED_SLOTS } from "./measure.ts";
import { filled, made, type Part } from "./document.ts";
import { packSystem } from "./pack.ts";
import { renderTable, type Result } from "./render.ts";
import {
  type CheckpointName,
  CHECKPOINTS,
  FROM_ENGLISH,
  type Group,
  PART_SYSTEMS,
  SIX,
  type System,
  SYSTEMS,
  TWIN_GROUPS,
} from "./systems.ts";
import { weightError } from "./weights.ts";
import { unlessMissing } from "../../src/base/files.ts";
import { BLEU } from "../../src/text/metrics/bleu.ts";
import { CHRF } from "../../src/text/metrics/chrf.ts";
import { SAMPLES } from "../../src/text/metrics/bootstrap.ts";

/** Each checkpoint's folder is a flag of its name. */
const checkpointFlags = Object.fromEntries(
  Object.keys(CHECKPOINTS).map((name) => [name, { type: "string" }]),
) as Record<CheckpointName, { type: "string" }>;
const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    corpus: { type: "string" },
    ...checkpointFlags,
    calibration: { type: "string" },
    rows: { type: "string", default: "200" },
    only: { type: "string", default: "" },
    beams: { type: "string", default: "1,4" },
    out: { type: "string", default: "models/QUALITY.md" },
  },
});
const [work] = positionals;
const given = Object.keys(CHECKPOINTS).some((name) => name in values);
if (work === undefined || values.corpus === undefined || !given) {
  console.error(
    "usage: deno task table WORK --corpus FOLDER --six FOLDER; tests/quality/table.ts says more",
  );
  Deno.exit(2);
}
Deno.mkdirSync(work, { recursive: true });
const rows = Number(values.rows);

const widths = values.beams!.split(",").map(Number);

/**
 * A system's result, made or remembered; undefined where its checkpoint or the calibration was not given, or where
 * nothing of it was asked for yet.
 */
async function resultOf(system: System, pairs: readonly string[]): Promise<Result | undefined> {
  const checkpoint = values[system.checkpoint];
  if (checkpoint === undefined) return undefined;
  const files = [`${checkpoint}/model.safetensors`];
  if (system.flags.includes("CALIBRATION")) {
    if (values.calibration === undefined) return undefined;
    files.push(values.calibration);
  }
  const key = JSON.stringify([system.flags, ...files.flatMap(state), rows, pairs]);
  const path = `${work}/${system.id}.json`;
  const file = readJson(path);
  const known: Omit<Result, "system"> | undefined = file?.key === key ? file.result : undefined;
  const missing = widths.filter((w) => known?.measured.outputs[`${pairs[0]} ${w}`] === undefined);
  if (missing.length === 0 || !new RegExp(values.only!).test(system.id)) {
    return known && { ...known, system };
  }
  const packed = `${work}/packed`;
  await packSystem(system, checkpoint, packed, { pairs, calibration: values.calibration });
  const measured = await measure(packed, missing, setsOf(pairs));
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

function setsOf(pairs: readonly string[]): Record<string, DevSet> {
  return Object.fromEntries(pairs.map((pair) => [pair, devSet(values.corpus!, pair, rows)]));
}

/** A table as a part of the file, and the checkpoints in it; nothing without its base or without anything beside it. */
async function table(
  heading: string,
  { title, pairs = FROM_ENGLISH, base, others }: Group,
  name: string,
): Promise<{ parts: Part[]; used: CheckpointName[] }> {
  const results: Result[] = [];
  for (const system of [base, ...others]) {
    const result = await resultOf(system, pairs);
    if (result !== undefined) results.push(result);
  }
  const [first] = results;
  if (first?.system !== base || results.length < 2) {
    if (results.length > 0) console.error(`${title}: no table, it needs ${base.id} and one more`);
    return { parts: [], used: [] };
  }
  const text = renderTable(results, setsOf(pairs), { base: first, name });
  return {
    parts: [{ name: title, heading: `${heading} ${title}`, text }],
    used: results.map((r) => r.system.checkpoint),
  };
}

const [f16, ...quantized] = SYSTEMS;
const tables = [
  await table("##", SIX, "f16"),
  await table("##", { title: "Systems", base: f16!, others: quantized }, "f16"),
];
for (const group of TWIN_GROUPS) tables.push(await table("###", group, "dense"));
tables.push(
  await table("##", { title: "One part alone", base: f16!, others: PART_SYSTEMS }, "f16"),
);
const used = new Set(tables.flatMap((t) => t.used));
const method =
  `Made by \`deno task table\` (tests/quality/). Every figure is of moqe itself: packed, then translated on the CPU backend,
first ${rows} even rows of each dev set, BLEU / chrF++ equal to sacrebleu's \`${BLEU.signature}\` and \`${CHRF.signature}\`.
The interval after a difference is that of a paired bootstrap over sentences (${SAMPLES} samples, the mean of the
pairs). "Weight error" is the squared error of the quantized weights (of the experts alone, where they are) over their
squares; "same text" the share of translations equal to those of the system that the difference is to, by the same
search; "peak ledger" what the model holds at its peak (trunk, an arena of ${STATED_SLOTS} expert slots, activations of 128 tokens a pass,
beam 4), then the same with K/V cache, manifest and tokenizer. The host's measured runtime comes on top; it is the same
for all.`;
const before = await unlessMissing(Deno.readTextFile(values.out!)) ?? "";
/** What the file says of checkpoints whose tables were not made this time stays. */
const told = new Map(
  made(before, "checkpoints").split("\n").filter(Boolean).map((line) => [line.split("`")[1], line]),
);
for (const name of used) {
  const trained = trainedFor(name);
  // Weights read back from a release carry no note of their training: an older line knows more.
  if (trained === "" && told.has(name)) continue;
  told.set(name, `- \`${name}\`: ${CHECKPOINTS[name]}${trained}`);
}
const document = filled(before, [
  { name: "method", heading: "# Quality", text: method },
  { name: "checkpoints", heading: "Checkpoints:", text: [...told.values()].join("\n") },
  ...tables.flatMap((t) => t.parts),
]);
Deno.writeTextFileSync(values.out!, document);
console.error(`wrote ${values.out}`);
