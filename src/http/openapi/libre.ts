/** LibreTranslate's routes as OpenAPI has them. */
import { z } from "zod";
import { translateSchema } from "../libre/translate_input.ts";
import {
  answer,
  binary,
  BODY,
  body,
  type Failure,
  failures,
  file,
  FORM,
  inPath,
  JSON_TYPE,
  KEY,
  MULTIPART,
  OPEN,
  type Operation,
  type Paths,
  schemaOf,
} from "./parts.ts";

const code = z.string().describe("A language: de, pt-BR, zh-Hans; FLORES codes too.");
const libreError = z.object({ error: z.string() });
const oneOrMany = <T extends z.ZodType>(schema: T) => z.union([schema, z.array(schema)]);
const detected = z.object({ confidence: z.number().min(0).max(100), language: code });
const libre = (
  ok: Record<string, unknown>,
  statuses: readonly Failure[],
  said: Partial<Record<Failure, string>> = {},
): Operation["responses"] => ({ "200": ok, ...failures(libreError, statuses, said) });
/** For routes whose characters are counted: DeepL's 456 is a 429 here. */
const QUOTA = { "429": "Too many requests, or the quota is used up; Retry-After has the seconds." };

/** The routes. */
export const LIBRE: Paths = {
  "/translate": {
    post: {
      summary: "Translate a text or several; events with Accept: text/event-stream",
      tags: ["LibreTranslate"],
      requestBody: body(translateSchema, [JSON_TYPE, FORM, MULTIPART]),
      responses: libre(
        {
          description:
            "The translation. Events are delta {index, text}, then done with this body, " +
            "or error {error, status}.",
          content: {
            [JSON_TYPE]: {
              schema: schemaOf(z.object({
                translatedText: oneOrMany(z.string()),
                detectedLanguage: oneOrMany(detected).optional(),
                alternatives: z.union([z.array(z.string()), z.array(z.array(z.string()))])
                  .optional(),
              })),
            },
            "text/event-stream": { schema: { type: "string" } },
          },
        },
        [...KEY, ...BODY, "503", "504"],
        QUOTA,
      ),
    },
  },
  "/detect": {
    post: {
      summary: "Which languages a text may be in, or several together",
      tags: ["LibreTranslate"],
      requestBody: body(z.object({ q: oneOrMany(z.string()), api_key: z.string().optional() })),
      responses: libre(
        answer(
          "Up to three guesses, best first; without words one of confidence 0.",
          z.array(detected),
        ),
        [...KEY, ...BODY, "503"],
      ),
    },
  },
  "/languages": {
    get: {
      summary: "The languages of the model and what they can be translated to",
      tags: ["LibreTranslate"],
      ...OPEN,
      responses: libre(
        answer(
          "Languages.",
          z.array(z.object({ code, name: z.string(), targets: z.array(code) })),
        ),
        ["503"],
      ),
    },
  },
  "/frontend/settings": {
    get: {
      summary: "What a page needs to know of the service",
      tags: ["LibreTranslate"],
      ...OPEN,
      responses: libre(answer("Settings.", z.object({ keyRequired: z.boolean() }).loose()), [
        "503",
      ]),
    },
  },
  "/translate_file": {
    post: {
      summary: "Translate a document",
      tags: ["LibreTranslate"],
      requestBody: body(
        file.extend({ source: code, target: code, api_key: z.string().optional() }),
        [MULTIPART],
      ),
      responses: libre(
        answer("Where the translation is.", z.object({ translatedFileUrl: z.url() })),
        [...KEY, ...BODY, "503"],
        QUOTA,
      ),
    },
  },
  "/download_file/{name}": {
    get: {
      summary: "Fetch a translated document, for an hour or until others need its room",
      tags: ["LibreTranslate"],
      ...OPEN,
      parameters: [inPath("name")],
      responses: libre({ description: "The document.", ...binary }, ["404"], {
        "404": "There is none, or no more.",
      }),
    },
  },
  "/health": {
    get: {
      summary: "The model answers; /ready says why not",
      tags: ["LibreTranslate"],
      ...OPEN,
      responses: libre(answer("It does.", z.object({ status: z.literal("ok") })), ["503"]),
    },
  },
  "/suggest": {
    post: {
      summary: "Refused: no model here learns from suggestions",
      tags: ["LibreTranslate"],
      ...OPEN,
      responses: failures(libreError, ["403"], { "403": "Always." }),
    },
  },
};
