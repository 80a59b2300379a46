/** /v2/document: upload, status, result. */
import { type Context, Hono } from "hono";
import { errorText } from "../../base/errors.ts";
import type { Engine } from "../../engine/protocol.ts";
import { type DeskJob, isForUsers } from "../documents/desk.ts";
import { download, FILE_FORMATS, fileFormat, submit } from "../documents/submit.ts";
import { quickDoors, uploadDoors } from "../doors.ts";
import { RequestError } from "../errors.ts";
import { type Fields, textField } from "../fields.ts";
import type { HttpEnv, HttpOptions } from "../options.ts";
import { loadedModel } from "../ready.ts";
import { glossaryOf } from "./glossary_choice.ts";
import { readPair } from "./translate.ts";
import { parseDeepl, sharedSchema } from "./translate_input.ts";

/** The routes. A document is its owner's alone, and opens only with the key that its upload was answered with. */
export function documentRoutes(engine: Engine, options: HttpOptions): Hono<HttpEnv> {
  const open = quickDoors(options, "documents");
  return new Hono<HttpEnv>()
    .post("/v2/document", ...uploadDoors(options), (c) => upload(c, engine, options))
    .on(["GET", "POST"], "/v2/document/:id", ...open, (c) => {
      const job = find(c, options);
      return c.json({
        document_id: job.id,
        status: job.status,
        ...(job.status === "translating" ? { seconds_remaining: job.secondsLeft ?? 1 } : {}),
        ...(job.status === "done" ? { billed_characters: job.characters } : {}),
        ...(job.status === "error" ? { error_message: job.error } : {}),
      });
    })
    .on(["GET", "POST"], "/v2/document/:id/result", ...open, (c) => {
      const job = find(c, options);
      if (job.result === undefined) {
        throw new RequestError(503, `The document is not ready: its status is ${job.status}.`, {
          retryAfterSeconds: job.secondsLeft ?? 2,
        });
      }
      // As with DeepL a result can be had once; HEAD has none.
      const answer = download(c, job);
      if (c.req.method !== "HEAD") options.desk.remove(job.id);
      return answer;
    });
}

async function upload(
  c: Context<HttpEnv>,
  engine: Engine,
  options: HttpOptions,
): Promise<Response> {
  const info = loadedModel(engine);
  const fields = c.get("fields");
  const input = parseDeepl(sharedSchema, withoutFile(fields), ["glossary_ids"]);
  const pair = readPair(input, info);
  const file = namedFile(fields);
  const glossary = glossaryOf(input, pair, c.get("client").name, options);
  const job = await submit(c, engine, options, { api: "deepl", file, ...pair, glossary });
  const requestId = c.get("requestId");
  // Nobody waits for it, so that what is ours to repair is told here.
  job.finished.then(() => {
    if (job.status !== "error" || isForUsers(job.failure)) return;
    const { stack } = job.failure as Error;
    options.log.error("document failed", { requestId, error: errorText(job.failure), stack });
  });
  return c.json({ document_id: job.id, document_key: job.key });
}

function withoutFile({ file: _, ...rest }: Fields): Fields {
  return rest;
}

/** The file by the name that `filename` gives it, else its own. Throws RequestError 400. */
function namedFile(fields: Fields): File {
  const { file } = fields;
  if (!(file instanceof File)) throw new RequestError(400, "Parameter 'file' not specified.");
  const name = textField(fields, "filename") ?? file.name;
  const named = new File([file], name);
  if (fileFormat(named) !== undefined) return named;
  throw new RequestError(
    400,
    `Value for 'file' not supported: its name must end with ${FILE_FORMATS.join(", ")}.`,
  );
}

/** The document that id and key open. Throws RequestError 404. */
function find(c: Context<HttpEnv>, options: HttpOptions): DeskJob {
  const job = options.desk.find(c.req.param("id")!);
  const key = textField(c.get("fields"), "document_key");
  const isOwn = job?.api === "deepl" && job.owner === c.get("client").name;
  if (isOwn && job.key === key) return job;
  throw new RequestError(404, "Document not found: 'document_key' must be that of its upload.");
}
