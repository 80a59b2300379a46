/** Packed models as they are, held against a dense one, by tests of several kinds of text. */
import type { Part } from "./document.ts";
import { type DevSet, devSet, parallelSet, peakLedger, STATED_SLOTS } from "./measure.ts";
import {
  markdownTable,
  meanAgainst,
  mib,
  type Result,
  type Sets,
  signed,
  WIDTHS,
} from "./render.ts";
import { resultOf, state, type Wanted } from "./results.ts";
import { FROM_ENGLISH } from "./systems.ts";
import { PACKED, type PackedGroup, type PackedName } from "./twins.ts";
import { MANIFEST_NAME } from "../../src/store/manifest.ts";
import { BLEU } from "../../src/text/metrics/bleu.ts";
import { CHRF } from "../../src/text/metrics/chrf.ts";

const EVERYDAY = "models/recipe/everyday";

/** Tests beside those in the tree, each left out without its file, and how many rows of software's. */
export interface Texts {
  /** Folder of dev.en-XX.tsv. */
  readonly corpus: string | undefined;
  readonly rows: number;
  /** What declaration.py of the recipe writes. */
  readonly declaration: string | undefined;
}

/** Every test by its name, each a set a pair under "TEST PAIR". */
function testSets({ corpus, rows, declaration }: Texts): Map<string, Sets> {
  const files: Record<string, string | undefined> = {
    short: `${EVERYDAY}/test.tsv`,
    mixed: `${EVERYDAY}/test-mixed.tsv`,
    wide: `${EVERYDAY}/test-wide.tsv`,
    declaration,
  };
  const named = (test: string, make: (pair: string) => DevSet) =>
    [test, Object.fromEntries(FROM_ENGLISH.map((p) => [`${test} ${p}`, make(p)]))] as const;
  return new Map([
    ...corpus === undefined ? [] : [named("software", (pair) => devSet(corpus, pair, rows))],
    ...Object.entries(files).flatMap(([test, file]) =>
      file === undefined ? [] : [named(test, (pair) => parallelSet(file, pair))]
    ),
  ]);
}

/** A group's table as a part of the file; undefined unless both of its models are there. */
export async function packedTable(
  { title, dense, mixture, slots = STATED_SLOTS }: PackedGroup,
  wanted: Wanted,
  { texts, folderOf }: { texts: Texts; folderOf: (name: PackedName) => string | undefined },
): Promise<Part | undefined> {
  if (folderOf(dense) === undefined || folderOf(mixture) === undefined) return undefined;
  const tests = testSets(texts);
  const all: Sets = Object.assign({}, ...tests.values());
  const results: NamedResult[] = [];
  for (const id of [dense, mixture]) {
    const model = folderOf(id)!;
    const key = JSON.stringify([state(`${model}/${MANIFEST_NAME}`), texts]);
    const ready = () => Promise.resolve({ model });
    const found = await resultOf(wanted, { id, key }, all, ready);
    if (found === undefined) return undefined;
    const { measured } = found;
    const ledger = slots === STATED_SLOTS
      ? measured.ledger
      : await peakLedger(model, Object.values(all)[0]!, slots);
    results.push({ measured: { ...measured, ledger }, title: PACKED[id].title });
  }
  const about = (texts.corpus === undefined ? "All lines of each test, " : `First ${texts.rows} ` +
    "even rows of software, all lines of the other tests, ") +
    "BLEU / chrF++, the difference by BLEU with its 95 %; " +
    `the peak ledger with ${slots} expert slots:`;
  const text = `${about}\n\n${render(results, tests, all)}`;
  return { name: title, heading: `### ${title}`, text };
}

type NamedResult = Omit<Result, "system"> & { readonly title: string };

/** A row a system and beam width, and below all but the first its differences to that one. */
function render(results: readonly NamedResult[], tests: Map<string, Sets>, all: Sets): string {
  const [base] = results;
  const columns = [...tests.values(), all];
  const [anySet] = Object.keys(all);
  const widths = WIDTHS.filter((w) => results.every((r) => `${anySet} ${w}` in r.measured.outputs));
  const rows = results.flatMap(({ title, measured }) => {
    const { bytes, ledger } = measured;
    return widths.flatMap((beams, i) => {
      const about = i > 0 ? ["", "", ""] : [
        title,
        `${mib(bytes.experts)} + ${mib(bytes.trunk)}`,
        `${mib(ledger.model)} / ${mib(ledger.all)}`,
      ];
      const scored = columns.map((sets) =>
        [BLEU, CHRF].map((m) => meanAgainst(m, sets, measured, { beams }).mean.toFixed(1)).join(
          " / ",
        )
      );
      const row = [...about, beams === 1 ? "greedy" : `beam ${beams}`, ...scored];
      if (measured === base!.measured) return [row];
      const apart = columns.map((sets) => {
        const options = { beams, base: base!.measured };
        const { value, low, high } = meanAgainst(BLEU, sets, measured, options).difference!;
        return `${signed(value)} (${signed(low)} to ${signed(high)})`;
      });
      return [row, ["", "", "", "to dense", ...apart]];
    });
  });
  const head = ["system", "experts + trunk, MiB", "peak ledger, MiB", "search", ...tests.keys()];
  return markdownTable([...head, `mean of the ${tests.size}`], rows);
}
