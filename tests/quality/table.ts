/**
 * The quality table, made by one command from checkpoints that the recipe makes:
 *
 *   deno task table WORK --corpus FOLDER [--six F] [--six-qat F] [--six-twin F] [--moe F] [--more F] [--qat F]
 *                   [--calibration FILE] [--twin F] [--longer F] [--longest F] [--furthest F] [--scratch F]
 *                   [--before F] [--previous F] [--rows 200] [--only PATTERN] [--out models/QUALITY.md]
 *   deno task table WORK --corpus FOLDER --packed [--declaration FILE] [--dense-4bit MODEL --mixture-4bit MODEL]
 *                   [--rows 500]
 *
 * Packs every system of systems.ts and twins.ts, translates the even dev rows by moqe itself, scores, and writes Markdown: into the
 * marked parts of --out (document.ts); what people wrote around them stays.
 * WORK keeps each system's result by what made it: a second run does only what is new. --only (a pattern of ids) and
 * --beams (1, 4 or 1,4) leave the rest for later; what was measured before is shown all the same. --packed holds what is
 * in models/ against its dense twin, by everyday text, too, and needs no checkpoint: shipped.ts.
 */
import { parseArgs } from "node:util";
import { type DevSet, devSet, STATED_SLOTS } from "./measure.ts";
import { filled, made, type Part } from "./document.ts";
import { packSystem } from "./pack.ts";
import { renderTable, type Result } from "./render.ts";
import { resultOf, state } from "./results.ts";
import { packedTable } from "./shipped.ts";
import {
  type CheckpointName,
  CHECKPOINTS,
  FROM_ENGLISH,
  type Group,
  PART_SYSTEMS,
  SIX,
  type System,
  SYSTEMS,
} from "./systems.ts";
import { PACKED, PACKED_GROUPS, type PackedName, TWIN_GROUPS } from "./twins.ts";
import { weightError } from "./weights.ts";
import { unlessMissing } from "../../src/base/files.ts";
import { BLEU } from "../../src/text/metrics/bleu.ts";
import { CHRF } from "../../src/text/metrics/chrf.ts";
import { SAMPLES } from "../../src/text/metrics/bootstrap.ts";

/** Each checkpoint's and each packed model's folder is a flag of its name. */
const folderFlags = Object.fromEntries(
  [...Object.keys(CHECKPOINTS), ...Object.keys(PACKED)].map((name) => [name, { type: "string" }]),
) as Record<CheckpointName | PackedName, { type: "string" }>;
const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    corpus: { type: "string" },
    packed: { type: "boolean", default: false },
    declaration: { type: "string" },
    ...folderFlags,
    calibration: { type: "string" },
    rows: { type: "string", default: "200" },
    only: { type: "string", default: "" },
    beams: { type: "string", default: "1,4" },
    out: { type: "string", default: "models/QUALITY.md" },
  },
});
const [work] = positionals;
const given = Object.keys(CHECKPOINTS).some((name) => name in values);
if (work === undefined || values.corpus === undefined || !(given || values.packed)) {
  console.error(
    "usage: deno task table WORK --corpus FOLDER --packed or --moe FOLDER; tests/quality/table.ts says more",
  );
  Deno.exit(2);
}
Deno.mkdirSync(work, { recursive: true });
const rows = Number(values.rows);

const wanted = {
  work,
  beams: values.beams!.split(",").map(Number),
  only: new RegExp(values.only!),
};

/** A system's result; undefined where its checkpoint or the calibration was not given, too. */
async function systemResult(
  system: System,
  pairs: readonly string[],
): Promise<Result | undefined> {
  const checkpoint = values[system.checkpoint];
  if (checkpoint === undefined) return undefined;
  const files = [`${checkpoint}/model.safetensors`];
  if (system.flags.includes("CALIBRATION")) {
    if (values.calibration === undefined) return undefined;
    files.push(values.calibration);
  }
  const key = JSON.stringify([system.flags, ...files.flatMap(state), rows, pairs]);
  const packed = `${work}/packed`;
  const found = await resultOf(wanted, { id: system.id, key }, setsOf(pairs), async () => {
    await packSystem(system, checkpoint, packed, { pairs, calibration: values.calibration });
    return { model: packed, weightError: () => weightError(packed, checkpoint) };
  });
  return found && { ...found, system };
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
    const result = await systemResult(system, pairs);
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

/** The tables of checkpoints, what to know of these, and of how they were made. */
async function checkpointParts(document: string): Promise<Part[]> {
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
  return [
    { name: "method", heading: "# Quality", text: METHOD },
    { name: "checkpoints", heading: "Checkpoints:", text: checkpointLines(document, used) },
    ...tables.flatMap((t) => t.parts),
  ];
}

/** What is told of the checkpoints; of those whose tables were not made this time as before. */
function checkpointLines(document: string, used: ReadonlySet<CheckpointName>): string {
  const before = made(document, "checkpoints").split("\n").filter(Boolean);
  const told = new Map(before.map((line) => [line.split("`")[1], line]));
  for (const name of used) {
    const trained = trainedFor(name);
    // Weights read back from a release carry no note of their training: an older line knows more.
    if (trained === "" && told.has(name)) continue;
    told.set(name, `- \`${name}\`: ${CHECKPOINTS[name]}${trained}`);
  }
  return [...told.values()].join("\n");
}

/** The tables of packed models. */
async function packedParts(): Promise<Part[]> {
  const texts = { corpus: values.corpus!, rows, declaration: values.declaration };
  const folderOf = (name: PackedName) => values[name] ?? PACKED[name].folder;
  const parts: Part[] = [];
  for (const group of PACKED_GROUPS) {
    const part = await packedTable(group, wanted, { texts, folderOf });
    if (part !== undefined) parts.push(part);
  }
  return parts;
}

const METHOD =
  `Made by \`deno task table\` (tests/quality/). Every figure is of moqe itself: packed, then translated on the CPU backend,
first ${rows} even rows of each dev set, BLEU / chrF++ equal to sacrebleu's \`${BLEU.signature}\` and \`${CHRF.signature}\`.
The interval after a difference is that of a paired bootstrap over sentences (${SAMPLES} samples, the mean of the
pairs). "Weight error" is the squared error of the quantized weights (of the experts alone, where they are) over their
squares; "same text" the share of translations equal to those of the system that the difference is to, by the same
search; "peak ledger" what the model holds at its peak (trunk, an arena of ${STATED_SLOTS} expert slots unless a table says otherwise, activations of 128 tokens a pass,
beam 4), then the same with K/V cache, manifest and tokenizer. The host's measured runtime comes on top; it is the same
for all.`;
const document = await unlessMissing(Deno.readTextFile(values.out!)) ?? "";
const parts = [
  ...given ? await checkpointParts(document) : [],
  ...values.packed ? await packedParts() : [],
];
Deno.writeTextFileSync(values.out!, filled(document, parts));
console.error(`wrote ${values.out}`);
