/** DeepL's routes for glossaries as OpenAPI has them. */
import { z } from "zod";
import { dictionarySchema, glossaryV2Schema, glossaryV3Schema } from "../deepl/glossary_input.ts";
import { deepl } from "./deepl.ts";
import { answer, BODY, body, inPath, inQuery, KEY, type Paths } from "./parts.ts";

const v3Pair = z.object({
  source_lang: z.string(),
  target_lang: z.string(),
  entry_count: z.int(),
});
const v3Glossary = z.object({
  glossary_id: z.uuid(),
  name: z.string(),
  creation_time: z.iso.datetime(),
  dictionaries: z.array(v3Pair),
});
const v3Entries = z.object({
  dictionaries: z.array(z.object({
    source_lang: z.string(),
    target_lang: z.string(),
    entries: z.string(),
    entries_format: z.literal("tsv"),
  })),
});
const v2Glossary = v3Glossary.omit({ dictionaries: true }).extend({
  ready: z.boolean(),
  source_lang: z.string(),
  target_lang: z.string(),
  entry_count: z.int(),
});
/** What routes behind all doors may refuse. */
const ENTERED = [...KEY, ...BODY, "503"] as const;
/** What routes of one glossary may refuse that read nothing. */
const ONE = [...KEY, "404"] as const;

/** The routes. */
export const GLOSSARIES: Paths = {
  "/v2/glossary-language-pairs": {
    get: {
      summary: "Pairs that glossaries can have",
      tags: ["Glossaries"],
      responses: deepl(
        answer("Pairs.", z.object({ supported_languages: z.array(z.unknown()) })),
        [...KEY, "503"],
      ),
    },
  },
  "/v2/glossaries": {
    get: {
      summary: "Glossaries of one pair",
      tags: ["Glossaries"],
      responses: deepl(answer("Glossaries.", z.object({ glossaries: z.array(v2Glossary) })), KEY),
    },
    post: {
      summary: "Make a glossary of one pair",
      tags: ["Glossaries"],
      requestBody: body(glossaryV2Schema),
      responses: deepl(answer("The glossary.", v2Glossary), ENTERED, "201"),
    },
  },
  "/v2/glossaries/{id}": {
    get: {
      summary: "A glossary of one pair",
      tags: ["Glossaries"],
      parameters: [inPath("id")],
      responses: deepl(answer("The glossary.", v2Glossary), ONE),
    },
    delete: {
      summary: "Delete it",
      tags: ["Glossaries"],
      parameters: [inPath("id")],
      responses: deepl(answer("It is gone."), ONE, "204"),
    },
  },
  "/v2/glossaries/{id}/entries": {
    get: {
      summary: "Its entries",
      tags: ["Glossaries"],
      parameters: [inPath("id")],
      responses: deepl(
        answer("Terms, tab, translations.", z.string(), "text/tab-separated-values"),
        ONE,
      ),
    },
  },
  "/v3/glossaries": {
    get: {
      summary: "Glossaries of any pairs",
      tags: ["Glossaries"],
      responses: deepl(answer("Glossaries.", z.object({ glossaries: z.array(v3Glossary) })), KEY),
    },
    post: {
      summary: "Make a glossary of several pairs",
      tags: ["Glossaries"],
      requestBody: body(glossaryV3Schema),
      responses: deepl(answer("The glossary.", v3Glossary), ENTERED, "201"),
    },
  },
  "/v3/glossaries/{id}": {
    get: {
      summary: "A glossary",
      tags: ["Glossaries"],
      parameters: [inPath("id")],
      responses: deepl(answer("The glossary.", v3Glossary), ONE),
    },
    patch: {
      summary: "Rename it, or add entries",
      tags: ["Glossaries"],
      parameters: [inPath("id")],
      requestBody: body(glossaryV3Schema.partial()),
      responses: deepl(answer("The glossary.", v3Glossary), [...ENTERED, "404"]),
    },
    delete: {
      summary: "Delete it",
      tags: ["Glossaries"],
      parameters: [inPath("id")],
      responses: deepl(answer("It is gone."), ONE, "204"),
    },
  },
  "/v3/glossaries/{id}/dictionaries": {
    put: {
      summary: "Replace one pair's entries",
      tags: ["Glossaries"],
      parameters: [inPath("id")],
      requestBody: body(dictionarySchema),
      responses: deepl(answer("The pair.", v3Pair), [...ENTERED, "404"]),
    },
    delete: {
      summary: "Delete one pair's entries",
      tags: ["Glossaries"],
      parameters: [
        inPath("id"),
        inQuery("source_lang", "The pair's source.", true),
        inQuery("target_lang", "The pair's target.", true),
      ],
      responses: deepl(answer("They are gone."), [...ENTERED, "404"], "204"),
    },
  },
  "/v3/glossaries/{id}/entries": {
    get: {
      summary: "Entries of one pair or of all",
      tags: ["Glossaries"],
      parameters: [
        inPath("id"),
        inQuery("source_lang", "The source of the only pair wanted; needs target_lang."),
        inQuery("target_lang", "Its target."),
      ],
      responses: deepl(answer("Entries by pair.", v3Entries), [...ONE, "400", "503"]),
    },
  },
};
