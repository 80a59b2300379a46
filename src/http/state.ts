/** What the service remembers beyond a restart: small JSON files in one folder, or nothing where there is none. */
import { errorText, MoqeError } from "../base/errors.ts";
import { unlessMissing } from "../base/files.ts";

const ENDING = ".json";

/** Named values. Without a folder they are held by nobody: reads find nothing, writes do nothing. */
export class StateFolder {
  #last: Promise<unknown> = Promise.resolve();

  constructor(readonly path: string | undefined) {}

  /** Every name and value in it, but for names that are left out. Throws MoqeError `bad_input` that names the file. */
  async readAll(leftOut: readonly string[] = []): Promise<Map<string, unknown>> {
    const values = new Map<string, unknown>();
    for (const name of await this.#names()) {
      if (!leftOut.includes(name)) values.set(name, await this.read(name));
    }
    return values;
  }

  /** A value; undefined where there is none. Throws MoqeError `bad_input` that names the file. */
  async read(name: string): Promise<unknown> {
    if (this.path === undefined) return undefined;
    const file = this.fileOf(name);
    let text: string;
    try {
      text = await Deno.readTextFile(file);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return undefined;
      throw refusal(`read ${file}`, cause);
    }
    try {
      return JSON.parse(text);
    } catch {
      // The parser's own words may quote the text.
      throw new MoqeError("bad_input", {
        action: `read ${file}`,
        rule: text === "" ? "it is empty" : "it must be JSON",
        remedy: "put back a copy of it, or take it away to go on without what it held",
      });
    }
  }

  /** Writes a value whole or not at all. Names are ours: letters, digits, -. */
  write(name: string, value: unknown): Promise<void> {
    return this.#inTurn(async () => {
      const file = this.fileOf(name);
      await writeThrough(`${file}.new`, JSON.stringify(value));
      await Deno.rename(`${file}.new`, file);
    });
  }

  /** Takes a value's file out of use and keeps it as NAME.json.bad, whose path is the result. Throws MoqeError. */
  async setAside(name: string): Promise<string> {
    const file = this.fileOf(name), aside = `${file}.bad`;
    await this.#inTurn(() => Deno.rename(file, aside)).catch((cause) => {
      throw refusal(`keep ${file} aside`, cause);
    });
    return aside;
  }

  /** Forgets a value. */
  remove(name: string): Promise<void> {
    return this.#inTurn(async () => {
      await unlessMissing(Deno.remove(this.fileOf(name)));
    });
  }

  /** Where a value is. */
  fileOf(name: string): string {
    return `${this.path}/${name}${ENDING}`;
  }

  /** Names of what is there; the folder is made where it is missing. */
  async #names(): Promise<string[]> {
    const { path } = this;
    if (path === undefined) return [];
    const names: string[] = [];
    try {
      await Deno.mkdir(path, { recursive: true, mode: 0o700 });
      // Told at start: what cannot be written would be lost when it is needed.
      const probe = await Deno.makeTempFile({ dir: path, prefix: ".moqe-" });
      await Deno.remove(probe);
      for await (const { name, isFile } of Deno.readDir(path)) {
        if (isFile && name.endsWith(ENDING)) names.push(name.slice(0, -ENDING.length));
      }
    } catch (cause) {
      throw refusal(`use the folder ${path} for --state`, cause);
    }
    return names;
  }

  /** One write at a time, in the order of the calls. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    if (this.path === undefined) return Promise.resolve();
    const next = this.#last.then(work);
    this.#last = next.catch(() => {});
    return next;
  }
}

/** Writes a file that is on the disk when this resolves: renamed before that, a power cut could leave it empty. */
async function writeThrough(path: string, text: string): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true, mode: 0o600 });
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  await file.sync();
}

function refusal(action: string, cause: unknown): MoqeError {
  return new MoqeError("bad_input", { action, rule: errorText(cause), cause });
}
