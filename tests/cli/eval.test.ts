/** moqe eval as a user runs it, with the shipped model. */
import { assert, assertAlmostEquals, assertEquals, assertStringIncludes } from "@std/assert";
import { BLEU } from "../../src/text/metrics/bleu.ts";
import { sumCounts } from "../../src/text/metrics/contract.ts";
import { moqe } from "./moqe.ts";

const MODEL = new URL("../../models/tiny-en-de-fr-es", import.meta.url).pathname;
const PAIR = ["--from", "en", "--to", "de", "--beams", "1"];
const SOURCE = ["Open the file.", "Save the document.", "Close the window."];
const REFERENCE = [
  "Öffnen Sie die Datei.",
  "Speichern Sie das Dokument.",
  "Das Fenster schließen.",
];

Deno.test("moqe eval scores what it writes, and pairs it with another system", async () => {
  const folder = await Deno.makeTempDir();
  const file = (name: string, lines: string[]) => {
    Deno.writeTextFileSync(`${folder}/${name}`, lines.join("\n") + "\n");
    return `${folder}/${name}`;
  };
  const args = ["eval", MODEL, file("src", SOURCE), file("ref", REFERENCE), ...PAIR];
  const output = `${folder}/out`;
  const more = ["--output", output, "--against", file("other", REFERENCE), "--json"];
  const { code, out, err } = await moqe([...args, ...more]);
  assertEquals([code, err], [0, ""]);
  const found = JSON.parse(out);
  const lines = Deno.readTextFileSync(output).trimEnd().split("\n");
  assertEquals(lines.length, 3);
  const bleu = BLEU.score(sumCounts(lines.map((l, i) => BLEU.counts(l, REFERENCE[i]!))));
  assertAlmostEquals(found.scores[0].score, bleu, 1e-9);
  assertEquals(found.scores[0].against.score, 100);
  assert(found.scores[1].low <= found.scores[1].score);
  const uneven = await moqe([...args.slice(0, 3), file("short", REFERENCE.slice(1)), ...PAIR]);
  assertEquals(uneven.code, 2);
  assertStringIncludes(uneven.err, "a line for each of the 3 lines");
});
