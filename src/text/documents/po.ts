/** gettext catalogues (.po, .pot): empty msgstr are filled; comments, flags, order and what is translated stay. */
import { MoqeError } from "../../base/errors.ts";
import { codeOf, findLanguage } from "../languages.ts";
import { stringSegment } from "../strings.ts";
import type { DocumentOptions } from "./contract.ts";
import { type DocumentPart, linesOf } from "./parts.ts";
import { pluralForms } from "./plurals.ts";
import { unescape, written } from "./po_strings.ts";

type Line = ReturnType<typeof linesOf>[number];

/** One string of an entry: the lines it is on and its text. */
interface Field {
  readonly keyword: string;
  readonly first: number;
  last: number;
  text: string;
}

interface Entry {
  /** First line of its flags, -1 without. */
  flags: number;
  isFuzzy: boolean;
  readonly fields: Field[];
}

const STRINGS = /(?:"[^"\\]*(?:\\.[^"\\]*)*"\s*)+/.source;
const FIELD = new RegExp(
  `^\\s*(msgctxt|msgid|msgid_plural|msgstr(?:\\[\\d{1,2}\\])?)\\s*(${STRINGS})$`,
);
const MORE = new RegExp(`^\\s*(${STRINGS})$`);
/** What follows is of another domain. Each has a header of its own. */
const DOMAIN = new RegExp(`^\\s*domain\\s*${STRINGS}$`);

/** The parts of a catalogue. Throws MoqeError `bad_input` that names the line that is none of gettext's. */
export function poParts(text: string, options: DocumentOptions): DocumentPart[] {
  const lines = linesOf(text.replace(/^\ufeff/, ""));
  const entries = entriesOf(lines);
  const end = lines[0]?.end === "\r\n" ? "\r\n" : "\n";
  const header = entries.find((e) => textOf(e, "msgid") === "" && !has(e, "msgctxt"));
  const forms = pluralsOf(header, options);
  const writer = new Writer(lines, end, options, entries.some((e) => has(e, "msgid_plural")));
  for (const entry of entries) {
    if (entry === header) writer.header(entry, forms.rule);
    else if (isOpen(entry)) writer.entry(entry, forms);
  }
  return writer.finish(text.startsWith("\ufeff") ? "\ufeff" : "");
}

/**
 * Entries in order; obsolete ones (#~) are comments. Only the next msgid or msgctxt ends an entry: blank lines and
 * comments may stand between its strings.
 */
function entriesOf(lines: readonly Line[]): Entry[] {
  const entries: Entry[] = [];
  // Flags behind an entry's strings are the next one's.
  let entry = newEntry(), ahead = newEntry();
  const close = () => {
    if (entry.fields.length > 0) entries.push(entry);
    [entry, ahead] = [ahead, newEntry()];
  };
  for (const [i, { text }] of lines.entries()) {
    const field = FIELD.exec(text), more = MORE.exec(text), last = entry.fields.at(-1);
    const isDone = last?.keyword.startsWith("msgstr") === true;
    if (field !== null) {
      const keyword = field[1]!;
      if (/^msg(?:ctxt|id)$/.test(keyword) && (isDone || has(entry, keyword))) close();
      else if (ahead.flags !== -1) {
        entry.isFuzzy ||= ahead.isFuzzy;
        ahead = newEntry();
      }
      entry.fields.push({ keyword, first: i, last: i, text: joined(field[2]!) });
    } else if (more !== null && last !== undefined) {
      last.last = i;
      last.text += joined(more[1]!);
    } else if (DOMAIN.test(text)) close();
    else if (text.trimStart().startsWith("#")) comment(isDone ? ahead : entry, text, i);
    else if (text.trim() !== "") {
      throw new MoqeError("bad_input", {
        action: `read line ${i + 1} of the catalogue`,
        rule: "it is no comment, msgid, msgid_plural, msgctxt, msgstr, domain or quoted text",
        observed: JSON.stringify(text.slice(0, 60)),
      });
    }
  }
  close();
  return entries;
}

function newEntry(): Entry {
  return { flags: -1, isFuzzy: false, fields: [] };
}

/** Takes the flags of a comment into the entry that it stands in. */
function comment(entry: Entry, text: string, line: number): void {
  if (/^\s*#,/.test(text)) {
    if (entry.flags === -1) entry.flags = line;
    entry.isFuzzy ||= /\bfuzzy\b/.test(text);
  } else if (/^\s*#~/.test(text) && entry.fields.length === 0) {
    // Flags above an obsolete entry are its own.
    [entry.flags, entry.isFuzzy] = [-1, false];
  }
}

/** The text of quoted strings in a row. */
function joined(strings: string): string {
  return [...strings.matchAll(/"([^"\\]*(?:\\.[^"\\]*)*)"/g)].map((m) => unescape(m[1]!)).join("");
}

/** Whether an entry waits for a translation. A fuzzy one has a guess of its own and is left to its translator. */
function isOpen(entry: Entry): boolean {
  const strings = entry.fields.filter((f) => f.keyword.startsWith("msgstr"));
  return textOf(entry, "msgid") !== undefined && textOf(entry, "msgid") !== "" && !entry.isFuzzy &&
    strings.length > 0 && strings.every((f) => f.text === "");
}

function has(entry: Entry, keyword: string): boolean {
  return entry.fields.some((f) => f.keyword === keyword);
}

function textOf(entry: Entry, keyword: string): string | undefined {
  return entry.fields.find((f) => f.keyword === keyword)?.text;
}

/** The plural forms of a catalogue. */
interface Plurals {
  readonly count: number;
  /** Whether the first is of the number 1 and no other, so far as is told from the rule: n != 1. */
  readonly isOfOneAlone: boolean;
  /** What its header should say; undefined where it says it. */
  readonly rule: string | undefined;
}

/** Its header says how many forms it has, else the target language does. */
function pluralsOf(header: Entry | undefined, options: DocumentOptions): Plurals {
  const text = header === undefined ? "" : textOf(header, "msgstr") ?? "";
  // A catalogue in the language of its sources says their rule; its translation has another.
  const said = isOfSource(text, options) ? null : /nplurals\s*=\s*[1-9].*/.exec(text);
  const rule = said?.[0] ?? pluralForms(codeOf(options.target));
  const count = Number(/\d/.exec(rule)![0]);
  const isOfOneAlone = count === 2 && !/plural\s*=\s*\(?\s*n\s*>\s*1\b/.test(rule);
  return { count, isOfOneAlone, rule: said === null ? rule : undefined };
}

/** Whether a header names the source language. */
function isOfSource(header: string, options: DocumentOptions): boolean {
  const named = findLanguage(/^Language: *([\w@-]+)/m.exec(header)?.[1] ?? "");
  return named !== undefined && named === findLanguage(options.source) &&
    named !== findLanguage(options.target);
}

class Writer {
  readonly #parts: DocumentPart[] = [];
  #next = 0;

  constructor(
    private readonly lines: readonly Line[],
    private readonly end: string,
    private readonly options: DocumentOptions,
    private readonly hasPlurals: boolean,
  ) {}

  finish(mark: string): DocumentPart[] {
    this.#keep(this.lines.length);
    return [mark, ...this.#parts];
  }

  /** Fields of a template's header that wait to be filled or are missing: the language, the encoding, the plural rule. */
  header(entry: Entry, rule: string | undefined): void {
    const field = entry.fields.find((f) => f.keyword === "msgstr");
    if (field === undefined) return;
    const code = codeOf(this.options.target).replace("-", "_");
    const ofSource = isOfSource(field.text, this.options);
    let text = field.text
      .replace(ofSource ? /^Language:.*$/m : /^Language: *$/m, `Language: ${code}`)
      .replace(
        ofSource ? /^Plural-Forms:.*$/m : /^Plural-Forms: *nplurals=INTEGER.*$/m,
        `Plural-Forms: ${rule ?? ""}`,
      )
      // What is written is UTF-8, whatever a template or a catalogue in ASCII calls itself.
      .replace(/^(Content-Type:.*\bcharset=)(?!utf-?8\b).*$/im, "$1UTF-8")
      .replace(/^(Content-Transfer-Encoding:) *ENCODING *$/m, "$1 8bit");
    if (text !== "" && !/^Language:/m.test(text)) text += `Language: ${code}\n`;
    const needsRule = rule !== undefined && this.hasPlurals && text !== "";
    if (needsRule && !/^Plural-Forms:/m.test(text)) text += `Plural-Forms: ${rule}\n`;
    if (text === field.text) return;
    // A template's header is marked fuzzy until it is filled; tools pass over a catalogue with such a one.
    if (entry.isFuzzy) this.#unmarkFuzzy(entry);
    this.#keep(field.first);
    this.#parts.push(written("msgstr", text, this.end));
    this.#pass(field);
  }

  /** The translation of an entry in place of its empty strings. */
  entry(entry: Entry, { count, isOfOneAlone }: Plurals): void {
    const id = textOf(entry, "msgid")!, plural = textOf(entry, "msgid_plural");
    const strings = entry.fields.filter((f) => f.keyword.startsWith("msgstr"));
    if (this.options.poFuzzy === true) this.#markFuzzy(entry);
    // The first form may be of 21 and 31, or of 0: it must show its number, as the plural does.
    const showsNumber = /%|\{/.test(id) === /%|\{/.test(plural ?? "");
    const first = count === 1 || !isOfOneAlone && !showsNumber ? plural : id;
    const forms = Array.from({ length: plural === undefined ? 1 : count }, (_, i) => i);
    const write = (form: number) => {
      if (plural === undefined) this.#text("msgstr", id);
      else this.#text(`msgstr[${form}]`, form === 0 ? first! : plural);
    };
    // In place of the strings that are there, as comments may stand between them; then what is missing.
    for (const field of strings) {
      this.#keep(field.first);
      const form = forms.shift();
      if (form !== undefined) write(form);
      this.#pass(field);
    }
    for (const form of forms) write(form);
  }

  /** Passes over a field that is replaced; a comment among its lines stays. */
  #pass({ first, last }: Field): void {
    for (const { text, end } of this.lines.slice(first + 1, last + 1)) {
      if (!MORE.test(text)) this.#parts.push(text + end);
    }
    this.#next = last + 1;
  }

  #text(keyword: string, text: string): void {
    this.#parts.push({
      segment: stringSegment(text, this.options.splitSentences ?? "on"),
      source: written(keyword, text, this.end),
      text,
      encode: (out) => written(keyword, out, this.end),
    });
  }

  #unmarkFuzzy(entry: Entry): void {
    if (entry.flags < this.#next) return;
    this.#keep(entry.flags);
    const { text, end } = this.lines[entry.flags]!;
    const others = text.replace(/,\s*fuzzy\b/, "");
    if (others.trim() !== "#") this.#parts.push(others + end);
    this.#next = entry.flags + 1;
  }

  #markFuzzy(entry: Entry): void {
    if (entry.flags >= this.#next) {
      this.#keep(entry.flags);
      const { text, end } = this.lines[entry.flags]!;
      this.#parts.push(text.replace(/#,\s*/, "#, fuzzy, ") + end);
      this.#next = entry.flags + 1;
    } else {
      this.#keep(entry.fields[0]!.first);
      this.#parts.push(`#, fuzzy${this.end}`);
    }
  }

  #keep(until: number): void {
    const kept = this.lines.slice(this.#next, until).map((l) => l.text + l.end).join("");
    if (kept !== "") this.#parts.push(kept);
    this.#next = Math.max(this.#next, until);
  }
}
