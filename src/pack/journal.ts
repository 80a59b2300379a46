/** The journal of a pack: what a killed run had finished, so that the next goes on from there. */
import { MoqeError } from "../base/errors.ts";
import { unlessMissing } from "../base/files.ts";
import { BLOCK_ALIGN } from "../base/layout.ts";
import type { ModelCard } from "../checkpoint/contract.ts";
import type { NoteStore } from "../store/contract.ts";
import { FileStore } from "../store/file_store.ts";
import type { FinishedObject } from "./object_writer.ts";

/** Where a journal's text lives: with the objects, so that any host can go on with a pack. */
export interface JournalFile {
  /** The text as it is, "" where there is none. */
  read(): Promise<string>;
  /** Replaces the text whole. */
  write(text: string): Promise<void>;
  append(text: string): Promise<void>;
  remove(): Promise<void>;
  /**
   * Keeps other processes away until it is disposed of: entries of two runs in one journal would put blocks in wrong
   * places. Throws MoqeError `unavailable` where another has it. A bucket has no locks.
   */
  lock?(): Promise<AsyncDisposable>;
}

export const JOURNAL_NAME = ".moqe-pack.jsonl";

/** A journal file at `path`. */
export function journalAt(path: string): JournalFile {
  return {
    read: async () => await unlessMissing(Deno.readTextFile(path)) ?? "",
    write: async (text) => {
      await Deno.mkdir(folderOf(path), { recursive: true });
      await Deno.writeTextFile(`${path}.tmp`, text);
      await Deno.rename(`${path}.tmp`, path);
    },
    append: (text) => Deno.writeTextFile(path, text, { append: true }),
    remove: () => Deno.remove(path),
    lock: () => lockAt(path),
  };
}

/** A lock file beside the journal, which is itself replaced. The system frees the lock of a process that is killed. */
async function lockAt(path: string): Promise<AsyncDisposable> {
  const name = `${path}.lock`;
  await Deno.mkdir(folderOf(path), { recursive: true });
  const file = await Deno.open(name, { read: true, write: true, create: true });
  // Where a file system knows no locks it goes on without.
  if (await file.tryLock(true).catch(() => true)) {
    return {
      [Symbol.asyncDispose]: async () => {
        await Deno.remove(name).catch(() => {});
        file.close();
      },
    };
  }
  file.close();
  throw new MoqeError("unavailable", {
    action: `pack into ${folderOf(path)}`,
    rule: "another moqe packs into it",
    remedy: "wait for it, or name another place",
  });
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1) || ".";
}

/** The journal of a pack into this store. */
export function journalFor(store: FileStore | NoteStore): JournalFile {
  return store instanceof FileStore
    ? journalAt(`${store.folder}/${JOURNAL_NAME}`)
    : journalIn(store);
}

/** A journal beside the objects of a bucket; what is there cannot be appended to, so it is written whole. */
function journalIn(store: NoteStore): JournalFile {
  let text = "";
  const write = async (whole: string) => {
    text = whole;
    await store.writeNote(JOURNAL_NAME, text);
  };
  return {
    read: async () => text = await store.readNote(JOURNAL_NAME),
    write,
    append: (more) => write(text + more),
    remove: () => store.removeNote(JOURNAL_NAME),
  };
}

/** A journal's first line: whose it is. */
export interface JournalHead {
  /** A hash of all that decides the output, so that no run goes on with another's objects. */
  readonly fingerprint: string;
  /** Of a checkpoint from a hub: what was asked for, and which commit that was then. */
  readonly hub?: { readonly asked: string; readonly commit: string } | undefined;
}

/** What a journal says of a checkpoint from a hub. */
export function commitOf(card: ModelCard | undefined): JournalHead["hub"] {
  return card && { asked: `${card.repository}@${card.revision}`, commit: card.commit };
}

/** The head of a journal in which an object is finished; undefined where nothing is to go on with. */
export function headOf(text: string): JournalHead | undefined {
  const [head, ...entries] = text.split("\n");
  if (entries.length < 2) return undefined;
  try {
    const found = JSON.parse(head!) as JournalHead;
    if (typeof found.fingerprint === "string") return found;
  } catch { /* of no pack that is known */ }
  return { fingerprint: "" };
}

/** The entries of a journal with this fingerprint, as far as they are whole: the last line may be torn. */
export function parseJournal(text: string, fingerprint: string): FinishedObject[] {
  if (headOf(text)?.fingerprint !== fingerprint) return [];
  const finished: FinishedObject[] = [];
  // What follows the last newline is a torn line or nothing.
  for (const line of text.split("\n").slice(1, -1)) {
    const entry = parseEntry(line);
    if (entry === undefined) break;
    finished.push(entry);
  }
  return finished;
}

/** A journal's first line as it is written. */
export function headLine(head: JournalHead): string {
  return `${JSON.stringify(head)}\n`;
}

/** A journal's line for one finished object. */
export function entryLine(finished: FinishedObject): string {
  return `${JSON.stringify(finished)}\n`;
}

function parseEntry(line: string): FinishedObject | undefined {
  try {
    const entry = JSON.parse(line) as FinishedObject;
    const whole = entry.object.bytes % BLOCK_ALIGN === 0 && Array.isArray(entry.refs) &&
      typeof entry.receipt === "string";
    return whole ? entry : undefined;
  } catch {
    return undefined;
  }
}
