/** Glossaries: terms that must become what they say. Checked when read, found in a text in time linear in it. */
import { MoqeError } from "../base/errors.ts";
import type { Glossary, GlossaryEntry } from "./documents/contract.ts";

/** DeepL's bound of one glossary is 10 MiB; a term is at most 1,024 bytes. */
const MAX_ENTRIES = 100_000, MAX_TERM = 1024;

/** Most entries that begin with one word: all of them are looked at where the word stands. */
const MAX_SAME_START = 64;

/** Checks entries. Throws MoqeError `bad_input` that names every bad one. */
export function readGlossary(entries: Iterable<GlossaryEntry>): Glossary {
  const kept: GlossaryEntry[] = [], faults: string[] = [];
  const seen = new Map<string, number>();
  const starts = new Map<string, number>();
  for (const entry of entries) {
    const source = entry.source.trim(), target = entry.target.trim();
    const line = kept.length + 1;
    const start = startKey(source.toLowerCase());
    const fault = source === "" || target === ""
      ? "a term is empty"
      : source.length > MAX_TERM || target.length > MAX_TERM
      ? `a term is longer than ${MAX_TERM} characters`
      : /\p{Cc}/u.test(source + target)
      ? "a term has a control character"
      : !/[\p{L}\p{N}]/u.test(source)
      ? "a source term has no letter"
      : seen.has(source)
      ? `"${source.slice(0, 40)}" is there twice (entry ${seen.get(source)})`
      : (starts.get(start) ?? 0) >= MAX_SAME_START
      ? `more than ${MAX_SAME_START} terms begin with "${start.slice(0, 40)}"`
      : undefined;
    if (fault !== undefined) faults.push(`entry ${line}: ${fault}`);
    seen.set(source, line);
    starts.set(start, (starts.get(start) ?? 0) + 1);
    kept.push({ source, target });
    if (kept.length > MAX_ENTRIES) faults.push(`it has more than ${MAX_ENTRIES} entries`);
    if (faults.length >= 20 || kept.length > MAX_ENTRIES) break;
  }
  if (faults.length > 0 || kept.length === 0) {
    throw new MoqeError("bad_input", {
      action: "read the glossary",
      rule: faults.length > 0 ? faults.join("; ") : "it has no entries",
    });
  }
  return { entries: kept };
}

/** Reads a glossary file: a term, a separator and its translation a line; CSV fields may be quoted. */
export function parseGlossary(text: string, format: "tsv" | "csv"): Glossary {
  const lines = text.replace(/^\ufeff/, "").split(/\r\n|[\r\n]/);
  const entries: GlossaryEntry[] = [];
  for (const [i, line] of lines.entries()) {
    if (line.trim() === "") continue;
    const fields = format === "tsv" ? line.split("\t") : csvFields(line);
    // DeepL's CSV may carry the two languages behind the terms.
    if (fields.length !== 2 && !(format === "csv" && fields.length === 4)) {
      throw new MoqeError("bad_input", {
        action: `read line ${i + 1} of the glossary`,
        rule: format === "tsv"
          ? "it must be a term, a tab and its translation"
          : "it must be a term, a comma and its translation",
        observed: `${fields.length} field${fields.length === 1 ? "" : "s"}`,
      });
    }
    entries.push({ source: fields[0]!, target: fields[1]! });
  }
  return readGlossary(entries);
}

/** The entries as lines of TSV, as DeepL's clients read them. */
export function glossaryToTsv(glossary: Glossary): string {
  return glossary.entries.map((e) => `${e.source}\t${e.target}`).join("\n");
}

function csvFields(line: string): string[] {
  const fields: string[] = [];
  const pattern = /("(?:[^"]|"")*"|[^",]*)(,|$)/gy;
  for (let match = pattern.exec(line); match !== null; match = pattern.exec(line)) {
    const field = match[1]!;
    fields.push(field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field);
    if (match[2] === "") return fields;
  }
  throw new MoqeError("bad_input", {
    action: "read the glossary",
    rule: "a quoted field must end with its quote",
    observed: line.slice(0, 80),
  });
}

const SCRIPTS = "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}" +
  "\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}";
/** Scripts that write no spaces: a term is found anywhere in them. */
const UNSPACED = new RegExp(`[${SCRIPTS}]`, "u");
/** A word of the other scripts. */
const WORD = `(?:(?![${SCRIPTS}])[\\p{L}\\p{N}\\p{M}_])+`;
const WORD_PART = /[\p{L}\p{N}\p{M}_]/u;
const WORD_START = new RegExp(`^${WORD}`, "u");

/** What entries are looked up by: the first word, or the first character in a script without spaces. */
function startKey(text: string): string {
  const first = String.fromCodePoint(text.codePointAt(0) ?? 32);
  if (UNSPACED.test(first) || !WORD_PART.test(first)) return first;
  return WORD_START.exec(text)![0];
}

/** A term found in a text, with what it must become there. */
export interface FoundTerm {
  readonly start: number;
  readonly end: number;
  readonly target: string;
}

/** Entries by what they begin with, the longest first. */
type TermIndex = ReadonlyMap<string, readonly GlossaryEntry[]>;

/**
 * Indexes of glossaries, which are never changed: a request has many texts with one glossary. An index is as large as
 * its glossary, so that one that is not in use may go.
 */
const INDEXES = new WeakMap<Glossary, WeakRef<TermIndex>>();

function indexOf(glossary: Glossary): TermIndex {
  const known = INDEXES.get(glossary)?.deref();
  if (known !== undefined) return known;
  const byStart = new Map<string, GlossaryEntry[]>();
  for (const one of glossary.entries) {
    const { source, target } = one;
    // Texts from macOS have accents as characters of their own, which makes them longer.
    for (const form of new Set([source, source.normalize("NFC"), source.normalize("NFD")])) {
      const entry = form === source ? one : { source: form, target };
      const key = startKey(form.toLowerCase());
      const list = byStart.get(key);
      if (list === undefined) byStart.set(key, [entry]);
      else list.push(entry);
    }
  }
  for (const list of byStart.values()) list.sort((a, b) => b.source.length - a.source.length);
  INDEXES.set(glossary, new WeakRef(byStart));
  return byStart;
}

/** Finds a glossary's terms. The longest term at a place wins. */
export class TermFinder {
  readonly #byStart: TermIndex;

  constructor(glossary: Glossary) {
    this.#byStart = indexOf(glossary);
  }

  /** Terms of `text` in order. They do not overlap. */
  find(text: string): FoundTerm[] {
    const found: FoundTerm[] = [];
    const starts = new RegExp(`${WORD}|\\S`, "gu");
    for (let match = starts.exec(text); match !== null; match = starts.exec(text)) {
      const word = match[0].slice(0, MAX_TERM);
      const term = this.#at(text, match.index, startKey(word.toLowerCase()));
      if (term === undefined) continue;
      found.push(term);
      starts.lastIndex = term.end;
    }
    return found;
  }

  #at(text: string, start: number, key: string): FoundTerm | undefined {
    for (const entry of this.#byStart.get(key) ?? []) {
      const end = start + entry.source.length;
      const surface = text.slice(start, end);
      if (!sameTerm(surface, entry.source)) continue;
      const last = surface.at(-1)!, next = text[end] ?? " ";
      if (!UNSPACED.test(last) && WORD_PART.test(last) && WORD_PART.test(next)) continue;
      return { start, end, target: inCaseOf(surface, entry) };
    }
    return undefined;
  }
}

/** A term in lower case is found in any case; another as it is written, or all in capitals. */
function sameTerm(surface: string, term: string): boolean {
  if (surface === term) return true;
  if (surface.toLowerCase() !== term.toLowerCase()) return false;
  return term === term.toLowerCase() || surface === term.toUpperCase();
}

/** The translation in the case of what was found: Sentence case and CAPITALS carry over. */
function inCaseOf(surface: string, entry: GlossaryEntry): string {
  if (surface === entry.source) return entry.target;
  const upper = surface.toUpperCase();
  if (surface === upper && [...surface].length > 1) return entry.target.toUpperCase();
  const first = String.fromCodePoint(surface.codePointAt(0)!);
  if (first !== first.toLowerCase()) {
    const head = String.fromCodePoint(entry.target.codePointAt(0)!);
    return head.toUpperCase() + entry.target.slice(head.length);
  }
  return entry.target;
}
