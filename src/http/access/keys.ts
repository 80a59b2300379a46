/** API keys as they are kept: their hashes, what each may do and how much. The keys themselves are never stored. */
import { createHash, randomBytes } from "node:crypto";
import { z } from "zod";
import { errorText, MoqeError } from "../../base/errors.ts";

/** What a key may be for. `translate` has detection with it; `admin` has /metrics and its neighbours. */
export const SCOPES = ["translate", "documents", "glossaries", "admin"] as const;
export type Scope = typeof SCOPES[number];

const keySchema = z.strictObject({
  /** What logs, metrics and usage call the key's owner. */
  name: z.string().regex(/^[\w.@-]{1,64}$/, "must be 1 to 64 letters, digits, _ . @ -"),
  /** SHA-256 of the key, in hexadecimal. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/, "must be a SHA-256 in lower-case hexadecimal"),
  scopes: z.array(z.enum(SCOPES)).min(1).default(["translate", "documents", "glossaries"]),
  /** Requests a minute; without it as many as there are. */
  requestsPerMinute: z.int().positive().optional(),
  /** Characters a calendar month (UTC); without it as many as there are. */
  charactersPerMonth: z.int().positive().optional(),
});
const fileSchema = z.strictObject({ keys: z.array(keySchema).min(1) });

/** One key's record. */
export type KeyRecord = z.infer<typeof keySchema>;

/** Reads the text of a key file. Throws MoqeError `bad_input` that names every fault and quotes nothing. */
export function parseKeys(text: string, origin: string): KeyRecord[] {
  const refuse = (rule: string) =>
    new MoqeError("bad_input", {
      action: `read the API keys of ${origin}`,
      rule,
      remedy: `moqe key NAME makes a key and its file; several keys are records of one list`,
    });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw refuse("it must be JSON"); // The parser's own words may quote the text.
  }
  const parsed = fileSchema.safeParse(json);
  if (!parsed.success) {
    throw refuse(parsed.error.issues.map((i) => `${i.path.join(".")}: ${i.message}`).join("; "));
  }
  const { keys } = parsed.data;
  for (const field of ["name", "sha256"] as const) {
    if (new Set(keys.map((k) => k[field])).size < keys.length) {
      throw refuse(`every ${field} must be there once`);
    }
  }
  return keys;
}

/** Reads a key file. Throws MoqeError `bad_input`. */
export async function readKeyFile(path: string): Promise<KeyRecord[]> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (cause) {
    throw new MoqeError("bad_input", {
      action: `read the API keys of ${path}`,
      rule: errorText(cause),
      cause,
    });
  }
  return parseKeys(text, path);
}

/** A new key of 256 random bits, and its hash. */
export function newKey(): { key: string; sha256: string } {
  const key = `moqe_${randomBytes(32).toString("base64url")}`;
  return { key, sha256: hashKey(key) };
}

/** How a key is looked up: a key has 256 random bits, so that a plain hash is as good as a slow one. */
export function hashKey(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}
