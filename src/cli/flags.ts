/** Every flag that several commands share, said once. */
import {
  choice,
  duration,
  int,
  list,
  number,
  optionalChoice,
  optionalSize,
  optionalText,
  size,
  text,
  toggle,
} from "../base/config.ts";
import { LOG_LEVELS } from "../base/log.ts";
import { DOCUMENT_FORMATS } from "../text/documents/contract.ts";

/** Where the model is. */
export const modelFlags = {
  model: optionalText("ADDRESS", "the packed model: a folder, file:, http:, https: or s3: address"),
  mirror: list(
    "ADDRESS",
    "where else its blocks are, for those that come wrong or not at all; repeats, or commas between (%2C in an address)",
  ),
  manifestSha256: optionalText("HEX", "refuse a manifest with another hash"),
};

/** Several of them. */
const modelsFlag = (which: string) =>
  list(
    "ADDRESS",
    `packed models: folders, file:, http:, https: or s3: addresses; repeats, or commas between (%2C in an address); ${which}`,
  );

/** The two hard budgets. */
export const budgetFlags = {
  gpuMemory: size("256MiB", "hard budget of device memory; on cpu that of the WASM heap"),
  hostMemory: size("512MiB", "hard budget of everything else the process holds"),
};

/** Where blocks are kept between runs. */
export const diskCacheFlags = {
  diskCache: size("0", "bytes of blocks kept on the disk, shared by all processes; 0 is none"),
  diskCacheDir: optionalText("FOLDER", "where they are kept; ~/.cache/moqe unless given"),
};

/** What the engine is started with. */
export const engineFlags = {
  ...modelFlags,
  device: choice(
    ["auto", "cpu", "webgpu"],
    "auto",
    "where the model runs; auto: a GPU, if it is no software one",
  ),
  ...budgetFlags,
  ...diskCacheFlags,
  encoderShare: number(
    -1,
    { min: -1, max: 1 },
    "share of the expert slots that is the encoder's by right; -1 lets the policy decide",
  ),
  noPrefetch: toggle("fetch experts only when they are asked for"),
  threads: int(
    0,
    { min: 0, max: 64 },
    "cpu threads that share large products; 0 is one a processor, 4 at most",
  ),
  maxBatchTokens: int(
    512,
    { min: 1, max: 65535 },
    "tokens of one forward pass, and never fewer than one sentence needs; answers do not depend on it",
  ),
  maxQueue: int(512, { min: 1, max: 1_000_000 }, "sentences that may wait; more are refused"),
  maxSourceTokens: int(256, { min: 8, max: 4096 }, "tokens of one sentence; longer ones are cut"),
  maxContext: int(
    4096,
    { min: 32, max: 1 << 20 },
    "tokens of one chat or prompt with its answer, where the model and its memory allow",
  ),
  kvCache: choice(["f16", "f32"], "f16", "width of a running sentence's keys and values"),
};

/** How translations are searched for. */
export const searchFlags = {
  beams: int(4, { min: 1, max: 8 }, "beam width; 1 is greedy"),
  lengthPenalty: number(1, { min: -5, max: 5 }, "above 0 favours long translations, below 0 short"),
  maxTokens: int(256, { min: 1, max: 4096 }, "most tokens of one sentence's translation"),
};

/** The service. */
export const serveFlags = {
  host: text("HOST", "127.0.0.1", "address to listen on; 0.0.0.0 is every interface"),
  port: int(5000, { min: 0, max: 65535 }, "port to listen on; 0 takes a free one"),
  ...engineFlags,
  model: modelsFlag("all that ship unless given"),
  hostMemory: optionalSize(
    "hard budget of everything else the process holds; 512MiB unless given, and 128MiB for each further model",
  ),
  ...searchFlags,
  maxBody: size("512KiB", "bytes of one request's body"),
  maxTexts: int(128, { min: 1, max: 100_000 }, "texts of one request"),
  maxChars: int(20_000, { min: 1, max: 10_000_000 }, "characters of one text"),
  bodyTimeout: duration("60s", "time for one request's body to arrive, then 408; 0s: no limit"),
  requestTimeout: duration("0s", "time for one request's translations, then 504; 0s: no limit"),
  idleUnload: duration("0s", "time without requests after which the model's memory is given back"),
  maxRequests: int(32, { min: 1, max: 10_000 }, "requests in flight; more get 503"),
  keys: optionalText("FILE", "API keys (see moqe key); without any, everybody may do everything"),
  keysJson: optionalText("JSON", "the same as text, for the environment: MOQE_KEYS_JSON"),
  rate: int(0, { min: 0, max: 1_000_000 }, "requests a minute of an address without a key; 0: all"),
  cors: list("ORIGINS", "origins whose pages may call, as https://a.example; * is every one"),
  trustedProxies: list("NETWORKS", "proxies whose X-Forwarded-For is believed: 10.0.0.0/8,::1"),
  adminPort: int(0, { min: 0, max: 65535 }, "port of its own for /metrics and /cache; 0: none"),
  adminHost: text("HOST", "127.0.0.1", "address of that port"),
  detection: choice(["on", "off"], "on", "detect languages; takes 90 MiB of host memory"),
  glossaryMemory: size("4MiB", "most bytes of all glossaries"),
  maxDocument: size("2MiB", "bytes of one document"),
  documentMemory: size("16MiB", "most bytes of all documents that wait, run or can be fetched"),
  state: optionalText("FOLDER", "where glossaries and the usage of keys outlive a restart"),
  drainTimeout: duration("30s", "time for accepted requests after SIGTERM or SIGINT"),
  logLevel: choice(LOG_LEVELS, "info", "least level of the JSON-line log on stderr"),
};

/** A question to a running service. */
export const healthFlags = {
  host: serveFlags.host,
  port: serveFlags.port,
  ask: choice(["live", "ready"], "live", "whether the process runs, or the model answers"),
  timeout: duration("3s", "time for the answer"),
};

/** A new API key. */
export const keyFlags = {
  scopes: list("SCOPES", "what it is for: translate,documents,glossaries,admin; the first three"),
  perMinute: int(0, { min: 0, max: 1_000_000 }, "requests a minute; 0: all"),
  perMonth: int(0, { min: 0, max: 1e12 }, "characters a calendar month; 0: all"),
};

/** Translation of files and of standard input. */
export const translateFlags = {
  from: optionalText("CODE", "language of the input: en or eng_Latn; auto detects a file's"),
  to: optionalText("CODE", "language of the output: de or deu_Latn"),
  format: optionalChoice(DOCUMENT_FORMATS, "format of the files; by their names unless given"),
  output: optionalText("FILE", "where one file's translation goes; - is standard output"),
  outputDir: optionalText("DIR", "where translations go; else beside a file as NAME.CODE.EXT"),
  overwrite: toggle("replace files that are there already"),
  glossary: optionalText("FILE", "terms to keep to: lines of TSV, or CSV by its name"),
  split: optionalChoice(["on", "off", "nonewlines"], "where sentences end"),
  jsonKeys: list("KEYS", "json: translate only what is under these keys or paths (a.*.b)"),
  jsonKeep: list("KEYS", "json: do not translate what is under these keys or paths"),
  fuzzy: toggle("gettext: mark new translations as fuzzy"),
  ...engineFlags,
  model: modelsFlag("the first that has the pair, of those that ship unless given"),
  ...searchFlags,
  progress: toggle("show progress on stderr also when that is no terminal"),
};

/** Of commands whose first argument is the model. */
const { model: _, ...placed } = engineFlags;

/** Of commands that are given the model as a word. */
export const placedEngineFlags = placed;

/** What a model writes after a prompt. */
export const generateFlags = {
  prompt: optionalText("TEXT", "what to continue; read from standard input unless given"),
  chat: toggle("the prompt is a message to an assistant, in the model's own chat template"),
  system: optionalText("TEXT", "with --chat: the instruction that comes first"),
  ...placedEngineFlags,
  beams: int(1, { min: 1, max: 8 }, "beam width; 1 is greedy and tells tokens as they come"),
  lengthPenalty: searchFlags.lengthPenalty,
  maxTokens: int(512, { min: 1, max: 1 << 20 }, "most tokens of the answer"),
  progress: translateFlags.progress,
};

/** Scores against a reference. */
export const evalFlags = {
  from: translateFlags.from,
  to: translateFlags.to,
  ...placedEngineFlags,
  ...searchFlags,
  output: optionalText("FILE", "write the translations there, a line each"),
  against: optionalText("FILE", "another system's translations: scored too, with a paired test"),
  json: toggle("print one line of JSON"),
  progress: translateFlags.progress,
};

/** Verification. */
export const verifyFlags = {
  ...modelFlags,
  model: modelsFlag("all that ship unless given"),
  progress: toggle("show progress on stderr also when that is no terminal"),
};

/** Profiles of languages. */
export const profileFlags = {
  ...engineFlags,
  beams: searchFlags.beams,
  pairs: list("PAIRS", "pairs to translate: en-de,en-fr; all that the model was trained for"),
  texts: int(200, { min: 1, max: 1_000_000 }, "texts of each file that are translated"),
  order: choice(["document", "mixed"], "document", "one language after the other, or mixed"),
  output: optionalText("FILE", "where the profiles are written; profiles.json unless given"),
  trace: optionalText(
    "FILE",
    "write the routing trace too, for --order-by and deno task bench cache; .gz packs it",
  ),
  progress: toggle("show progress on stderr also when that is no terminal"),
};

/** The disk cache by hand. */
export const cacheFlags = {
  manifestSha256: modelFlags.manifestSha256,
  ...diskCacheFlags,
  pairs: list("PAIRS", "warm: pairs whose experts are brought in, en-de,en-fr; all unless given"),
  all: toggle("drop: every block, of whatever model"),
  progress: toggle("show progress on stderr also when that is no terminal"),
};
