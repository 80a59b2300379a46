/** The journal of a file's translation: sentences that an interrupted run had finished, by the hash of their text. */
import { createHash } from "node:crypto";
import { MoqeError } from "../base/errors.ts";

/** Ends the name of the journal beside an output. */
export const JOURNAL_SUFFIX = ".moqe-journal";

/**
 * Lines of JSON behind a first one with the fingerprint of all that decides a translation. A line that is torn, and
 * whatever follows it, is dropped.
 */
export class FileJournal {
  #last: Promise<void> = Promise.resolve();

  private constructor(
    readonly path: string,
    private readonly file: Deno.FsFile,
    private readonly found: Map<string, string>,
  ) {}

  /** Sentences that were there when it was opened and have not been asked for since. */
  get size(): number {
    return this.found.size;
  }

  /** Opens or begins the journal. Throws MoqeError `unavailable` where another process has it. */
  static async open(path: string, fingerprint: string): Promise<FileJournal> {
    const file = await Deno.open(path, { read: true, write: true, create: true });
    try {
      if (!await file.tryLock(true)) {
        throw new MoqeError("unavailable", {
          action: `write ${path}`,
          rule: "another moqe translates this file",
        });
      }
      const text = await Deno.readTextFile(path);
      const { found, length } = readEntries(text, `${JSON.stringify({ moqe: 1, fingerprint })}\n`);
      const kept = new TextEncoder().encode(text.slice(0, length)).length;
      await file.truncate(kept);
      await file.seek(kept, Deno.SeekMode.Start);
      const journal = new FileJournal(path, file, found);
      if (length === 0) await journal.#write(`${JSON.stringify({ moqe: 1, fingerprint })}\n`);
      return journal;
    } catch (thrown) {
      file.close();
      throw thrown;
    }
  }

  /** The translation that an earlier run found, given once. */
  take(text: string): string | undefined {
    const key = keyOf(text), found = this.found.get(key);
    this.found.delete(key);
    return found;
  }

  /** Adds what was translated, in one write. */
  async add(texts: readonly string[], translations: readonly string[]): Promise<void> {
    const lines = texts.map((text, i) => `${JSON.stringify([keyOf(text), translations[i]])}\n`);
    await this.#write(lines.join(""));
  }

  /** Closes it; it stays for the next run, or goes when the translation is written. */
  async close(options: { remove: boolean }): Promise<void> {
    if (options.remove) await Deno.remove(this.path);
    this.file.close();
  }

  /** Writes behind what is being written. */
  #write(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    const next = this.#last.then(async () => {
      for (let at = 0; at < bytes.length;) at += await this.file.write(bytes.subarray(at));
    });
    this.#last = next.catch(() => {});
    return next;
  }
}

/** Whole entries and how many characters they take; none where the head is another's. */
function readEntries(text: string, head: string): { found: Map<string, string>; length: number } {
  const found = new Map<string, string>();
  if (!text.startsWith(head)) return { found, length: 0 };
  let length = head.length;
  for (let end = text.indexOf("\n", length); end !== -1; end = text.indexOf("\n", length)) {
    const entry = entryOf(text.slice(length, end));
    if (entry === undefined) break;
    found.set(...entry);
    length = end + 1;
  }
  return { found, length };
}

function entryOf(line: string): [string, string] | undefined {
  try {
    const [key, translation] = JSON.parse(line);
    return typeof key === "string" && typeof translation === "string"
      ? [key, translation]
      : undefined;
  } catch {
    return undefined;
  }
}

function keyOf(text: string): string {
  return hashOf(text).slice(0, 32);
}

/** sha256 of a text or bytes, in hexadecimal. */
export function hashOf(text: string | Uint8Array): string {
  return createHash("sha256").update(text).digest("hex");
}
