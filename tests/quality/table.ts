/**
 * The quality table, made by one command from checkpoints that the recipe makes:
 *
 *   deno task table WORK --corpus FOLDER --moe FOLDER [--more F] [--qat F] [--twin F] [--calibration FILE]
 *                   [--rows 200] [--only PATTERN] [--out models/QUALITY.md]
 *
 * Packs every system of systems.ts, translates the even dev rows by moqe itself, scores, and writes Markdown.
 * WORK keeps each system's result by what made it: a second run does only what is new.
 */
import { parseArgs } from "node:util";
import { devSet, LANGUAGES, measure, STATED_SLOTS } from "./measure.ts";
import { packSystem } from "./pack.ts";
import { renderTable, type Result } from "./render.ts";
import { type CheckpointName, CHECKPOINTS, PART_SYSTEMS, type System, SYSTEMS } from "./systems.ts";
import { weightError } from "./weights.ts";
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
    twin: { type: "string" },
    calibration: { type: "string" },
    rows: { type: "string", default: "200" },
    only: { type: "string", default: "" },
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

/** A system's result, made or remembered; undefined where its checkpoint or the calibration was not given. */
async function resultOf(system: System): Promise<Result | undefined> {
  const checkpoint = values[system.checkpoint as CheckpointName];
  if (checkpoint === undefined) return undefined;
  if (system.flags.includes("CALIBRATION") && values.calibration === undefined) return undefined;
  const weights = Deno.statSync(`${checkpoint}/model.safetensors`);
  const key = JSON.stringify([system, checkpoint, weights.size, weights.mtime, rows]);
  const path = `${work}/${system.id}.json`;
  const known = readJson(path);
  if (known?.key === key) return { ...known.result, system };
  if (!new RegExp(values.only!).test(system.id)) return undefined;
  const packed = `${work}/packed`;
  await packSystem(system, checkpoint, packed, values.calibration);
  const measured = await measure(packed, system.beams, sets);
  const result = { measured, weightError: await weightError(packed, checkpoint) };
  Deno.writeTextFileSync(path, JSON.stringify({ key, result }));
  console.error(`${system.id}: ${measured.seconds.toFixed(0)} s`);
  return { ...result, system };
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

const experts = await all(SYSTEMS);
const parts = await all(PART_SYSTEMS);
const base = experts.find((r) => r.system.id === "moe-f16");
if (base === undefined) throw new Error("moe-f16 has no result: everything is compared with it");
const used = new Set(experts.map((r) => r.system.checkpoint));
const text = `# Quality

Made by \`deno task table\` (tests/quality/). Every figure is of moqe itself: packed, then translated on the CPU backend,
first ${rows} even rows of each dev set, BLEU / chrF++ equal to sacrebleu's \`${BLEU.signature}\` and \`${CHRF.signature}\`.
The interval after a difference is that of a paired bootstrap over sentences (${SAMPLES} samples, the mean of the three
pairs). "Weight error" is the squared error of the quantized weights (of the experts alone, where they are) over their squares; "same text" the share of translations equal
to those of f16 with the same search; "peak ledger" both budgets together, at a stated arena of ${STATED_SLOTS} expert slots, 128 tokens a
pass, beam 4.

Checkpoints: ${
  [...used].map((name) => `\`${name}\` is ${CHECKPOINTS[name as CheckpointName]}`).join("; ")
}.

Read with care: 600 sentences leave about one BLEU of chance in a difference (the intervals), and further checkpoints are one
run each. The dense twin is a row where its checkpoint is given; models/recipe/README.md has the commands that make each
checkpoint.

## Systems

${renderTable(experts, sets, base)}
${
  parts.length === 0 ? "" : `
## One part alone

Least-error symmetric codes for one part (\`moqe pack --part\`), everything else f16.

${renderTable(parts, sets, base)}
`
}`;
Deno.writeTextFileSync(values.out!, text);
console.error(`wrote ${values.out}`);
