/** DeepL's routes for glossaries as OpenAPI has them. */
import { z } from "zod";
import { dictionarySchema, glossaryV2Schema, glossaryV3Schema } from "../deepl/glossary_input.ts";
import { deepl } from "./deepl.ts";
import { answer, body, inPath, type Paths } from "./parts.ts";

const v3Glossary = z.object({
  glossary_id: z.uuid(),
  name: z.string(),
  creation_time: z.iso.datetime(),
  dictionaries: z.array(
    z.object({ source_lang: z.string(), target_lang: z.string(), entry_count: z.int() }),
  ),
});
const v2Glossary = v3Glossary.omit({ dictionaries: true }).extend({
  ready: z.boolean(),
  source_lang: z.string(),
  target_lang: z.string(),
  entry_count: z.int(),
});

/** The routes. */
export const GLOSSARIES: Paths = {
  "/v2/glossary-language-pairs": {
    get: {
      summary: "Pairs that glossaries can have",
      tags: ["Glossaries"],
      responses: deepl(
        answer("Pairs.", z.object({ supported_languages: z.array(z.unknown()) })),
      ),
    },
  },
  "/v2/glossaries": {
    get: {
      summary: "Glossaries of one pair",
      tags: ["Glossaries"],
      responses: deepl(answer("Glossaries.", z.object({ glossaries: z.array(v2Glossary) }))),
    },
    post: {
      summary: "Make a glossary of one pair",
      tags: ["Glossaries"],
      requestBody: body(glossaryV2Schema),
      responses: deepl(answer("The glossary.", v2Glossary), "201"),
    },
  },
  "/v2/glossaries/{id}": {
    get: {
      summary: "A glossary of one pair",
      tags: ["Glossaries"],
      parameters: [inPath("id")],
      responses: deepl(answer("The glossary.", v2Glossary)),
    },
    delete: {
      summary: "Delete it",
      tags: ["Glossaries"],
      parameters: [inPath("id")],
      responses: deepl(answer("It is gone."), "204"),
    },
  },
  "/v2/glossaries/{id}/entries": {
    get: {
      summary: "Its entries",
      tags: ["Glossaries"],
      parameters: [inPath("id")],
      responses: deepl(
        answer("Terms, tab, translations.", z.string(), "text/tab-separated-values"),
      ),
    },
  },
  "/v3/glossaries": {
    get: {
      summary: "Glossaries of any pairs",
      tags: ["Glossaries"],
      responses: deepl(answer("Glossaries.", z.object({ glossaries: z.array(v3Glossary) }))),
    },
    post: {
      summary: "Make a glossary of several pairs",
      tags: ["Glossaries"],
      requestBody: body(glossaryV3Schema),
      responses: deepl(answer("The glossary.", v3Glossary), "201"),
    },
  },
  "/v3/glossaries/{id}": {
    get: {
      summary: "A glossary",
      tags: ["Glossaries"],
      parameters: [inPath("id")],
      responses: deepl(answer("The glossary.", v3Glossary)),
    },
    patch: {
      summary: "Rename it, or add entries",
      tags: ["Glossaries"],
      parameters: [inPath("id")],
      requestBody: body(glossaryV3Schema.partial()),
      responses: deepl(answer("The glossary.", v3Glossary)),
    },
    delete: {
      summary: "Delete it",
      tags: ["Glossaries"],
      parameters: [inPath("id")],
      responses: deepl(answer("It is gone."), "204"),
    },
  },
  "/v3/glossaries/{id}/dictionaries": {
    put: {
      summary: "Replace one pair's entries",
      tags: ["Glossaries"],
      parameters: [inPath("id")],
      requestBody: body(dictionarySchema),
      responses: deepl(answer("The pair.")),
    },
    delete: {
      summary: "Delete one pair's entries",
      tags: ["Glossaries"],
      parameters: [inPath("id")],
      responses: deepl(answer("They are gone."), "204"),
    },
  },
  "/v3/glossaries/{id}/entries": {
    get: {
      summary: "Entries of one pair or of all",
      tags: ["Glossaries"],
      parameters: [inPath("id")],
      responses: deepl(answer("Entries by pair.")),
    },
  },
};
