/** The translation in what models write when they are asked for one: real-life ways to say it. */
import { assertEquals } from "@std/assert";
import { answerOf } from "../../src/engine/chat_answer.ts";

const SENTENCE = "The file was saved.";
const HELLO = "Die Datei wurde gespeichert.";

/** The answer to a sentence, from English to German as a chat. */
const of = (text: string, sentence = SENTENCE, more = {}) =>
  answerOf(sentence, text, { isChat: true, from: "English", to: "German", ...more });

Deno.test("what is no more than the translation stays as it is", () => {
  for (
    const [sentence, answer] of [
      [SENTENCE, HELLO],
      ["Note: save first.", "Hinweis: zuerst speichern."],
      ["Translation: hello", "Übersetzung: hallo"],
      ["Here is the plan: we go.", "Hier ist der Plan: wir gehen."],
      ["Translation – a history", "Übersetzung: eine Geschichte"],
      ["It is 10:30.", "Es ist 10:30 Uhr."],
      ["OK: saved", "OK: gespeichert"],
      ["Sure!", "Sure!"],
      ["German: a language", "German: eine Sprache"],
      ['"Hello"', "„Hallo“"],
      ['"Hello," he said.', "„Hallo“, sagte er."],
      ['He said "hello".', "Er sagte „hallo“."],
      ['"A" and "B"', '"A" und "B"'],
      ["A and B", '"A" und "B"'],
      ['"Save".', "„Speichern“."],
      ["'Tis the season", "'s ist die Zeit"],
      ["The dogs' toys", "Das Spielzeug der Hunde'"],
      ["`npm run`", "`npm run`"],
      ["First line\n\nNote: second", "Erste Zeile\n\nHinweis: zweite"],
      ["We need:\n- a file", "Wir brauchen:\n- eine Datei"],
      ["```\ncode\n```", "```\ncode\n```"],
      ["The <think>tag</think> opens thoughts.", "Das Element <think></think> öffnet Gedanken."],
      ["x", "x"],
      ["''", "''"],
    ]
  ) assertEquals(of(answer!, sentence!), answer, sentence);
});

Deno.test("introductions, labels and notes are taken off", () => {
  for (
    const text of [
      `  ${HELLO}\n`,
      `Sure! Here is the translation:\n\n${HELLO}`,
      `Sure! Here's the German translation: ${HELLO}`,
      `Certainly! Here is the translation of the text from English to German:\n${HELLO}`,
      `Of course!\n\n${HELLO}`,
      `Sure.\n${HELLO}`,
      `Here is the translation:\n\n"${HELLO}"`,
      `Here you go: ${HELLO}`,
      `Translation: ${HELLO}`,
      `**Translation:** ${HELLO}`,
      `**Translation**: ${HELLO}`,
      `### Translation:\n\n${HELLO}`,
      `German: ${HELLO}`,
      `German translation: ${HELLO}`,
      `**German:** ${HELLO}`,
      `**German:**\n${HELLO}`,
      `The German translation is: ${HELLO}`,
      `The text translates to German as follows:\n\n${HELLO}`,
      `Übersetzung: ${HELLO}`,
      `Deutsche Übersetzung:\n\n${HELLO}`,
      `Traduction : ${HELLO}`,
      `Перевод: ${HELLO}`,
      `翻译：${HELLO}`,
      `翻訳:\n${HELLO}`,
      `Answer: ${HELLO}`,
      `English: ${SENTENCE}\nGerman: ${HELLO}`,
      `**English:** ${SENTENCE}\n\n**German:** ${HELLO}`,
      `${HELLO}\n\nNote: "Datei" can also be "Akte".`,
      `${HELLO}\n\n(Note: I used the passive voice.)`,
      `${HELLO}\n\n*Note: formal.*`,
      `${HELLO}\nExplanation: the verb is in the perfect.`,
      `${HELLO}\n\nAlternatively, you could say:\n\nDie Datei ist gespeichert.`,
      `${HELLO}\n\nLet me know if you need anything else!`,
      "```\n" + HELLO + "\n```",
      "```text\n" + HELLO + "\n```",
      `Here is the translation:\n\n\`\`\`\n${HELLO}\n\`\`\``.replace("Here", "Sure! Here"),
    ]
  ) assertEquals(of(text), HELLO, JSON.stringify(text));
  assertEquals(of("Translation: Hinweis: zuerst.", "Note: first."), "Hinweis: zuerst.");
  assertEquals(of("Here is it:\n\nUm 10:30 Uhr.", "At 10:30."), "Um 10:30 Uhr.");
});

Deno.test("thoughts are taken off, and an answer that never came leaves the sentence", () => {
  assertEquals(of(`<think>\n\n</think>\n\n${HELLO}`), HELLO);
  assertEquals(of(`<think>The user wants: "..."\n\nSo:</think>${HELLO}`), HELLO);
  assertEquals(of(`Let me think. German: ...\n</think>\n\n"${HELLO}"`), HELLO);
  for (const text of ["<think>The user wants", "<think>\nWe</think>", "", " \n", '""']) {
    assertEquals(of(text), text === '""' ? '""' : SENTENCE, text);
  }
});

Deno.test("one pair of quotation marks is taken off where the sentence has none around it", () => {
  for (
    const [open, close] of [
      ['"', '"'],
      ["'", "'"],
      ["“", "”"],
      ["„", "“"],
      ["„", "”"],
      ["”", "”"],
      ["‘", "’"],
      ["‚", "‘"],
      ["«", "»"],
      ["« ", " »"],
      ["«\u00a0", "\u00a0»"],
      ["»", "«"],
      ["‹", "›"],
      ["「", "」"],
      ["『", "』"],
      ["`", "`"],
    ]
  ) {
    assertEquals(of(`${open}${HELLO}${close}`), HELLO, open);
    const bare = HELLO.slice(0, -1);
    assertEquals(of(`${open}${bare}${close}.`), HELLO, `${open} before a full stop`);
    assertEquals(of(`${open}${bare}${close}`, "The file was saved"), bare, open);
  }
  assertEquals(
    of("「ファイルを保存しました。」", SENTENCE, { to: "Japanese" }),
    "ファイルを保存しました。",
  );
  assertEquals(of("«L'homme n'est pas là»", "The man is not there"), "L'homme n'est pas là");
  assertEquals(of("'It's John's'", "Es ist Johns"), "It's John's");
  assertEquals(of("‘It’s John’s’", "Es ist Johns"), "It’s John’s");
  // The sentence has quotation marks within: those are kept, the pair around all is not.
  assertEquals(of('"Er sagte "hallo""', 'He said "hello"'), 'Er sagte "hallo"');
  assertEquals(of("„Er sagte »hallo«“", 'He said "hello"'), "Er sagte »hallo«");
});

Deno.test("without a template, what a model goes on with is cut off", () => {
  const text = ` ${HELLO}\nEnglish: More\nGerman: Mehr`;
  assertEquals(of(text, SENTENCE, { isChat: false }), HELLO);
  assertEquals(of("\n\nEnglish:", SENTENCE, { isChat: false }), SENTENCE);
});

Deno.test("hostile answers are read in time that grows with their length", () => {
  for (const text of ["\n", ":", "*", " ", "(", '"', "a:", "here ", "Note", "`", "x\n", "翻译"]) {
    const started = performance.now();
    of(text.repeat(20_000));
    of(`Sure ${text.repeat(20_000)}`);
    of(HELLO + text.repeat(20_000));
    const took = performance.now() - started;
    if (took > 500) throw new Error(`${JSON.stringify(text)} took ${took} ms`);
  }
});
