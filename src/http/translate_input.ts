/** A /translate request read from JSON, form or query into one checked shape. */
import type { Context } from "hono";
import { z } from "zod";
import { MoqeError } from "../base/errors.ts";
import { RequestError } from "./errors.ts";
import type { HttpEnv, HttpLimits } from "./options.ts";

/** Widest beam that a request may ask for: it multiplies the cache and the work. */
export const MAX_BEAMS = 8;

const wholeNumber = (min: number, max: number) => z.coerce.number().int().min(min).max(max);

/**
 * Fields beside q, source and target, whose absence has texts of its own. Unknown fields are let through:
 * LibreTranslate's clients send some. api_key is accepted and not looked at.
 */
const optionsSchema = z.object({
  format: z.string().default("text"),
  alternatives: wholeNumber(0, MAX_BEAMS - 1).default(0),
  beams: wholeNumber(1, MAX_BEAMS).optional(),
  length_penalty: z.coerce.number().min(-5).max(5).optional(),
  max_tokens: wholeNumber(1, 4096).optional(),
});

const querySchema = z.union([z.string(), z.array(z.string())]);

/** What a client asked for, checked. */
export interface TranslateInput {
  texts: string[];
  /** True where q was an array: the answer is then one too. */
  batch: boolean;
  source: string;
  target: string;
  alternatives: number;
  beams: number | undefined;
  lengthPenalty: number | undefined;
  maxTokens: number | undefined;
}

/** Reads and checks a request. Throws RequestError, in LibreTranslate's words where it has some. */
export async function readTranslateInput(
  c: Context<HttpEnv>,
  limits: HttpLimits,
): Promise<TranslateInput> {
  const fields = { ...queryFields(c), ...await bodyFields(c) };
  const { texts, batch } = readTexts(fields["q"], limits);
  const source = readCode(fields, "source");
  const target = readCode(fields, "target");
  if (source.toLowerCase() === "auto") {
    throw new RequestError(
      400,
      "auto is not supported: this version does not detect languages; name the source language",
    );
  }
  const parsed = optionsSchema.safeParse(dropEmpty(fields));
  if (!parsed.success) {
    const faults = parsed.error.issues.map((i) => `${i.path.join(".")}: ${i.message}`);
    throw new RequestError(400, `Invalid request: ${faults.join("; ")}`);
  }
  const options = parsed.data;
  if (options.format !== "text") {
    throw new RequestError(
      400,
      `${options.format.slice(0, 40)} format is not supported: this version translates text only`,
    );
  }
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
    source,
    target,
    alternatives: options.alternatives,
    beams: options.beams,
    lengthPenalty: options.length_penalty,
    maxTokens: options.max_tokens,
  };
}

function readTexts(q: unknown, limits: HttpLimits): { texts: string[]; batch: boolean } {
  if (q === undefined || q === null || q === "" || (Array.isArray(q) && q.length === 0)) {
    throw new RequestError(400, "Invalid request: missing q parameter");
  }
  const parsed = querySchema.safeParse(q);
  if (!parsed.success) {
    throw new RequestError(400, "Invalid request: q must be a string or an array of strings");
  }
  const batch = Array.isArray(parsed.data);
  const texts = Array.isArray(parsed.data) ? parsed.data : [parsed.data];
  if (texts.length > limits.maxTexts) throw overLimit(texts.length, limits.maxTexts);
  for (const text of texts) {
    const chars = codePoints(text);
    if (chars > limits.maxChars) throw overLimit(chars, limits.maxChars);
  }
  return { texts, batch };
}

/** LibreTranslate has one text for both limits. */
function overLimit(size: number, limit: number): RequestError {
  return new RequestError(400, `Invalid request: request (${size}) exceeds text limit (${limit})`);
}

/** Length as Python counts it, without making an array of a long text. */
function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

function readCode(fields: Record<string, unknown>, name: "source" | "target"): string {
  const code = fields[name];
  if (code === undefined || code === null || code === "") {
    throw new RequestError(400, `Invalid request: missing ${name} parameter`);
  }
  if (typeof code !== "string") {
    throw new RequestError(400, `Invalid request: ${name} must be a string`);
  }
  return code.trim();
}

/** A form sends an empty field where a JSON client sends none. */
function dropEmpty(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, v]) => v !== "" && v !== null));
}

/** Repeated q of a query string make a batch; of any other field the last one counts. */
function queryFields(c: Context<HttpEnv>): Record<string, unknown> {
  return collect(Object.entries(c.req.queries()).flatMap(([k, vs]) => vs.map((v) => [k, v])));
}

async function bodyFields(c: Context<HttpEnv>): Promise<Record<string, unknown>> {
  const type = (c.req.header("Content-Type") ?? "").split(";")[0]!.trim().toLowerCase();
  if (type === "application/json" || type.endsWith("+json")) return jsonFields(await bodyText(c));
  if (type === "application/x-www-form-urlencoded") {
    return collect([...new URLSearchParams(await bodyText(c))]);
  }
  if (type === "multipart/form-data") return collect([...await multipart(c)]);
  if (await bodyText(c) === "") return {};
  throw new RequestError(
    415,
    "Invalid request: send application/json, application/x-www-form-urlencoded or multipart/form-data",
  );
}

/** The body; it can fail to come only where the client left. */
async function bodyText(c: Context<HttpEnv>): Promise<string> {
  try {
    return await c.req.text();
  } catch (cause) {
    throw new MoqeError("cancelled", {
      action: "read the request",
      rule: "the client left",
      cause,
    });
  }
}

function jsonFields(body: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    throw new RequestError(400, "Invalid JSON format");
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new RequestError(400, "Invalid JSON format");
  }
  return json as Record<string, unknown>;
}

async function multipart(c: Context<HttpEnv>): Promise<FormData> {
  try {
    return await c.req.formData();
  } catch {
    throw new RequestError(400, "Invalid request: the form cannot be read");
  }
}

function collect(entries: Iterable<(string | File)[]>): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  const texts: unknown[] = [];
  for (const [key, value] of entries) {
    if (key === "q") texts.push(value);
    else fields[String(key)] = value;
  }
  if (texts.length > 0) fields["q"] = texts.length === 1 ? texts[0] : texts;
  return fields;
}
