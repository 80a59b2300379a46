/** DeepL's routes for texts and documents as OpenAPI has them. */
import { z } from "zod";
import { deeplTranslateSchema, sharedSchema } from "../deepl/translate_input.ts";
import {
  answer,
  binary,
  body,
  failures,
  file,
  inPath,
  MULTIPART,
  type Operation,
  type Paths,
} from "./parts.ts";

const deeplError = z.object({ message: z.string(), detail: z.string().optional() });
/** Answers of DeepL's routes. */
export const deepl = (ok: Record<string, unknown>, status = "200"): Operation["responses"] => ({
  [status]: ok,
  ...failures(deeplError, ""),
  "456": answer("The quota is used up.", deeplError),
});

const documentKey = z.object({ document_key: z.string() });
/** The routes. */
export const DEEPL: Paths = {
  "/v2/translate": {
    post: {
      summary: "Translate texts",
      tags: ["DeepL"],
      requestBody: body(deeplTranslateSchema),
      responses: deepl(answer(
        "Translations, in order.",
        z.object({
          translations: z.array(z.object({
            detected_source_language: z.string(),
            text: z.string(),
            billed_characters: z.int().optional(),
            model_type_used: z.string().optional(),
          })),
        }),
      )),
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
      responses: deepl(
        answer("Languages.", z.array(z.object({ language: z.string(), name: z.string() }).loose())),
      ),
    },
  },
  "/v2/usage": {
    get: {
      summary: "Characters of this month and the quota",
      tags: ["DeepL"],
      responses: deepl(
        answer("Usage.", z.object({ character_count: z.int(), character_limit: z.int() })),
      ),
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
      ),
    },
  },
  "/v2/document/{id}": {
    post: {
      summary: "How far a document is",
      tags: ["DeepL"],
      parameters: [inPath("id")],
      requestBody: body(documentKey),
      responses: deepl(answer(
        "Its status.",
        z.object({
          document_id: z.uuid(),
          status: z.enum(["queued", "translating", "done", "error"]),
          seconds_remaining: z.int().optional(),
          billed_characters: z.int().optional(),
          error_message: z.string().optional(),
        }),
      )),
    },
  },
  "/v2/document/{id}/result": {
    post: {
      summary: "Fetch a translated document, once",
      tags: ["DeepL"],
      parameters: [inPath("id")],
      requestBody: body(documentKey),
      responses: deepl({ description: "The document.", ...binary }),
    },
  },
};
