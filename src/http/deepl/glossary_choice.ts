/** Which terms a request's translations keep to. */
import type { Glossary, GlossaryEntry } from "../../text/documents/contract.ts";
import { readGlossary } from "../../text/glossary.ts";
import { RequestError } from "../errors.ts";
import type { HttpOptions } from "../options.ts";
import { dictionaryOf } from "./glossaries.ts";

/** Glossaries of one request: all their terms are looked through before its texts are. */
const MOST_GLOSSARIES = 10;

/** The glossaries that a request names, as one; the first that has a term wins. Throws RequestError 400, 404. */
export function glossaryOf(
  input: { glossary_id?: string | undefined; glossary_ids?: readonly string[] | undefined },
  pair: { source: string | undefined; target: string },
  owner: string,
  options: HttpOptions,
): Glossary | undefined {
  const { glossary_id, glossary_ids = [] } = input;
  const ids = new Set(glossary_id === undefined ? glossary_ids : [glossary_id, ...glossary_ids]);
  if (ids.size === 0) return undefined;
  if (ids.size > MOST_GLOSSARIES) {
    throw new RequestError(
      400,
      `Parameter 'glossary_ids' has ${ids.size} glossaries; ${MOST_GLOSSARIES} are the most.`,
    );
  }
  const { source, target } = pair;
  if (source === undefined) {
    throw new RequestError(400, "Parameter 'source_lang' not specified: a glossary needs it.");
  }
  const found = [...ids].map((id) =>
    dictionaryOf(options.glossaries.get(owner, id), { source, target }).glossary
  );
  if (found.length === 1) return found[0];
  const terms = new Map<string, GlossaryEntry>();
  for (const { entries } of found) {
    for (const entry of entries) if (!terms.has(entry.source)) terms.set(entry.source, entry);
  }
  return readGlossary(terms.values());
}
