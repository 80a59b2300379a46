/** Several glossaries of one request: bounded, each once, and looked through once. */
import { assert, assertEquals } from "@std/assert";
import { glossaryOf } from "../../src/http/deepl/glossary_choice.ts";
import { RequestError } from "../../src/http/errors.ts";
import type { GlossaryEntry } from "../../src/text/documents/contract.ts";
import { readGlossary, TermFinder } from "../../src/text/glossary.ts";
import { testApp } from "./double.ts";

const PAIR = { source: "eng_Latn", target: "deu_Latn" };

/** A glossary that counts how often its entries are walked through. */
function watched(entries: readonly GlossaryEntry[]) {
  const seen = { walks: 0 };
  const walked = Object.assign([...entries], {
    [Symbol.iterator]() {
      seen.walks++;
      return entries[Symbol.iterator]();
    },
  });
  return { seen, glossary: { entries: walked } };
}

async function stored(...glossaries: { entries: readonly GlossaryEntry[] }[]) {
  const { options } = testApp();
  const ids: string[] = [];
  for (const glossary of glossaries) {
    const { id } = await options.glossaries.create("me", "terms", [{ ...PAIR, glossary }]);
    ids.push(id);
  }
  const choose = (glossary_ids: string[], glossary_id?: string) =>
    glossaryOf({ glossary_ids, glossary_id }, PAIR, "me", options);
  return { ids, choose };
}

const termsOf = (...terms: [string, string][]) =>
  readGlossary(terms.map(([source, target]) => ({ source, target })));

Deno.test("a glossary that is named often is one, and is read no more often for it", async () => {
  const a = watched(termsOf(["file", "Datei"]).entries), b = termsOf(["door", "Tür"]);
  const { ids: [first, second], choose } = await stored(a.glossary, b);
  a.seen.walks = 0;
  const often = new Array<string>(600).fill(first!);
  assertEquals(choose(often), a.glossary);
  assertEquals(choose(often, first!), a.glossary, "glossary_id is one of them");
  assertEquals(choose([...often, second!])!.entries.length, 2);
  assert(a.seen.walks <= 1, `${a.seen.walks} walks`);
});

Deno.test("of several glossaries the first that has a term wins", async () => {
  const { ids, choose } = await stored(
    termsOf(["file", "Datei"]),
    termsOf(["file", "Akte"], ["door", "Tür"]),
    termsOf(["door", "Tor"]),
  );
  const targets = (chosen: string[], one?: string) =>
    Object.fromEntries(choose(chosen, one)!.entries.map((e) => [e.source, e.target]));
  assertEquals(targets(ids), { file: "Datei", door: "Tür" });
  assertEquals(targets(ids.toReversed()), { file: "Akte", door: "Tor" });
  assertEquals(targets(ids, ids[1]!), { file: "Akte", door: "Tür" });
});

Deno.test("more than ten glossaries are a 400, as many of one are not", async () => {
  const all = Array.from({ length: 11 }, (_, i) => termsOf([`term${i}`, "x"]));
  const { ids, choose } = await stored(...all);
  assertEquals(choose(ids.slice(1))!.entries.length, 10);
  let refused: unknown;
  try {
    choose(ids);
  } catch (thrown) {
    refused = thrown;
  }
  assert(refused instanceof RequestError);
  assertEquals(
    [refused.status, refused.message],
    [400, "Parameter 'glossary_ids' has 11 glossaries; 10 are the most."],
  );
});

Deno.test("texts that share a glossary share its index", () => {
  const { seen, glossary } = watched(termsOf(["file", "Datei"]).entries);
  for (let i = 0; i < 100; i++) {
    assertEquals(new TermFinder(glossary).find("The file.").map((t) => t.target), ["Datei"]);
  }
  assertEquals(seen.walks, 1);
});
