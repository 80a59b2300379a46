/** A /v2/translate request, checked. A 400 names the parameter at fault, as DeepL's does. */
import { z } from "zod";
import { RequestError } from "../errors.ts";
import { type Fields, scalars } from "../fields.ts";
import type { HttpLimits } from "../options.ts";
import { codePoints } from "../search.ts";

/** 0 and 1 in a form, false and true in JSON; some clients send numbers. */
const flag = z.union([
  z.boolean(),
  z.literal([0, 1]).transform((n) => n === 1),
  z.stringbool({ truthy: ["1", "true"], falsy: ["0", "false"] }),
]);
/** Joined by commas in a form, a list in JSON. */
const names = z.union([z.array(z.string()), z.string()]).transform((v) =>
  (typeof v === "string" ? v.split(",") : v.flatMap((part) => part.split(",")))
    .map((name) => name.trim()).filter((name) => name !== "")
);

/** Parameters that change how a text is translated; text and document translations share them. */
export const sharedSchema = z.object({
  source_lang: z.string().optional().describe("Language of the text; detected where missing."),
  target_lang: z.string().describe("Language of the translation."),
  formality: z.enum(["default", "prefer_more", "prefer_less"]).optional().describe(
    "Accepted for clients that always send it; no model here knows formal from informal.",
  ),
  glossary_id: z.string().optional().describe("Terms to keep to; needs source_lang."),
  glossary_ids: names.optional().describe(
    "Several glossaries, ten at most; the first that has a term wins.",
  ),
});

/** The request. */
export const deeplTranslateSchema = sharedSchema.extend({
  text: z.union([z.array(z.string()), z.string()]).describe("A text, or several."),
  context: z.string().optional().describe("Accepted; sentences are translated one by one here."),
  show_billed_characters: flag.optional(),
  split_sentences: z.preprocess(
    (v) => typeof v === "boolean" || typeof v === "number" ? String(Number(v)) : v,
    z.enum(["0", "1", "nonewlines"]),
  ).optional().describe(
    "Where sentences end: nowhere (0), at punctuation and line breaks (1), at punctuation only.",
  ),
  preserve_formatting: flag.optional().describe("Accepted; what is no text is always kept."),
  model_type: z.enum(["quality_optimized", "latency_optimized", "prefer_quality_optimized"])
    .optional().describe("latency_optimized searches with one beam."),
  tag_handling: z.enum(["xml", "html"]).optional(),
  tag_handling_version: z.enum(["v1", "v2"]).optional().describe("Accepted; there is one way."),
  outline_detection: flag.optional(),
  non_splitting_tags: names.optional(),
  splitting_tags: names.optional(),
  ignore_tags: names.optional(),
});

/** A request as it was read. */
export type DeeplTranslate = Omit<z.output<typeof deeplTranslateSchema>, "text"> & {
  text: string[];
};

/** What DeepL's newest clients can ask for and no model here can do. */
const IMPOSSIBLE = ["style_id", "custom_instructions", "translation_memory_id"] as const;
const LISTS = ["text", "glossary_ids", "non_splitting_tags", "splitting_tags", "ignore_tags"];

/** Entries of a list; of texts a setting says how many. */
const MAX_LIST = 10_000;

/** Reads and checks a text request. Throws RequestError 400 or 413. */
export function readDeeplTranslate(fields: Fields, limits: HttpLimits): DeeplTranslate {
  const texts = fields["text"];
  if (texts === undefined) throw new RequestError(400, "Parameter 'text' not specified.");
  if (Array.isArray(texts) && texts.length > limits.maxTexts) {
    throw new RequestError(
      400,
      `Parameter 'text' has ${texts.length} texts; ${limits.maxTexts} are the most.`,
    );
  }
  const parsed = parseDeepl(deeplTranslateSchema, fields, LISTS);
  const text = typeof parsed.text === "string" ? [parsed.text] : parsed.text;
  if (text.length === 0) throw new RequestError(400, "Parameter 'text' not specified.");
  const longest = Math.max(...text.map(codePoints));
  if (longest > limits.maxChars) {
    throw new RequestError(
      413,
      `Parameter 'text' has ${longest} characters in one text; ${limits.maxChars} are the most.`,
    );
  }
  return { ...parsed, text };
}

/** Checks fields against a schema. Throws RequestError 400 that names the first parameter at fault. */
export function parseDeepl<S extends z.ZodType>(
  schema: S,
  fields: Fields,
  lists: readonly string[],
): z.output<S> {
  for (const name of IMPOSSIBLE) {
    if (fields[name] !== undefined) {
      throw new RequestError(400, `Parameter '${name}' is not supported by this service.`);
    }
  }
  // Before each entry is looked at: so many faults would take far more memory than the list.
  for (const name of lists.filter((name) => name !== "text")) {
    const list = fields[name];
    if (!Array.isArray(list) || list.length <= MAX_LIST) continue;
    throw new RequestError(
      400,
      `Parameter '${name}' has ${list.length} entries; ${MAX_LIST} are the most.`,
    );
  }
  const parsed = schema.safeParse(scalars(fields, lists));
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  const name = String(path[0] ?? "body");
  if (fields[name] === undefined) throw new RequestError(400, `Parameter '${name}' not specified.`);
  throw new RequestError(400, `Value for '${name}' not supported: ${message}.`);
}
