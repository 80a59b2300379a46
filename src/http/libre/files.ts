/** POST /translate_file and GET /download_file in LibreTranslate's shape. */
import { type Context, Hono } from "hono";
import type { Engine } from "../../engine/protocol.ts";
import { download, fileFormat, submit } from "../documents/submit.ts";
import { uploadDoors } from "../doors.ts";
import { RequestError } from "../errors.ts";
import { scalars } from "../fields.ts";
import type { HttpEnv, HttpOptions } from "../options.ts";
import { loadedModel } from "../ready.ts";
import { readCodes, resolveInput } from "./translate_input.ts";

/** The routes. A download needs no key: its name is a secret of its own, as in LibreTranslate. */
export function fileRoutes(engine: Engine, options: HttpOptions): Hono<HttpEnv> {
  return new Hono<HttpEnv>()
    .post("/translate_file", ...uploadDoors(options), (c) => translateFile(c, engine, options))
    .get("/download_file/:name", (c) => {
      const job = options.desk.find(c.req.param("name").replace(/\.\w+$/, ""));
      if (job?.api !== "libre" || job.result === undefined) {
        throw new RequestError(404, "Invalid filename");
      }
      return download(c, job);
    });
}

/** Answers when the file is translated, with the address of the translation. */
async function translateFile(
  c: Context<HttpEnv>,
  engine: Engine,
  options: HttpOptions,
): Promise<Response> {
  const info = loadedModel(engine);
  const { file } = c.get("fields");
  const fields = scalars(c.get("fields"));
  if (!(file instanceof File)) {
    throw new RequestError(400, "Invalid request: missing file parameter");
  }
  const codes = readCodes(fields);
  if (file.name === "" || file.size === 0) {
    throw new RequestError(400, "Invalid request: empty file");
  }
  if (fileFormat(file) === undefined) {
    throw new RequestError(400, "Invalid request: file format not supported");
  }
  const pair = resolveInput(codes, info);
  const job = await submit(c, engine, options, { api: "libre", file, ...pair });
  // The upload is over; the desk counts the document from here.
  c.get("leave")();
  const { signal } = c.req.raw;
  const left = () => options.desk.remove(job.id);
  signal.addEventListener("abort", left, { once: true });
  await job.finished;
  signal.removeEventListener("abort", left);
  if (job.status === "error") throw job.failure;
  const ending = job.name.slice(job.name.lastIndexOf("."));
  return c.json({ translatedFileUrl: `${originOf(c, options)}/download_file/${job.id}${ending}` });
}

/** The address under which the client knows the service; a proxy's word for it counts only where it is trusted. */
function originOf(c: Context<HttpEnv>, { proxies }: HttpOptions): string {
  const believed = proxies.trusts(c.env?.peer ?? "");
  const forwarded = (name: string) => believed ? c.req.header(name) : undefined;
  const scheme = forwarded("X-Forwarded-Proto") === "https" ? "https" : "http";
  const host = forwarded("X-Forwarded-Host") ?? c.req.header("Host") ?? new URL(c.req.url).host;
  return /^[\w.:[\]-]+$/.test(host) ? `${scheme}://${host}` : "";
}
