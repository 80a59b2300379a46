/** What the service remembers beyond a restart: small JSON files in one folder, or nothing where there is none. */
import { errorText, MoqeError } from "../base/errors.ts";

/** Named values. Without a folder they are held by nobody: reads find nothing, writes do nothing. */
export class StateFolder {
  #last: Promise<unknown> = Promise.resolve();

  constructor(readonly path: string | undefined) {}

  /** Every name and value in it. Throws MoqeError `bad_input` for a folder that cannot be used. */
  async readAll(): Promise<Map<string, unknown>> {
    const values = new Map<string, unknown>();
    if (this.path === undefined) return values;
    try {
      await Deno.mkdir(this.path, { recursive: true, mode: 0o700 });
      for await (const { name, isFile } of Deno.readDir(this.path)) {
        if (!isFile || !name.endsWith(".json")) continue;
        const text = await Deno.readTextFile(`${this.path}/${name}`);
        values.set(name.slice(0, -".json".length), JSON.parse(text));
      }
    } catch (cause) {
      throw new MoqeError("bad_input", {
        action: `use the folder ${this.path} for --state`,
        rule: errorText(cause),
        cause,
      });
    }
    return values;
  }

  /** Writes a value whole or not at all. Names are ours: letters, digits, -. */
  write(name: string, value: unknown): Promise<void> {
    return this.#inTurn(async (path) => {
      const file = `${path}/${name}.json`;
      await Deno.writeTextFile(`${file}.new`, JSON.stringify(value), { mode: 0o600 });
      await Deno.rename(`${file}.new`, file);
    });
  }

  /** Forgets a value. */
  remove(name: string): Promise<void> {
    return this.#inTurn(async (path) => {
      await Deno.remove(`${path}/${name}.json`).catch((error) => {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      });
    });
  }

  /** One write at a time, in the order of the calls. */
  #inTurn(work: (path: string) => Promise<void>): Promise<void> {
    const { path } = this;
    if (path === undefined) return Promise.resolve();
    const next = this.#last.then(() => work(path));
    this.#last = next.catch(() => {});
    return next;
  }
}
