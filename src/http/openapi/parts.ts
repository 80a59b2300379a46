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

/** A file of a form. */
export const file = z.object({ file: z.string().meta({ format: "binary" }) });

/** Failures that every route of a kind can have. */
export const failures = (schema: z.ZodType, quota: string) => ({
  "400": answer("A rule is broken; the text says which, and what there is.", schema),
  "403": answer("The key is missing, wrong, or for something else.", schema),
  "408": answer("The body did not arrive in time.", schema),
  "413": answer("More than a stated limit.", schema),
  "429": answer(`Too many requests${quota}; Retry-After has the seconds.`, schema),
  "503": answer("Loading, full or shutting down; Retry-After has the seconds.", schema),
});
