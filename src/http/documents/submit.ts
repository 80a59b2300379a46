/** An uploaded file goes to the desk: its format, its languages, its client's quota. */
import type { Context } from "hono";
import type { Engine } from "../../engine/protocol.ts";
import type { DocumentFormat, Glossary } from "../../text/documents/contract.ts";
import { sampleOf } from "../../text/documents/sample.ts";
import {
  DOCUMENT_EXTENSIONS,
  formatOfName,
  translateDocument,
} from "../../text/documents/translate.ts";
import { chooseSources } from "../detection.ts";
import { RequestError } from "../errors.ts";
import { describeLanguage } from "../languages.ts";
import type { HttpEnv, HttpOptions } from "../options.ts";
import { loadedModel } from "../ready.ts";
import { searchParams } from "../search.ts";
import { Versions } from "../versions.ts";
import type { DeskApi, DeskJob, TranslateWork } from "./desk.ts";

/** A file that came in, and what is to become of it. */
export interface Upload {
  readonly api: DeskApi;
  readonly file: File;
  readonly source: string | undefined;
  readonly target: string;
  readonly glossary?: Glossary | undefined;
}

/** Endings of the names of files that can be translated, with their dots. */
export const FILE_FORMATS: readonly string[] = DOCUMENT_EXTENSIONS.map((e) => `.${e}`);

/** The format of a file's name; undefined where it is none that can be translated. */
export function fileFormat(file: File): DocumentFormat | undefined {
  return formatOfName(file.name);
}

/** Takes a file in. Throws RequestError 400, 456; MoqeError `too_large`, `overloaded`. */
export async function submit(
  c: Context<HttpEnv>,
  engine: Engine,
  options: HttpOptions,
  { api, file, source, target, glossary }: Upload,
): Promise<DeskJob> {
  const info = loadedModel(engine);
  const client = c.get("client");
  const format = formatOfName(file.name);
  if (format === undefined) {
    throw new RequestError(400, "Invalid request: file format not supported");
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  const texts = [source === undefined ? sampleOf(bytes, format) : ""];
  const [chosen] = await chooseSources({ texts, source, target, format: "text" }, info, options);
  const from = chosen!.flores;
  Object.assign(c.get("facts"), { source: from, target, format, bytes: bytes.length });
  const search = searchParams({}, info, options);
  // Until its texts are counted a document stands for all that is in it.
  const settle = options.access.reserve(client, from === target ? 0 : codePointsOf(bytes));
  const translate: TranslateWork = async (sourceBytes, { signal, onProgress }) => {
    if (from === target) return { bytes: sourceBytes, characters: 0 };
    const versions = new Versions(engine, { ...search, source: from, target }, { patient: true });
    const translated = await translateDocument(sourceBytes, format, versions.rank(0), {
      source: from,
      target,
      glossary,
      signal,
      onProgress,
      maxBytes: options.desk.limits.maxDocumentBytes,
    });
    settle(translated.characters);
    return translated;
  };
  const name = translatedName(file.name, target);
  try {
    const job = options.desk.submit({ api, owner: client.name, name, bytes }, translate);
    // For what failed or was withdrawn: nothing is counted.
    job.finished.then(() => settle(0));
    return job;
  } catch (refused) {
    settle(0);
    throw refused;
  }
}

/** Characters of a text in UTF-8: bytes that continue none. */
function codePointsOf(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) if ((byte & 0xc0) !== 0x80) count++;
  return count;
}

/** The translation's bytes to be saved; never shown, whatever is in them. */
export function download(c: Context<HttpEnv>, job: DeskJob): Response {
  const { name, result } = job;
  if (c.req.method !== "HEAD") job.isFetched = true;
  return c.body(result!, 200, {
    "Content-Type": "application/octet-stream",
    "Content-Disposition": `attachment; filename*=UTF-8''${encodeURIComponent(name)}`,
  });
}

/** report.md in German is report_de.md. */
function translatedName(name: string, target: string): string {
  // Half a character where a long name is cut could not be put into a header.
  const base = name.split(/[/\\]/).at(-1)!.slice(-200).toWellFormed();
  const dot = base.lastIndexOf(".");
  return `${base.slice(0, dot)}_${describeLanguage(target).code}${base.slice(dot)}`;
}
