/** The JSON files of a checkpoint, with limits. */
import { MoqeError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";
import { chatTemplatesSchema, MAX_TEMPLATES_CHARS } from "../store/manifest.ts";
import type { NamedTemplate } from "../text/chat_template.ts";
import type { CheckpointTexts, Folder } from "./contract.ts";

const MAX_CONFIG_BYTES = 2 ** 20;
/** NLLB's tokenizer.json has 17 to 32 MB. */
const MAX_TOKENIZER_BYTES = 64 * 2 ** 20;

/**
 * Reads config.json and tokenizer.json, which must be there, and what may: two more of JSON, and a chat template.
 * `accept` is called with the first of them before the others are read, and may throw.
 */
export async function readTexts(
  folder: Folder,
  accept: (config: Record<string, unknown>) => void,
): Promise<CheckpointTexts> {
  const config = await readConfig(folder);
  accept(config);
  const tokenizer = await folder.stat("tokenizer.json");
  const { chat_template, ...tokenizerConfig } = await readObject(
    folder,
    "tokenizer_config.json",
    {},
  );
  return {
    config,
    generation: await readObject(folder, "generation_config.json", {}),
    tokenizer: await readBytes(folder, "tokenizer.json", MAX_TOKENIZER_BYTES, tokenizer?.bytes),
    tokenizerConfig,
    chatTemplates: await chatTemplates(folder, chat_template),
  };
}

/** A checkpoint's chat templates: those of its configuration, the default one from chat_template.jinja where that is. */
async function chatTemplates(folder: Folder, configured: unknown): Promise<NamedTemplate[]> {
  const file = await folder.stat("chat_template.jinja");
  const named = typeof configured === "string"
    ? [{ name: "default", template: configured }]
    : configured ?? [];
  const all = file === undefined || !Array.isArray(named) ? named : [
    {
      name: "default",
      template: await readText(folder, "chat_template.jinja", MAX_TEMPLATES_CHARS, file.bytes),
    },
    ...named.filter((t) => t?.name !== "default"),
  ];
  if (Array.isArray(all) && all.length === 0) return [];
  const read = chatTemplatesSchema.safeParse(all);
  if (read.success) return read.data;
  throw new MoqeError("bad_input", {
    action: `read the chat templates of ${folder.origin}`,
    rule: read.error.issues.map((i) => `${["chat_template", ...i.path].join(".")} ${i.message}`)
      .join("; "),
    remedy: "mend chat_template of tokenizer_config.json: a text, or a list of names and texts",
  });
}

/** config.json, parsed. Throws MoqeError where it is missing or no JSON object. */
export async function readConfig(folder: Folder): Promise<Record<string, unknown>> {
  return await readObject(folder, "config.json");
}

/** A JSON file; where there is none, `otherwise`. */
async function readObject(
  folder: Folder,
  file: string,
  otherwise?: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const info = await folder.stat(file);
  if (info === undefined && otherwise !== undefined) return otherwise;
  const text = await readText(folder, file, MAX_CONFIG_BYTES, info?.bytes);
  return parseObject(text, `read ${folder.origin}/${file}`);
}

/** A whole file of at most maxBytes; `bytes` is its size, undefined where it is missing. */
async function readBytes(
  folder: Folder,
  file: string,
  maxBytes: number,
  bytes: number | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  const action = `read ${folder.origin}/${file}`;
  if (bytes === undefined) {
    throw new MoqeError("bad_input", {
      action,
      rule: "there is no such file",
      remedy: "a checkpoint is a folder with config.json, tokenizer.json and its weights",
    });
  }
  if (bytes > maxBytes) {
    throw new MoqeError("bad_input", {
      action,
      rule: `it may have ${formatBytes(maxBytes)} at most`,
      observed: formatBytes(bytes),
    });
  }
  const out = new Uint8Array(bytes);
  if (bytes > 0) await folder.read(file, 0, out);
  return out;
}

/** A whole text file of at most maxBytes; `bytes` is its size, undefined where it is missing. */
export async function readText(
  folder: Folder,
  file: string,
  maxBytes: number,
  bytes: number | undefined,
): Promise<string> {
  return new TextDecoder().decode(await readBytes(folder, file, maxBytes, bytes));
}

/** JSON that must be an object. Throws MoqeError `corrupt`. */
export function parseObject(text: string, action: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new MoqeError("corrupt", { action, rule: (cause as Error).message, cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new MoqeError("corrupt", { action, rule: "it must be a JSON object" });
  }
  return value as Record<string, unknown>;
}
