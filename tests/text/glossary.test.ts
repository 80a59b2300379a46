/** Glossaries: files read, faults named, terms found whole, long, in any case, and in scripts without spaces. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { glossaryToTsv, parseGlossary, readGlossary, TermFinder } from "../../src/text/glossary.ts";
import { assertProportional } from "./work.ts";

function found(text: string, ...pairs: [string, string][]): string[] {
  const glossary = readGlossary(pairs.map(([source, target]) => ({ source, target })));
  return new TermFinder(glossary).find(text).map((t) =>
    `${text.slice(t.start, t.end)}=${t.target}`
  );
}

Deno.test("TSV and CSV are read, quotes and all, and written back", () => {
  const tsv = parseGlossary("\ufefffile\tDatei\r\n\nhard disk\tFestplatte\n", "tsv");
  assertEquals(glossaryToTsv(tsv), "file\tDatei\nhard disk\tFestplatte");
  const csv = parseGlossary('"a, ""b""",x\nc,d,en,de\n', "csv");
  assertEquals(csv.entries, [{ source: 'a, "b"', target: "x" }, { source: "c", target: "d" }]);
});

Deno.test("every fault is named with its place", () => {
  const refused = (run: () => unknown, rule: string) => {
    const error = assertThrows(run, MoqeError, rule) as unknown as MoqeError;
    assertEquals(error.code, "bad_input");
  };
  refused(() => parseGlossary("a\tb\nc", "tsv"), "line 2");
  refused(() => parseGlossary('"a,b', "csv"), "must end with its quote");
  refused(() => readGlossary([]), "no entries");
  refused(
    () => readGlossary([{ source: "a", target: "" }, { source: "x\u0007", target: "y" }]),
    "entry 1: a term is empty; entry 2: a term has a control character",
  );
  refused(
    () => readGlossary([{ source: "a", target: "b" }, { source: "a", target: "c" }]),
    "twice (entry 1)",
  );
  refused(() => readGlossary([{ source: "--", target: "b" }]), "has no letter");
});

Deno.test("terms are whole words, the longest wins, case carries over", () => {
  assertEquals(
    found("The file profile. FILE File, file system", ["file", "akte"], ["file system", "ablage"]),
    [
      "file=akte",
      "FILE=AKTE",
      "File=Akte",
      "file system=ablage",
    ],
  );
  assertEquals(found("us and US, Us", ["US", "USA"]), ["US=USA"]);
  assertEquals(found("C++ or c", ["C++", "Zeh"]), ["C++=Zeh"]);
});

Deno.test("in scripts without spaces a term is found anywhere", () => {
  assertEquals(found("このファイルを開く", ["ファイル", "file"]), ["ファイル=file"]);
  assertEquals(found("打开文件夹", ["文件", "file"], ["文件夹", "folder"]), ["文件夹=folder"]);
});

Deno.test("finding takes work in proportion to the text, with many terms", async () => {
  const entries = Array.from({ length: 5000 }, (_, i) => ({ source: `term${i} of`, target: "x" }));
  const finder = new TermFinder(readGlossary(entries));
  for (const unit of ["a ", "a", "term1 of ", "字", "-", "term1"]) {
    await assertProportional(unit, 5_000, (n) => {
      finder.find(unit.repeat(Math.ceil(n / unit.length)));
    });
  }
  assert(finder.find("term4999 of").length === 1);
});

Deno.test("a term is found whichever way its accents are written", () => {
  for (const form of ["NFC", "NFD"] as const) {
    const finder = new TermFinder(
      readGlossary([{ source: "größe café".normalize(form), target: "size" }]),
    );
    for (const written of ["NFC", "NFD"] as const) {
      const text = "Die Größe Café, größe café".normalize(written);
      const found = finder.find(text);
      assertEquals(found.map((f) => [text.slice(f.start, f.end).normalize("NFC"), f.target]), [
        ["Größe Café", "Size"],
        ["größe café", "size"],
      ]);
    }
  }
});
