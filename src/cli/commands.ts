/** Every command that there is: the one table that help, environment variables and validation derive from. */
import { type Command, defineCommand } from "./command.ts";
import {
  cacheFlags,
  evalFlags,
  generateFlags,
  healthFlags,
  keyFlags,
  profileFlags,
  serveFlags,
  translateFlags,
  verifyFlags,
} from "./flags.ts";
import { calibrateFlags, packFlags, planFlags, reorderFlags } from "./pack_flags.ts";

/** How checkpoints of a hub are named, for the commands that take them. */
const HUB = [
  "hf://ORG/NAME[@REVISION] names a repository of a model hub, which is read by ranges at one commit. HF_ENDPOINT is the",
  "hub (https://huggingface.co unless set); HF_TOKEN, or the token file in HF_HOME, is sent to that host alone.",
];

/** In the order that help shows them. */
export const COMMANDS: readonly Command[] = [
  defineCommand({
    name: "serve",
    summary: "answer POST /translate and its neighbours over HTTP",
    details: [
      "SIGTERM and SIGINT let accepted requests finish; a second one, after half a second, ends at once.",
      "GET /live says that the process runs, GET /ready that the model answers.",
    ],
    positionals: [],
    flags: serveFlags,
    load: async () => (await import("./serve.ts")).serve,
  }),
  defineCommand({
    name: "health",
    summary: "ask a running service how it is; exit code 0 where it is well",
    details: [],
    positionals: [],
    flags: healthFlags,
    load: async () => (await import("./health.ts")).health,
  }),
  defineCommand({
    name: "key",
    summary: "make an API key and the key file that knows it",
    details: [
      "The key is shown once, on stderr; the file, which has only its hash, goes to standard output.",
      "For several keys put their records into one file's list.",
    ],
    positionals: [{ name: "NAME", help: "what logs and usage call the key's owner" }],
    flags: keyFlags,
    load: async () => (await import("./key.ts")).key,
  }),
  defineCommand({
    name: "translate",
    summary: "translate files by their format, or standard input line by line",
    details: [
      "moqe translate --from en --to de README.md app.po writes README.de.md and app.de.po; what is no text to",
      "translate is kept to the byte. Interrupted, it goes on where it stopped: give the command again.",
      "Without FILE as many lines come out as go in: moqe translate --from en --to de < in.txt > out.txt",
    ],
    positionals: [
      {
        name: "FILE",
        help: "text, Markdown, HTML, XML, .po, .json, .srt, .vtt; - is standard input",
        optional: true,
        many: true,
      },
    ],
    flags: translateFlags,
    load: async () => (await import("./translate.ts")).translate,
  }),
  defineCommand({
    name: "generate",
    summary: "continue a prompt, or answer a message, with a model that generates",
    details: [
      "moqe generate MODEL --chat --prompt 'Name three rivers.' writes the answer as it comes. Models with an encoder",
      "(NLLB, Switch) translate and do not generate.",
    ],
    positionals: [{ name: "MODEL", help: "the packed model's address" }],
    flags: generateFlags,
    load: async () => (await import("./generate.ts")).generate,
  }),
  defineCommand({
    name: "pack",
    summary: "turn a Hugging Face checkpoint into a packed model",
    details: [
      "Equal inputs give equal bytes. An interrupted pack goes on where it stopped: give the command again.",
      "--experts-from is for a trunk that was trained on around a packed model's experts: their biases, too, are CHECKPOINT's.",
      ...HUB,
    ],
    positionals: [
      {
        name: "CHECKPOINT",
        help: "a folder, http(s) or s3: address with config.json, or hf://ORG/NAME[@REVISION]",
      },
      { name: "OUT", help: "where to write the model: a folder or s3://bucket/prefix" },
    ],
    flags: packFlags,
    load: async () => (await import("./pack.ts")).pack,
  }),
  defineCommand({
    name: "reorder",
    summary: "copy a packed model with experts that fire together side by side: fewer requests",
    details: [
      "moqe profile TEXTS --model MODEL --trace t.gz, then moqe reorder MODEL OUT --order-by t.gz. Blocks are checked and",
      "copied as they are; profiles.json goes along. Interrupted, it goes on where it stopped: give the command again.",
    ],
    positionals: [
      { name: "MODEL", help: "the packed model's address" },
      { name: "OUT", help: "where to write it: a folder or s3://bucket/prefix" },
    ],
    flags: reorderFlags,
    load: async () => (await import("./reorder.ts")).reorder,
  }),
  defineCommand({
    name: "calibrate",
    summary: "sample what a model's experts are fed, for pack to weigh errors by",
    details: [
      "TEXTS has a sentence a line. Use a model with f16 experts, or a checkpoint, which is packed so first.",
      "The file takes (4 + 2 d_model) bytes a row, --samples rows an expert; memory is that of translating.",
      ...HUB,
    ],
    positionals: [
      { name: "MODEL", help: "a packed model's address, or a checkpoint's, as hf://ORG/NAME" },
      { name: "TEXTS", help: "a file of texts in the model's source languages" },
    ],
    flags: calibrateFlags,
    load: async () => (await import("./calibrate.ts")).calibrate,
  }),
  defineCommand({
    name: "verify",
    summary: "read a packed model whole and check every hash",
    details: ["Each --mirror is read whole, too, and must have the very same manifest."],
    positionals: [
      { name: "MODEL", help: "the model's address; all that ship unless given", optional: true },
    ],
    flags: verifyFlags,
    load: async () => (await import("./verify.ts")).verify,
  }),
  defineCommand({
    name: "plan",
    summary: "show what a model takes: sizes, budgets, expert slots",
    details: [
      "Of hf://ORG/NAME[@REVISION] it tells what packing it would give, from less than 1 MB of the repository, and with",
      "--config the same of a checkpoint's config.json alone.",
      ...HUB,
    ],
    positionals: [
      {
        name: "MODEL",
        help: "the model's address, or hf://ORG/NAME; the first that ships unless given",
        optional: true,
      },
    ],
    flags: planFlags,
    load: async () => (await import("./plan.ts")).plan,
  }),
  defineCommand({
    name: "eval",
    summary: "translate a file and score it against a reference: BLEU and chrF++",
    details: [
      "Files have a sentence a line; scores are sacrebleu's, intervals by bootstrap.",
      "moqe eval models/tiny-en-de-fr-es in.txt reference.txt --from en --to de",
    ],
    positionals: [
      { name: "MODEL", help: "the packed model's address" },
      { name: "SRC", help: "the source sentences" },
      { name: "REF", help: "their reference translations" },
    ],
    flags: evalFlags,
    load: async () => (await import("./eval.ts")).evaluate,
  }),
  defineCommand({
    name: "profile",
    summary: "learn which experts each language uses, from texts",
    details: [
      "Put the profiles.json it writes beside the model's manifest: what a language uses is then fetched before it is asked for.",
    ],
    positionals: [
      { name: "TEXTS", help: "texts to translate, one a line; one file for all pairs" },
      { name: "MORE", help: "or one file for each of the pairs", optional: true, many: true },
    ],
    flags: profileFlags,
    load: async () => (await import("./profile.ts")).profile,
  }),
  defineCommand({
    name: "cache",
    summary: "look at the disk cache, fill it, empty it",
    details: [
      "moqe cache stats | ls MODEL | warm MODEL --disk-cache 8GiB --pairs en-de | drop MODEL | drop --all",
    ],
    positionals: [
      { name: "ACTION", help: "ls, stats, warm or drop" },
      { name: "MODEL", help: "the model's address; the shipped one unless given", optional: true },
    ],
    flags: cacheFlags,
    load: async () => (await import("./cache.ts")).cache,
  }),
];
