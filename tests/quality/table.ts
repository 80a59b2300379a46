/**
 * The quality table, made by one command from checkpoints that the recipe makes:
 *
 *   deno task table WORK --corpus FOLDER --moe F [--more F] [--qat F] [--calibration FILE]
 *                   [--rows 200] [--only PATTERN] [--out models/QUALITY.md]
 *   deno task table WORK --packed [--corpus FOLDER] [--declaration FILE] [--dense-4bit MODEL --mixture-4bit MODEL]
 *                   [--rows 500] [--out models/QUALITY.md]
 *
 * Packs every system of systems.ts, translates the even dev rows by moqe itself, scores, and writes Markdown: into the
 * marked parts of --out (document.ts); what people wrote around them stays.
 * WORK keeps each system's result by what made it: a second run does only what is new. --only (a pattern of ids) and
 * --beams (1, 4 or 1,4) leave the rest for later; what was measured before is shown all the same. --packed holds what is
 * in models/ against its dense twin, by the tests in models/recipe/everyday and, where they are given, by FOLDER's
 * dev.en-XX.tsv and the declaration; it needs no checkpoint: shipped.ts.
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
  type System,
  SYSTEMS,
} from "./systems.ts";
import { PACKED, PACKED_GROUPS, type PackedName } from "./twins.ts";
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
const missing = given ? values.corpus === undefined : !values.packed;
if (work === undefined || missing) {
  console.error(
    "usage: deno task table WORK --packed, or --moe CHECKPOINT --corpus FOLDER; tests/quality/table.ts says more",
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
async function systemResult(system: System): Promise<Result | undefined> {
  const checkpoint = values[system.checkpoint];
  if (checkpoint === undefined) return undefined;
  const files = [`${checkpoint}/model.safetensors`];
  if (system.flags.includes("CALIBRATION")) {
    if (values.calibration === undefined) return undefined;
    files.push(values.calibration);
  }
  const key = JSON.stringify([system.flags, ...files.flatMap(state), rows, FROM_ENGLISH]);
  const packed = `${work}/packed`;
  const found = await resultOf(wanted, { id: system.id, key }, devSets(), async () => {
    await packSystem(system, checkpoint, packed, {
      pairs: FROM_ENGLISH,
      calibration: values.calibration,
    });
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

function devSets(): Record<string, DevSet> {
  return Object.fromEntries(FROM_ENGLISH.map((pair) => [pair, devSet(values.corpus!, pair, rows)]));
}

/** A table as a part of the file, and the checkpoints in it; nothing without its base or without anything beside it. */
async function table(
  { title, base, others }: Group,
): Promise<{ parts: Part[]; used: CheckpointName[] }> {
  const results: Result[] = [];
  for (const system of [base, ...others]) {
    const result = await systemResult(system);
    if (result !== undefined) results.push(result);
  }
  const [first] = results;
  if (first?.system !== base || results.length < 2) {
    if (results.length > 0) console.error(`${title}: no table, it needs ${base.id} and one more`);
    return { parts: [], used: [] };
  }
  const text = renderTable(results, devSets(), { base: first, name: "f16" });
  return {
    parts: [{ name: title, heading: `## ${title}`, text }],
    used: results.map((r) => r.system.checkpoint),
  };
}

/** The tables of checkpoints, what to know of these, and of how they were made. */
async function checkpointParts(document: string): Promise<Part[]> {
  const [f16, ...quantized] = SYSTEMS;
  const tables = [
    await table({ title: "Systems", base: f16!, others: quantized }),
    await table({ title: "One part alone", base: f16!, others: PART_SYSTEMS }),
  ];
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
  const texts = { corpus: values.corpus, rows, declaration: values.declaration };
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
