/** Splitting: what is not translated comes back to the byte, and sentences are whole. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { cutToFit, type PieceLimit } from "../../src/text/cut.ts";
import { joinText, type SplitText, splitText } from "../../src/text/sentences.ts";
import { golden } from "./goldens.ts";
import { assertProportional } from "./work.ts";

function sentences(text: string, language = "en"): readonly string[] {
  const split = splitText(text, { language });
  assertEquals(joinText(split, split.sentences), text);
  return split.sentences;
}

/** A limit of code points, for tests that need no tokenizer. */
function points(maxTokens: number, maxChars = 1000): PieceLimit {
  return { maxTokens, maxChars, countTokens: (text) => [...text].length };
}

function cuts(text: string, maxTokens: number, language = "en"): readonly string[] {
  const split = splitText(text, { language, limit: points(maxTokens) });
  assertEquals(joinText(split, split.sentences), text);
  for (const sentence of split.sentences) assert([...sentence].length <= maxTokens, sentence);
  return split.sentences;
}

/** Reproducible numbers in [0, 1): mulberry32. */
function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

Deno.test("abbreviations, initials, decimals, ordinals and lists do not end a sentence", () => {
  const cases: [string, string, string[]][] = [
    ["en", "See e.g. Smith vs. Jones. Mr. J. Smith paid $3.14. Then he left.", [
      "See e.g. Smith vs. Jones.",
      "Mr. J. Smith paid $3.14.",
      "Then he left.",
    ]],
    ["en", "1. First item. 2. Second item.", ["1. First item.", "2. Second item."]],
    ["en", '"What?" he said. Really?! Yes... no.', ['"What?" he said.', "Really?!", "Yes... no."]],
    ["de", "Am 3. Oktober kam Dr. Müller. Das ist z. B. gut, d. h. besser. „Was?“ fragte er.", [
      "Am 3. Oktober kam Dr. Müller.",
      "Das ist z. B. gut, d. h. besser.",
      "„Was?“ fragte er.",
    ]],
    ["de", "Ludwig XIV. war König. Es war 1990. Neu.", [
      "Ludwig XIV. war König.",
      "Es war 1990.",
      "Neu.",
    ]],
    ["fr", "M. Dupont est là. Voir p. ex. Paris !", ["M. Dupont est là.", "Voir p. ex. Paris !"]],
    ["es", "El Sr. García vive en EE. UU. desde 1990. ¿Sí? ¡Claro!", [
      "El Sr. García vive en EE. UU. desde 1990.",
      "¿Sí?",
      "¡Claro!",
    ]],
    ["ja", "これはペンです。「はい。」本当？はい", [
      "これはペンです。",
      "「はい。」",
      "本当？",
      "はい",
    ]],
    ["zh-Hans", "你好。我很好！", ["你好。", "我很好！"]],
    ["ru", "Привет. Это т. е. да.", ["Привет.", "Это т. е. да."]],
  ];
  for (const [language, text, expected] of cases) {
    assertEquals(sentences(text, language), expected);
  }
});

Deno.test("lines, blank lines, indentation and every kind of break are kept", () => {
  const text = "\ufeff  One.  Two.\r\n\r\n\tThree\u2028four \n\n\n  - five\r\rsix\u0085\n";
  assertEquals(sentences(text), ["One.", "Two.", "Three", "four", "- five", "six"]);
  const split = splitText("a\n\nb", { language: "en" });
  assertEquals(split.pieces, [0, "\n\n", 1]);
  assertEquals(joinText(split, ["x", "y"]), "x\n\ny");
});

Deno.test("what has no letter is copied, not translated", () => {
  for (const text of ["", " ", "\r\n", "\n \n\t\n", "---", "12:30\n***\n🙂", "\ud800", "1.5"]) {
    assertEquals(splitText(text, { language: "en" }).sentences, []);
    assertEquals(sentences(text), []);
  }
  assertEquals(sentences("Great. 🎉🎉! Next."), ["Great. 🎉🎉!", "Next."]);
});

Deno.test("a sentence that is too long is cut at clauses, then spaces, then code points", () => {
  assertEquals(cuts("one two three, four five six, seven", 18), [
    "one two three,",
    "four five six,",
    "seven",
  ]);
  assertEquals(cuts("alpha beta gamma delta", 11), ["alpha beta", "gamma delta"]);
  assertEquals(cuts("a".repeat(25), 10), ["a".repeat(10), "a".repeat(10), "aaaaa"]);
  assertEquals(cuts("𝒜𝒷".repeat(4), 3), ["𝒜𝒷𝒜", "𝒷𝒜𝒷", "𝒜𝒷"]);
  assertEquals(cuts("今日は、天気が良いですから、散歩に", 8, "ja"), [
    "今日は、",
    "天気が良いですか",
    "ら、散歩に",
  ]);
});

Deno.test("a limit too small for anything still makes progress", () => {
  const limit = { maxTokens: 0, maxChars: 1, countTokens: (text: string) => text.length };
  const split = splitText("ab 😀x c", { language: "en", limit });
  assertEquals(joinText(split, split.sentences), "ab 😀x c");
  assertEquals(split.sentences, ["a", "b", "x", "c"]);
});

Deno.test("any text joins to itself, in every language, cut or not", () => {
  const parts = [
    ..."aZ.,;!?…。、「」（）\"'„“()-–—:¿¡ \t\n\r\v\f\u0085\u2028\u00a0\u3000\ufeff0123\ud83d\udc00",
    ...[
      "\r\n",
      "😀",
      "👨‍👩‍👧",
      "e\u0301",
      "Dr. ",
      "z. B. ",
      "3. ",
      "  ",
      "Hello there. ",
      "日本語。",
      "مرحبا، ",
    ],
  ];
  const next = random(7);
  for (let round = 0; round < 3000; round++) {
    const text = Array.from(
      { length: Math.floor(next() * 40) },
      () => parts[Math.floor(next() * parts.length)],
    ).join("");
    const language = ["en", "de", "ja", "ar", "zh-Hans"][round % 5]!;
    const limit = round % 2 === 0 ? { limit: points(1 + Math.floor(next() * 12), 30) } : {};
    const split: SplitText = splitText(text, { language, ...limit });
    assertEquals(joinText(split, split.sentences), text);
    for (const sentence of split.sentences) {
      assertEquals(sentence, sentence.trim());
      assert(/\p{L}/u.test(sentence));
    }
    assert(
      split.pieces.every((p, i) =>
        typeof p === "number" || typeof split.pieces[i + 1] !== "string"
      ),
    );
  }
});

Deno.test("long texts of every shape take work in proportion, with the real tokenizer", async () => {
  const [tokenizer] = await golden("shared");
  const limit = {
    maxTokens: 200,
    maxChars: 2000,
    countTokens: (text: string) => tokenizer.encode(text).length,
  };
  for (
    const unit of [
      "a",
      "a. ",
      "word, ",
      "z. B. ",
      ".(",
      "日本語",
      "e\u0301\u0323",
      "Hello there. ",
      " ",
    ]
  ) {
    await assertProportional(unit, 5_000, (length) => {
      const text = unit.repeat(Math.ceil(length / unit.length));
      for (const sentence of splitText(text, { language: "de", limit }).sentences) {
        assert(limit.countTokens(sentence) <= 200, sentence.slice(0, 40));
      }
    });
  }
});

Deno.test("marks that may end a clause are looked at once each", async () => {
  for (const marks of [")", '\u201d"', "),"]) {
    await assertProportional(marks, 5_000, (length) => {
      const limit = { maxTokens: length, maxChars: length, countTokens: (t: string) => t.length };
      const text = marks.repeat(Math.ceil(2 * length / marks.length));
      assertEquals([...cutToFit(text, limit)].join(""), text);
    });
  }
});

Deno.test("as many translations as sentences are asked for", () => {
  const split = splitText("One. Two.", { language: "en" });
  assertThrows(() => joinText(split, ["x"]), RangeError, "2 sentences");
});

Deno.test("modes: no split at all, or none at line breaks", () => {
  const text = "One two.\nThree\nfour. Five";
  const of = (mode: "off" | "nonewlines") => splitText(text, { language: "en", mode }).sentences;
  assertEquals(of("off"), ["One two. Three four. Five"]);
  assertEquals(of("nonewlines"), ["One two.", "Three four.", "Five"]);
});

Deno.test("quotation marks stay with what they are around, behind a space and in Chinese too", () => {
  assertEquals(
    sentences("Il dit :\u00a0«\u00a0Non\u00a0!\u00a0» Puis il part. «\u202fOui.\u202f» ", "fr"),
    [
      "Il dit :\u00a0«\u00a0Non\u00a0!\u00a0»",
      "Puis il part.",
      "«\u202fOui.\u202f»",
    ],
  );
  assertEquals(sentences("« Quoi ? » demanda-t-il. Fin.", "fr"), [
    "« Quoi ? » demanda-t-il.",
    "Fin.",
  ]);
  assertEquals(sentences("Er ging. »Komm!« »Nein!« Ende.", "de"), [
    "Er ging.",
    "»Komm!«",
    "»Nein!«",
    "Ende.",
  ]);
  assertEquals(sentences("Er sagte „so“. „Gut.“ Ende.", "de"), [
    "Er sagte „so“.",
    "„Gut.“",
    "Ende.",
  ]);
  assertEquals(sentences("天气好！“真的吗？”他问。", "zh-Hans"), [
    "天气好！",
    "“真的吗？”",
    "他问。",
  ]);
  assertEquals(sentences("Die Fa. Müller & Co. KG hat Dr. med. Meier.", "de").length, 1);
});
