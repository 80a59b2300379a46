/** Glossaries of all keys' owners, in memory under a bound, written through to the state folder. */
import { z } from "zod";
import { MoqeError } from "../../base/errors.ts";
import type { Glossary } from "../../text/documents/contract.ts";
import { glossaryToTsv, parseGlossary } from "../../text/glossary.ts";
import { RequestError } from "../errors.ts";
import type { Pair } from "../languages.ts";
import type { StateFolder } from "../state.ts";

/** Terms of one pair, in FLORES codes. */
export interface Dictionary extends Pair {
  readonly glossary: Glossary;
}

/** A glossary as it is kept. It is never changed, only put anew. */
export interface StoredGlossary {
  readonly id: string;
  /** Whose it is: a key's name. Nobody else sees it. */
  readonly owner: string;
  readonly name: string;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly dictionaries: readonly Dictionary[];
}

/** Bounds of all glossaries together. */
export interface GlossaryLimits {
  readonly maxGlossaries: number;
  /** Bytes of all terms, as UTF-16 holds them. */
  readonly maxBytes: number;
}

const keptSchema = z.object({
  id: z.uuid(),
  owner: z.string(),
  name: z.string(),
  createdAt: z.string(),
  dictionaries: z.array(z.object({ source: z.string(), target: z.string(), entries: z.string() })),
});
const FILE = "glossary-";

/** Keeps glossaries. Every change is on the disk before it is answered for. */
export class GlossaryStore {
  readonly #byId = new Map<string, StoredGlossary>();
  #bytes = 0;

  constructor(readonly folder: StateFolder, readonly limits: GlossaryLimits) {}

  /** Takes in what the state folder held. Throws MoqeError `bad_input` that names a file which is no glossary. */
  load(kept: ReadonlyMap<string, unknown>): void {
    for (const [name, value] of kept) {
      if (!name.startsWith(FILE)) continue;
      const parsed = keptSchema.safeParse(value);
      // Left out without a word, it would be missing from then on and nobody would know why.
      if (!parsed.success) throw notAGlossary(this.folder.fileOf(name));
      const dictionaries = parsed.data.dictionaries.map(({ source, target, entries }) => ({
        source,
        target,
        glossary: parseGlossary(entries, "tsv"),
      }));
      this.#set({ ...parsed.data, dictionaries });
    }
  }

  /** Bytes of all terms. */
  get bytes(): number {
    return this.#bytes;
  }

  /** An owner's glossaries, oldest first. */
  list(owner: string): StoredGlossary[] {
    return [...this.#byId.values()].filter((g) => g.owner === owner);
  }

  /** One glossary of an owner. Throws RequestError 404. */
  get(owner: string, id: string): StoredGlossary {
    const found = this.#byId.get(id);
    if (found?.owner === owner) return found;
    throw new RequestError(404, "Glossary not found.");
  }

  /** Keeps a new glossary. Throws RequestError 413 beyond the bounds. */
  async create(
    owner: string,
    name: string,
    dictionaries: readonly Dictionary[],
  ): Promise<StoredGlossary> {
    const glossary: StoredGlossary = {
      id: crypto.randomUUID(),
      owner,
      name,
      createdAt: new Date().toISOString(),
      dictionaries,
    };
    if (this.#byId.size >= this.limits.maxGlossaries) {
      throw new RequestError(
        413,
        `There are ${this.limits.maxGlossaries} glossaries, which is the limit; delete one first.`,
      );
    }
    await this.put(glossary);
    return glossary;
  }

  /** Keeps a glossary in its new form. Throws RequestError 413 beyond the bounds. */
  async put(glossary: StoredGlossary): Promise<void> {
    const old = this.#byId.get(glossary.id);
    const grown = this.#bytes + bytesOf(glossary) - (old === undefined ? 0 : bytesOf(old));
    if (grown > this.limits.maxBytes) {
      throw new RequestError(
        413,
        `'entries' would make all glossaries ${grown} bytes; ${this.limits.maxBytes} are the most.`,
      );
    }
    // Taken at once, so that two requests cannot both fit into the same room.
    this.#set(glossary);
    await this.folder.write(FILE + glossary.id, {
      ...glossary,
      dictionaries: glossary.dictionaries.map(({ source, target, glossary }) => ({
        source,
        target,
        entries: glossaryToTsv(glossary),
      })),
    });
  }

  /** Forgets a glossary of an owner. Throws RequestError 404. */
  async remove(owner: string, id: string): Promise<void> {
    this.#bytes -= bytesOf(this.get(owner, id));
    this.#byId.delete(id);
    await this.folder.remove(FILE + id);
  }

  #set(glossary: StoredGlossary): void {
    const old = this.#byId.get(glossary.id);
    this.#bytes += bytesOf(glossary) - (old === undefined ? 0 : bytesOf(old));
    this.#byId.set(glossary.id, glossary);
  }
}

function notAGlossary(file: string): MoqeError {
  return new MoqeError("bad_input", {
    action: `read ${file}`,
    rule: "it must be a glossary as moqe keeps them",
    remedy: "put back a copy of it, or take it away to go on without what it held",
  });
}

/** What an entry takes besides its characters: an object and two strings. */
const ENTRY_BYTES = 96;

function bytesOf({ dictionaries }: StoredGlossary): number {
  let bytes = 0;
  for (const { glossary } of dictionaries) {
    for (const { source, target } of glossary.entries) {
      bytes += ENTRY_BYTES + 2 * (source.length + target.length);
    }
  }
  return bytes;
}
