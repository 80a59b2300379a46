/** Parts that the descriptions of all routes share. */
import { z } from "zod";

/** An operation as the document has it. */
export interface Operation {
  readonly summary: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly Record<string, unknown>[];
  readonly requestBody?: Record<string, unknown>;
  readonly responses: Record<string, Record<string, unknown>>;
  readonly security?: readonly Record<string, string[]>[];
}

/** Paths, their methods and operations. */
export type Paths = Record<string, Record<string, Operation>>;

/** Media types of bodies. */
export const JSON_TYPE = "application/json";
/** Media type of a form. */
export const FORM = "application/x-www-form-urlencoded";
/** Media type of a form with files. */
export const MULTIPART = "multipart/form-data";
/** For routes that need no key. */
export const OPEN = { security: [{}] };

/** A schema as JSON Schema 2020-12, which OpenAPI 3.1 takes as it is. */
export const schemaOf = (schema: z.ZodType) => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return rest;
};
/** A request body by media type. */
export const body = (schema: z.ZodType, types = [JSON_TYPE, FORM]) => ({
  required: true,
  content: Object.fromEntries(types.map((type) => [type, { schema: schemaOf(schema) }])),
});
/** An answer with its schema. */
export const answer = (description: string, schema?: z.ZodType, type = JSON_TYPE) => ({
  description,
  ...(schema === undefined ? {} : { content: { [type]: { schema: schemaOf(schema) } } }),
});
/** An answer of bytes. */
export const binary = { content: { "application/octet-stream": {} } };
/** A parameter in the path. */
export const inPath = (name: string) => ({
  name,
  in: "path",
  required: true,
  schema: { type: "string" },
});
/** A parameter in the query. */
export const inQuery = (name: string, description: string, required = false) => ({
  name,
  in: "query",
  required,
  description,
  schema: { type: "string" },
});

/** A file of a form. */
export const file = z.object({ file: z.string().meta({ format: "binary" }) });

/** What a status says, whatever the route. */
const SAID = {
  "400": "A rule is broken; the text says which, and what there is.",
  "403": "The key is missing, wrong, or for something else.",
  "404": "There is none, or none of this key's.",
  "405": "Another method than the path has; Allow says which it has.",
  "408": "The body did not arrive in time.",
  "413": "More than a stated limit.",
  "415": "The body is neither JSON nor a form, or it is compressed.",
  "429": "Too many requests; Retry-After has the seconds.",
  "456": "The quota is used up.",
  "499": "The client left before the answer: logs and metrics have it, nobody reads it.",
  "503": "Loading, full or shutting down; Retry-After has the seconds.",
  "504": "The time of a request was over before its translations were done.",
} as const;
/** A status of a failure. */
export type Failure = keyof typeof SAID;

/** What routes with a key may refuse. */
export const KEY = ["403", "429"] as const;
/** What routes that read a body may refuse, and how reading it may end. */
export const BODY = ["400", "408", "413", "415", "499"] as const;

/** Failures by status, another method's among them, which every path has; `said` has other words for some. */
export const failures = (
  schema: z.ZodType,
  statuses: readonly Failure[],
  said: Partial<Record<Failure, string>> = {},
): Operation["responses"] =>
  Object.fromEntries(["405" as const, ...statuses].map((status) => {
    const text = said[status] ?? SAID[status];
    return [status, status === "499" ? answer(text) : answer(text, schema)];
  }));
