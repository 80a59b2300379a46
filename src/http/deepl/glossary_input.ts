/** Glossaries as DeepL's clients send them: one dictionary in v2, several in v3, in JSON or in a form. */
import { z } from "zod";
import type { ModelInfo } from "../../engine/protocol.ts";
import { MoqeError } from "../../base/errors.ts";
import type { Glossary } from "../../text/documents/contract.ts";
import { parseGlossary } from "../../text/glossary.ts";
import { RequestError } from "../errors.ts";
import type { Fields } from "../fields.ts";
import type { Pair } from "../languages.ts";
import { readLanguage } from "./codes.ts";
import type { Dictionary } from "./glossary_store.ts";
import { parseDeepl } from "./translate_input.ts";

const FORMATS = ["tsv", "csv"] as const;
const nameSchema = z.string().trim().min(1).max(1024);

/** One pair's terms. */
export const dictionarySchema = z.object({
  source_lang: z.string(),
  target_lang: z.string(),
  entries: z.string().describe("A term, a tab (or a comma) and its translation a line."),
  entries_format: z.enum(FORMATS).default("tsv"),
});
/** POST /v2/glossaries. */
export const glossaryV2Schema = dictionarySchema.extend({ name: nameSchema });
/** POST /v3/glossaries. */
export const glossaryV3Schema = z.object({
  name: nameSchema,
  dictionaries: z.array(dictionarySchema).min(1).max(100),
});
const patchSchema = glossaryV3Schema.partial();

/** A glossary to be made. */
export interface NewGlossary {
  readonly name: string;
  readonly dictionaries: readonly Dictionary[];
}

/** Reads a v2 glossary. Throws RequestError 400 that names the parameter. */
export function readGlossaryV2(fields: Fields, info: ModelInfo): NewGlossary {
  const { name, ...dictionary } = parseDeepl(glossaryV2Schema, fields, []);
  return { name, dictionaries: [toDictionary(dictionary, info)] };
}

/** Reads a v3 glossary. Throws RequestError 400. */
export function readGlossaryV3(fields: Fields, info: ModelInfo): NewGlossary {
  const { name, dictionaries } = parseDeepl(glossaryV3Schema, nested(fields), ["dictionaries"]);
  return { name, dictionaries: eachOnce(dictionaries.map((d) => toDictionary(d, info))) };
}

/** Reads what PATCH /v3/glossaries/{id} changes. Throws RequestError 400. */
export function readPatch(fields: Fields, info: ModelInfo): Partial<NewGlossary> {
  const { name, dictionaries } = parseDeepl(patchSchema, nested(fields), ["dictionaries"]);
  if (name === undefined && dictionaries === undefined) {
    throw new RequestError(400, "Parameter 'name' or 'dictionaries' must be specified.");
  }
  return {
    ...(name === undefined ? {} : { name }),
    ...(dictionaries === undefined
      ? {}
      : { dictionaries: eachOnce(dictionaries.map((d) => toDictionary(d, info))) }),
  };
}

/** Reads one dictionary. Throws RequestError 400. */
export function readDictionary(fields: Fields, info: ModelInfo): Dictionary {
  return toDictionary(parseDeepl(dictionarySchema, fields, []), info);
}

/** The pair that source_lang and target_lang name. Throws RequestError 400. */
export function readPair(fields: Fields, info: ModelInfo): Pair {
  const schema = dictionarySchema.pick({ source_lang: true, target_lang: true });
  const { source_lang, target_lang } = parseDeepl(schema, fields, []);
  return {
    source: readLanguage(source_lang, "source", info),
    target: readLanguage(target_lang, "target", info),
  };
}

function toDictionary(sent: z.output<typeof dictionarySchema>, info: ModelInfo): Dictionary {
  return {
    source: readLanguage(sent.source_lang, "source", info),
    target: readLanguage(sent.target_lang, "target", info),
    glossary: readEntries(sent.entries, sent.entries_format),
  };
}

function readEntries(entries: string, format: "tsv" | "csv"): Glossary {
  try {
    return parseGlossary(entries, format);
  } catch (thrown) {
    if (!(thrown instanceof MoqeError)) throw thrown;
    throw new RequestError(400, `Value for 'entries' not supported: ${thrown.message}.`);
  }
}

function eachOnce(dictionaries: Dictionary[]): Dictionary[] {
  if (new Set(dictionaries.map(pairKey)).size === dictionaries.length) return dictionaries;
  throw new RequestError(400, "Value for 'dictionaries' not supported: a pair is there twice.");
}

/** One string for a pair. */
export function pairKey({ source, target }: Pair): string {
  return `${source}-${target}`;
}

/** A form has `dictionaries[0].source_lang` where JSON has an array of objects. */
function nested(fields: Fields): Fields {
  const dictionaries: Record<string, unknown>[] = [];
  for (const [key, value] of Object.entries(fields)) {
    const match = /^dictionaries\[(\d{1,2})\]\.(\w+)$/.exec(key);
    if (match === null) continue;
    (dictionaries[Number(match[1])] ??= {})[match[2]!] = Array.isArray(value) ? value[0] : value;
  }
  return dictionaries.length === 0 ? fields : { ...fields, dictionaries: [...dictionaries] };
}
