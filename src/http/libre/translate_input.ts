/** A /translate request of LibreTranslate's clients, checked. */
import { z } from "zod";
import type { ModelInfo } from "../../engine/protocol.ts";
import { RequestError } from "../errors.ts";
import { type Fields, scalars } from "../fields.ts";
import { resolveCode, resolvePair } from "../languages.ts";
import type { HttpLimits } from "../options.ts";
import { checkCount, checkTexts, MAX_BEAMS } from "../search.ts";

const wholeNumber = (min: number, max: number) => z.coerce.number().int().min(min).max(max);

/** Fields of the request. Unknown ones are let through: clients send some. */
export const translateSchema = z.object({
  q: z.union([z.string(), z.array(z.string())]).describe("A text, or a list of texts."),
  source: z.string().describe("Language of the text, or auto."),
  target: z.string().describe("Language of the translation."),
  format: z.enum(["text", "html"]).default("text").describe("html keeps tags in their places."),
  alternatives: wholeNumber(0, MAX_BEAMS - 1).default(0).describe("Further translations wanted."),
  beams: wholeNumber(1, MAX_BEAMS).optional().describe("Beam width; 1 is greedy."),
  length_penalty: z.coerce.number().min(-5).max(5).optional().describe(
    "Above 0 favours long translations, below 0 short ones.",
  ),
  max_tokens: wholeNumber(1, 4096).optional().describe("Most tokens of a sentence's translation."),
  api_key: z.string().optional().describe("The key, where the service wants one."),
});
const optionsSchema = translateSchema.omit({ q: true, source: true, target: true, format: true });
const querySchema = translateSchema.shape.q;

/** What a client asked for. */
export interface TranslateInput {
  texts: string[];
  /** True where q was an array: the answer is then one too. */
  batch: boolean;
  /** As the client wrote it; undefined where the language is to be detected. */
  source: string | undefined;
  target: string;
  format: "text" | "html";
  alternatives: number;
  beams: number | undefined;
  lengthPenalty: number | undefined;
  maxTokens: number | undefined;
}

/**
 * The pair that a request names, in the model's codes; no source where it is to be detected. A text that is to stay in
 * its language stays as it is, as in LibreTranslate. Throws RequestError 400.
 */
export function resolveInput(
  codes: { source: string | undefined; target: string },
  info: ModelInfo,
): { source: string | undefined; target: string } {
  const source = codes.source === undefined ? undefined : resolveCode(codes.source, info);
  const target = resolveCode(codes.target, info);
  if (source === undefined) return { source, target };
  return source === target ? { source, target } : resolvePair({ source, target }, info);
}

/** Reads and checks a request. Throws RequestError, in LibreTranslate's words where it has some. */
export function readTranslateInput(fields: Fields, limits: HttpLimits): TranslateInput {
  const { texts, batch } = readTexts(fields["q"], limits);
  const single = scalars(fields, ["q"]);
  const codes = readCodes(single);
  const parsed = optionsSchema.safeParse(single);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((i) => `${i.path.join(".")}: ${i.message}`);
    throw new RequestError(400, `Invalid request: ${faults.join("; ")}`);
  }
  const options = parsed.data;
  if (options.beams !== undefined && options.alternatives >= options.beams) {
    throw new RequestError(
      400,
      `Invalid request: ${options.alternatives} alternatives need beams of at least ${
        options.alternatives + 1
      }`,
    );
  }
  return {
    texts,
    batch,
    ...codes,
    format: readFormat(single["format"]),
    alternatives: options.alternatives,
    beams: options.beams,
    lengthPenalty: options.length_penalty,
    maxTokens: options.max_tokens,
  };
}

/** The texts of q, one or many. Throws RequestError 400 in LibreTranslate's words. */
export function readTexts(q: unknown, limits: HttpLimits): { texts: string[]; batch: boolean } {
  if (q === undefined || q === null || q === "" || (Array.isArray(q) && q.length === 0)) {
    throw new RequestError(400, "Invalid request: missing q parameter");
  }
  // Before each of them is looked at: so many faults would take far more memory than the list.
  if (Array.isArray(q)) checkCount(q.length, limits);
  const parsed = querySchema.safeParse(q);
  if (!parsed.success) {
    throw new RequestError(400, "Invalid request: q must be a string or an array of strings");
  }
  const batch = Array.isArray(parsed.data);
  const texts = Array.isArray(parsed.data) ? parsed.data : [parsed.data];
  checkTexts(texts, limits);
  return { texts, batch };
}

function readFormat(format: unknown): "text" | "html" {
  if (format === undefined || format === "text") return "text";
  if (format === "html") return "html";
  const said = typeof format === "string" ? format.slice(0, 40) : "this";
  throw new RequestError(400, `${said} format is not supported`);
}

/** The codes as they were written; no source where it is auto. Throws RequestError where one is missing. */
export function readCodes(
  fields: Record<string, unknown>,
): { source: string | undefined; target: string } {
  const source = readCode(fields, "source"), target = readCode(fields, "target");
  return { source: source.toLowerCase() === "auto" ? undefined : source, target };
}

function readCode(fields: Record<string, unknown>, name: "source" | "target"): string {
  const code = fields[name];
  if (code === undefined) throw new RequestError(400, `Invalid request: missing ${name} parameter`);
  if (typeof code !== "string") {
    throw new RequestError(400, `Invalid request: ${name} must be a string`);
  }
  return code.trim();
}
