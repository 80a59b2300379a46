/** /v2/glossaries (one pair each), /v3/glossaries (several) and /v2/glossary-language-pairs. */
import { type Context, Hono } from "hono";
import type { Engine } from "../../engine/protocol.ts";
import { readGlossary } from "../../text/glossary.ts";
import { glossaryToTsv } from "../../text/glossary.ts";
import { admit } from "../access/admit.ts";
import { doors, quickDoors } from "../doors.ts";
import { RequestError } from "../errors.ts";
import { textField } from "../fields.ts";
import { describeLanguage, type Pair } from "../languages.ts";
import type { HttpEnv, HttpOptions } from "../options.ts";
import { loadedModel } from "../ready.ts";
import {
  pairKey,
  readDictionary,
  readGlossaryV2,
  readGlossaryV3,
  readPair,
  readPatch,
} from "./glossary_input.ts";
import type { Dictionary, StoredGlossary } from "./glossary_store.ts";

/** The routes of both versions over one store; v2 shows the glossaries that have one pair. */
export function glossaryRoutes(engine: Engine, options: HttpOptions): Hono<HttpEnv> {
  const key = admit(options, "glossaries");
  return new Hono<HttpEnv>()
    .use("/v2/glossary-language-pairs", key)
    .get(
      "/v2/glossary-language-pairs",
      (c) => c.json({ supported_languages: loadedModel(engine).pairs.map(codesOf) }),
    )
    .route("/", versionTwo(engine, options))
    .route("/", versionThree(engine, options));
}

function versionTwo(engine: Engine, options: HttpOptions): Hono<HttpEnv> {
  const store = options.glossaries;
  const key = admit(options, "glossaries");
  const one = (c: Context<HttpEnv>) => {
    const found = store.get(c.get("client").name, c.req.param("id")!);
    if (found.dictionaries.length === 1) return found;
    throw new RequestError(404, "Glossary not found: it has several pairs; see /v3/glossaries.");
  };
  return new Hono<HttpEnv>()
    .post("/v2/glossaries", ...doors(options, "glossaries"), async (c) => {
      const { name, dictionaries } = readGlossaryV2(c.get("fields"), loadedModel(engine));
      const made = await store.create(c.get("client").name, name, dictionaries);
      return c.json(describeV2(made), 201);
    })
    .get("/v2/glossaries", key, (c) => {
      const all = store.list(c.get("client").name).filter((g) => g.dictionaries.length === 1);
      return c.json({ glossaries: all.map(describeV2) });
    })
    .get("/v2/glossaries/:id", key, (c) => c.json(describeV2(one(c))))
    .get(
      "/v2/glossaries/:id/entries",
      key,
      (c) =>
        c.body(glossaryToTsv(one(c).dictionaries[0]!.glossary), 200, {
          "Content-Type": "text/tab-separated-values; charset=utf-8",
        }),
    )
    .delete("/v2/glossaries/:id", key, async (c) => {
      await store.remove(c.get("client").name, one(c).id);
      return c.body(null, 204);
    });
}

function versionThree(engine: Engine, options: HttpOptions): Hono<HttpEnv> {
  const store = options.glossaries;
  const key = admit(options, "glossaries");
  const entered = doors(options, "glossaries"), quick = quickDoors(options, "glossaries");
  const one = (c: Context<HttpEnv>) => store.get(c.get("client").name, c.req.param("id")!);
  return new Hono<HttpEnv>()
    .post("/v3/glossaries", ...entered, async (c) => {
      const { name, dictionaries } = readGlossaryV3(c.get("fields"), loadedModel(engine));
      const made = await store.create(c.get("client").name, name, dictionaries);
      return c.json(describeV3(made), 201);
    })
    .get(
      "/v3/glossaries",
      key,
      (c) => c.json({ glossaries: store.list(c.get("client").name).map(describeV3) }),
    )
    .get("/v3/glossaries/:id", key, (c) => c.json(describeV3(one(c))))
    .patch("/v3/glossaries/:id", ...entered, async (c) => {
      const { name, dictionaries } = readPatch(c.get("fields"), loadedModel(engine));
      const old = one(c);
      const merged = dictionaries?.reduce(mergeEntries, old.dictionaries) ?? old.dictionaries;
      const changed = { ...old, name: name ?? old.name, dictionaries: merged };
      await store.put(changed);
      return c.json(describeV3(changed));
    })
    .put("/v3/glossaries/:id/dictionaries", ...entered, async (c) => {
      const dictionary = readDictionary(c.get("fields"), loadedModel(engine));
      const old = one(c);
      await store.put({ ...old, dictionaries: [...without(old, dictionary), dictionary] });
      return c.json(describeDictionary(dictionary));
    })
    .delete("/v3/glossaries/:id/dictionaries", ...quick, async (c) => {
      const old = one(c), pair = readPair(c.get("fields"), loadedModel(engine));
      dictionaryOf(old, pair);
      await store.put({ ...old, dictionaries: without(old, pair) });
      return c.body(null, 204);
    })
    .get("/v3/glossaries/:id/entries", ...quick, (c) => {
      const fields = c.get("fields"), glossary = one(c);
      const wanted = textField(fields, "source_lang") === undefined
        ? glossary.dictionaries
        : [dictionaryOf(glossary, readPair(fields, loadedModel(engine)))];
      return c.json({
        dictionaries: wanted.map((d) => ({
          ...codesOf(d),
          entries: glossaryToTsv(d.glossary),
          entries_format: "tsv",
        })),
      });
    })
    .delete("/v3/glossaries/:id", key, async (c) => {
      await store.remove(c.get("client").name, c.req.param("id"));
      return c.body(null, 204);
    });
}

/** A glossary's dictionary of a pair. Throws RequestError 404. */
export function dictionaryOf(glossary: StoredGlossary, pair: Pair): Dictionary {
  const found = glossary.dictionaries.find((d) => pairKey(d) === pairKey(pair));
  if (found !== undefined) return found;
  const { source_lang, target_lang } = codesOf(pair);
  throw new RequestError(404, `The glossary has no entries from ${source_lang} to ${target_lang}.`);
}

function without(glossary: StoredGlossary, pair: Pair): Dictionary[] {
  return glossary.dictionaries.filter((d) => pairKey(d) !== pairKey(pair));
}

/** Entries of the addition win over those of the same term. */
function mergeEntries(all: readonly Dictionary[], addition: Dictionary): readonly Dictionary[] {
  const old = all.find((d) => pairKey(d) === pairKey(addition));
  if (old === undefined) return [...all, addition];
  const terms = new Map(old.glossary.entries.map((e) => [e.source, e]));
  for (const entry of addition.glossary.entries) terms.set(entry.source, entry);
  const merged = { ...addition, glossary: readGlossary(terms.values()) };
  return all.map((d) => d === old ? merged : d);
}

/** DeepL's glossaries have codes in lower case. */
function codesOf({ source, target }: Pair): { source_lang: string; target_lang: string } {
  return {
    source_lang: describeLanguage(source).code.toLowerCase(),
    target_lang: describeLanguage(target).code.toLowerCase(),
  };
}

function describeDictionary(dictionary: Dictionary) {
  return { ...codesOf(dictionary), entry_count: dictionary.glossary.entries.length };
}

function describeV2(glossary: StoredGlossary) {
  return {
    glossary_id: glossary.id,
    name: glossary.name,
    ready: true,
    ...describeDictionary(glossary.dictionaries[0]!),
    creation_time: glossary.createdAt,
  };
}

function describeV3(glossary: StoredGlossary) {
  return {
    glossary_id: glossary.id,
    name: glossary.name,
    dictionaries: glossary.dictionaries.map(describeDictionary),
    creation_time: glossary.createdAt,
  };
}
