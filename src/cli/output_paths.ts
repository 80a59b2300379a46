/** Where translations of files go: said before anything is read, so that no work is lost on a name that is taken. */
import { basename, dirname, extname, join, resolve } from "node:path";
import type { Values } from "../base/config.ts";
import { MoqeError } from "../base/errors.ts";
import { unlessMissing } from "../base/files.ts";
import type { DocumentFormat } from "../text/documents/contract.ts";
import { DOCUMENT_EXTENSIONS, formatOfName } from "../text/documents/translate.ts";
import { codeOf } from "../text/languages.ts";
import { isMarked } from "./file_marks.ts";
import type { translateFlags } from "./flags.ts";
import { usage } from "./parse.ts";

/** The name of standard input and output. */
export const STANDARD = "-";

/** One file to translate. */
export interface FileTask {
  readonly input: string;
  /** STANDARD, or a path where nothing is unless --overwrite is given. */
  readonly output: string;
  readonly format: DocumentFormat;
}

type Flags = Pick<Values<typeof translateFlags>, "format" | "output" | "outputDir" | "overwrite">;

/** Tasks in order. Throws MoqeError `bad_input` for unknown formats, and outputs that are there or meant twice. */
export async function planFiles(
  files: readonly string[],
  to: string,
  flags: Flags,
): Promise<FileTask[]> {
  if (files.length === 0) {
    const given = (["output", "outputDir"] as const).find((key) => flags[key] !== undefined);
    if (given !== undefined) {
      throw usage({ name: "translate" }, "an output needs a FILE, or --format for standard input");
    }
    return [];
  }
  if (flags.output !== undefined && (files.length > 1 || flags.outputDir !== undefined)) {
    throw usage({ name: "translate" }, "--output is for one FILE; several have --output-dir");
  }
  const tasks = files.map((input): FileTask => ({
    input,
    output: outputOf(input, to, flags),
    format: flags.format ?? namedFormat(input),
  }));
  const taken = new Map<string, string>();
  for (const { input, output } of tasks) {
    if (output === STANDARD) continue;
    const path = resolve(output), other = taken.get(path);
    const refuse = (rule: string, remedy: string): never => {
      throw new MoqeError("bad_input", { action: `write ${output}`, rule, remedy });
    };
    if (path === resolve(input)) refuse("it is the input", "name another --output");
    if (other !== undefined) refuse(`${other} and ${input} would both go there`, "run them apart");
    // What an interrupted run of several files has made is looked at again with all that decides it.
    const isOurs = files.length > 1 && await isMarked(output);
    if (!flags.overwrite && !isOurs && await exists(path)) throw thereAlready(output);
    taken.set(path, input);
  }
  return tasks;
}

/** For an output that is not to be replaced. */
export function thereAlready(output: string): MoqeError {
  return new MoqeError("bad_input", {
    action: `write ${output}`,
    rule: "it is there already",
    remedy: "remove it, name another or give --overwrite",
  });
}

function outputOf(input: string, to: string, flags: Flags): string {
  if (flags.output !== undefined) return flags.output;
  if (input === STANDARD) return STANDARD;
  // A template that is translated is a catalogue.
  const name = basename(input).replace(/\.pot$/i, ".po");
  if (flags.outputDir !== undefined) return join(flags.outputDir, name);
  const extension = extname(name), code = codeOf(to);
  return join(
    dirname(input),
    `${name.slice(0, name.length - extension.length)}.${code}${extension}`,
  );
}

function namedFormat(input: string): DocumentFormat {
  const format = formatOfName(input);
  if (format !== undefined) return format;
  if (isFolder(input)) {
    throw new MoqeError("bad_input", {
      action: `translate ${input}`,
      rule: "it is a folder",
      remedy: "name its files, as in FOLDER/*.md",
    });
  }
  if (/\.xli?ff?$/i.test(input)) {
    throw new MoqeError("bad_input", {
      action: `translate ${input}`,
      rule: "XLIFF is not read: it has both languages in one file",
      remedy:
        "make it a .po with xliff2po of the translate toolkit, and po2xliff what comes of that",
    });
  }
  throw new MoqeError("bad_input", {
    action: `translate ${input === STANDARD ? "standard input" : input}`,
    rule: `its name must end in one of ${DOCUMENT_EXTENSIONS.map((e) => `.${e}`).join(", ")}`,
    remedy: "say what it is with --format",
  });
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** Whether there is anything of this name. */
export async function exists(path: string): Promise<boolean> {
  return await unlessMissing(Deno.lstat(path)) !== undefined;
}
