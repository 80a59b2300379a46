/** What is translated, and the glossary to it: files or standard input, read whole and never beyond a bound. */
import { errorText, MoqeError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";
import type { Glossary } from "../text/documents/contract.ts";
import { parseGlossary } from "../text/glossary.ts";
import { usage } from "./parse.ts";
import { STANDARD } from "./output_paths.ts";

/** A longer file is refused before it is read whole. */
const MAX_BYTES = 64 * 2 ** 20;

/** The terms of --glossary, if it is given. Throws MoqeError `bad_input`. */
export async function readGlossaryFile(path: string | undefined): Promise<Glossary | undefined> {
  if (path === undefined) return undefined;
  const text = new TextDecoder().decode(await readInput(path));
  return parseGlossary(text, path.toLowerCase().endsWith(".csv") ? "csv" : "tsv");
}

/** A file's bytes, or those of standard input. Throws MoqeError `bad_input`, `too_large`. */
export async function readInput(path: string): Promise<Uint8Array> {
  if (path !== STANDARD) return await readFile(path);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of Deno.stdin.readable) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MAX_BYTES) throw tooLong("standard input");
  }
  return new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
}

/** All of standard input as text. Throws MoqeError `bad_input` where it is a terminal, so that nobody waits for it. */
export async function readStandardText(command: string): Promise<string> {
  if (Deno.stdin.isTerminal()) {
    throw usage({ name: command }, "a prompt is needed: --prompt TEXT, or text on standard input");
  }
  return new TextDecoder().decode(await readInput(STANDARD)).replace(/\r?\n$/, "");
}

function tooLong(what: string): MoqeError {
  return new MoqeError("too_large", {
    action: `read ${what}`,
    rule: `it has more than ${formatBytes(MAX_BYTES)}`,
    remedy: "split it; lines without --format are translated as they come, however many",
  });
}

async function readFile(path: string): Promise<Uint8Array> {
  const fault = (rule: string, cause?: unknown) =>
    new MoqeError("bad_input", { action: `read ${path}`, rule, cause });
  try {
    const { size, isDirectory } = await Deno.stat(path);
    if (isDirectory) throw fault("it is a folder");
    if (size > MAX_BYTES) throw tooLong(path);
    return await Deno.readFile(path);
  } catch (thrown) {
    throw thrown instanceof MoqeError ? thrown : fault(errorText(thrown), thrown);
  }
}
