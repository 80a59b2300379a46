/** Which terms a request's translations keep to. */
import type { Glossary } from "../../text/documents/contract.ts";
import { readGlossary } from "../../text/glossary.ts";
import { RequestError } from "../errors.ts";
import type { HttpOptions } from "../options.ts";
import { dictionaryOf } from "./glossaries.ts";

/** The glossaries that a request names, as one; the first that has a term wins. Throws RequestError 400, 404. */
export function glossaryOf(
  input: { glossary_id?: string | undefined; glossary_ids?: readonly string[] | undefined },
  pair: { source: string | undefined; target: string },
  owner: string,
  options: HttpOptions,
): Glossary | undefined {
  const { glossary_id, glossary_ids = [] } = input;
  const ids = glossary_id === undefined ? glossary_ids : [glossary_id, ...glossary_ids];
  if (ids.length === 0) return undefined;
  const { source, target } = pair;
  if (source === undefined) {
    throw new RequestError(400, "Parameter 'source_lang' not specified: a glossary needs it.");
  }
  const found = ids.map((id) =>
    dictionaryOf(options.glossaries.get(owner, id), { source, target }).glossary
  );
  if (found.length === 1) return found[0];
  const terms = new Map(found.toReversed().flatMap((g) => g.entries.map((e) => [e.source, e])));
  return readGlossary(terms.values());
}
