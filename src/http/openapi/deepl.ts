/** DeepL's routes for texts and documents as OpenAPI has them. */
import { z } from "zod";
import { deeplTranslateSchema, sharedSchema } from "../deepl/translate_input.ts";
import {
  answer,
  binary,
  BODY,
  body,
  type Failure,
  failures,
  file,
  inPath,
  inQuery,
  KEY,
  MULTIPART,
  type Operation,
  type Paths,
} from "./parts.ts";

const deeplError = z.object({ message: z.string(), detail: z.string().optional() });
/** Answers of DeepL's routes. */
export const deepl = (
  ok: Record<string, unknown>,
  statuses: readonly Failure[],
  status = "200",
  said: Partial<Record<Failure, string>> = {},
): Operation["responses"] => ({ [status]: ok, ...failures(deeplError, statuses, said) });

const languages = answer(
  "Languages.",
  z.array(z.object({ language: z.string(), name: z.string() }).loose()),
);
const usage = answer(
  "Usage.",
  z.object({ character_count: z.int(), character_limit: z.int() }),
);
const side = z.enum(["source", "target"]).default("source");
/** Where a request may name a glossary. */
const NO_GLOSSARY = { "404": "There is no such glossary of this key's, or none for the pair." };

const documentKey = z.object({ document_key: z.string() });
/** A document's id, and what opens it where there is no body. */
const OPENED = [inPath("id"), inQuery("document_key", "What its upload was answered with.", true)];
const documentStatus = answer(
  "Its status.",
  z.object({
    document_id: z.uuid(),
    status: z.enum(["queued", "translating", "done", "error"]),
    seconds_remaining: z.int().optional(),
    billed_characters: z.int().optional(),
    error_message: z.string().optional(),
  }),
);
const documentResult = { description: "The document.", ...binary };
const NOT_READY = { "503": "It is not ready yet; Retry-After has the seconds." };

/** The routes. */
export const DEEPL: Paths = {
  "/v2/translate": {
    post: {
      summary: "Translate texts",
      tags: ["DeepL"],
      requestBody: body(deeplTranslateSchema),
      responses: deepl(
        answer(
          "Translations, in order.",
          z.object({
            translations: z.array(z.object({
              detected_source_language: z.string(),
              text: z.string(),
              billed_characters: z.int().optional(),
              model_type_used: z.string().optional(),
            })),
          }),
        ),
        [...KEY, ...BODY, "404", "456", "503", "504"],
        "200",
        NO_GLOSSARY,
      ),
    },
  },
  "/v2/languages": {
    get: {
      summary: "Source or target languages",
      tags: ["DeepL"],
      parameters: [{
        name: "type",
        in: "query",
        schema: { type: "string", enum: ["source", "target"], default: "source" },
      }],
      responses: deepl(languages, [...KEY, "400", "503"]),
    },
    post: {
      summary: "The same for older clients",
      tags: ["DeepL"],
      requestBody: { ...body(z.object({ type: side })), required: false },
      responses: deepl(languages, [...KEY, ...BODY, "503"]),
    },
  },
  "/v2/usage": {
    get: {
      summary: "Characters of this month and the quota",
      tags: ["DeepL"],
      responses: deepl(usage, KEY),
    },
    post: {
      summary: "The same for older clients",
      tags: ["DeepL"],
      responses: deepl(usage, [...KEY, ...BODY]),
    },
  },
  "/v2/document": {
    post: {
      summary: "Upload a document",
      tags: ["DeepL"],
      requestBody: body(sharedSchema.extend({ ...file.shape, filename: z.string().optional() }), [
        MULTIPART,
      ]),
      responses: deepl(
        answer("Its handle.", z.object({ document_id: z.uuid(), document_key: z.string() })),
        [...KEY, ...BODY, "404", "456", "503"],
        "200",
        NO_GLOSSARY,
      ),
    },
  },
  "/v2/document/{id}": {
    get: {
      summary: "How far a document is, asked without a body",
      tags: ["DeepL"],
      parameters: OPENED,
      responses: deepl(documentStatus, [...KEY, "404"]),
    },
    post: {
      summary: "How far a document is",
      tags: ["DeepL"],
      parameters: [inPath("id")],
      requestBody: body(documentKey),
      responses: deepl(documentStatus, [...KEY, ...BODY, "404"]),
    },
  },
  "/v2/document/{id}/result": {
    get: {
      summary: "Fetch a translated document, once, asked without a body",
      tags: ["DeepL"],
      parameters: OPENED,
      responses: deepl(documentResult, [...KEY, "404", "503"], "200", NOT_READY),
    },
    post: {
      summary: "Fetch a translated document, once",
      tags: ["DeepL"],
      parameters: [inPath("id")],
      requestBody: body(documentKey),
      responses: deepl(documentResult, [...KEY, ...BODY, "404", "503"], "200", NOT_READY),
    },
  },
};
