/** Routing traces: which experts each sparse layer asked for, pass by pass; written while profiling, replayed by `deno task bench cache`. */
import { MoqeError } from "../base/errors.ts";
import type { ExpertKey } from "../base/plan.ts";
import type { PolicyLayer, SentenceLanguages } from "./contract.ts";

/** One sparse layer of one forward pass: the distinct experts that its rows were routed to. */
export interface Visit {
  readonly layer: number;
  readonly experts: readonly number[];
  /** Set where a new sentence begins. */
  readonly sentence?: SentenceLanguages | undefined;
}

export interface Trace {
  readonly model: string;
  /** What was translated, in words. */
  readonly about: string;
  readonly layers: readonly PolicyLayer[];
  readonly visits: readonly Visit[];
}

const FORMAT = "moqe-trace";
const VERSION = 1;
/** Lists of experts are written in this base: most numbers then take one character. */
const BASE = 36;

/** First key of each layer and, behind the last, the number of all experts. */
export function firstKeys(layers: readonly { readonly count: number }[]): ExpertKey[] {
  const first = [0];
  for (const l of layers) first.push(first.at(-1)! + l.count);
  return first;
}

/** Writes a trace; the text is small and compresses well. */
export function formatTrace(trace: Trace): string {
  const { model, about, layers } = trace;
  const lines = [JSON.stringify({ format: FORMAT, version: VERSION, model, about, layers })];
  for (const v of trace.visits) {
    if (v.sentence !== undefined) lines.push(`> ${v.sentence.source} ${v.sentence.target}`);
    lines.push(`${v.layer.toString(BASE)} ${v.experts.map((e) => e.toString(BASE)).join(".")}`);
  }
  return `${lines.join("\n")}\n`;
}

/** Reads what `formatTrace` wrote. Throws MoqeError `bad_input` that names the first bad line. */
export function parseTrace(text: string, where: string): Trace {
  const lines = text.split("\n");
  const head = readHead(lines[0] ?? "", where);
  const visits: Visit[] = [];
  let sentence: SentenceLanguages | undefined;
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i]!;
    if (line === "") continue;
    if (line.startsWith("> ")) {
      const [source, target] = line.slice(2).split(" ");
      if (!source || !target) throw badLine(where, i, "a sentence needs two languages");
      sentence = { source, target };
      continue;
    }
    const [l, e] = line.split(" ");
    const layer = Number.parseInt(l!, BASE);
    const experts = (e ?? "").split(".").map((x) => Number.parseInt(x, BASE));
    const count = head.layers[layer]?.count;
    if (count === undefined || experts.some((x) => !(x >= 0 && x < count))) {
      throw badLine(where, i, "it names a layer or an expert that the head does not have");
    }
    visits.push({ layer, experts, sentence });
    sentence = undefined;
  }
  return { ...head, visits };
}

/** Reads a trace file, gzipped where its name ends in .gz. */
export async function readTrace(path: string): Promise<Trace> {
  const file = await Deno.open(path).catch((cause) => {
    throw new MoqeError("bad_input", { action: `read the trace ${path}`, rule: String(cause) });
  });
  const bytes = path.endsWith(".gz")
    ? file.readable.pipeThrough(new DecompressionStream("gzip"))
    : file.readable;
  return parseTrace(await new Response(bytes).text(), path);
}

/** Writes a trace file, gzipped where its name ends in .gz. */
export async function writeTrace(path: string, trace: Trace): Promise<void> {
  const text = new Blob([formatTrace(trace)]).stream();
  const bytes = path.endsWith(".gz") ? text.pipeThrough(new CompressionStream("gzip")) : text;
  await Deno.writeFile(path, bytes);
}

function readHead(line: string, where: string): Omit<Trace, "visits"> {
  try {
    const head = JSON.parse(line);
    const layers: PolicyLayer[] = head.layers;
    const whole = layers.every((l) =>
      (l.stack === "encoder" || l.stack === "decoder") && Number.isInteger(l.count) && l.count > 0
    );
    if (head.format === FORMAT && head.version === VERSION && whole) {
      return { model: String(head.model), about: String(head.about), layers };
    }
  } catch {
    // Told below.
  }
  throw badLine(where, 0, `it is not the head of a ${FORMAT} file of version ${VERSION}`);
}

function badLine(where: string, index: number, rule: string): MoqeError {
  return new MoqeError("bad_input", {
    action: `read the trace ${where}`,
    rule: `line ${index + 1}: ${rule}`,
    remedy: "record it again: moqe profile --trace",
  });
}
