/** moqe generate: what a model writes after a prompt, to the terminal as it comes. */
import { startEngine } from "../engine/client.ts";
import type { GenerateParams } from "../engine/protocol.ts";
import { EXIT, type Invocation } from "./command.ts";
import type { generateFlags } from "./flags.ts";
import { listenForInterrupt, orAborted } from "./interrupt.ts";
import { engineOptions, loadedInfo } from "./model.ts";
import { usage } from "./parse.ts";
import { Progress } from "./progress.ts";
import { readStandardText } from "./read_input.ts";

const encoder = new TextEncoder();

/** Runs the command. */
export async function generate(
  { flags, positionals }: Invocation<typeof generateFlags>,
): Promise<number> {
  if (flags.system !== undefined && !flags.chat) {
    throw usage({ name: "generate" }, "--system needs --chat: a prompt as it is has no messages");
  }
  const prompt = flags.prompt ?? await readStandardText("generate");
  using interrupt = listenForInterrupt();
  const { signal } = interrupt, progress = new Progress({ force: flags.progress });
  const unread = new AbortController();
  const engine = startEngine(engineOptions({ ...flags, model: positionals[0] }));
  try {
    await loadedInfo(engine, progress, signal);
    progress.clear();
    let written = Promise.resolve(), from = 0;
    const write = (text: string) => {
      from ||= performance.now();
      written = written.then(() => writeAll(text));
      written.catch((error) => unread.abort(error));
    };
    const beams = flags.beams,
      params: GenerateParams = {
        ...flags.chat ? { messages: chat(flags.system, prompt) } : { prompt },
        beams,
        lengthPenalty: flags.lengthPenalty,
        maxTokens: flags.maxTokens,
      };
    const started = performance.now();
    const until = AbortSignal.any([signal, unread.signal]);
    const found = await orAborted(engine.generate(params, { signal: until, onText: write }), until);
    await written;
    await writeAll("\n");
    if (flags.progress || Deno.stderr.isTerminal()) {
      const first = ((from - started) / 1e3).toFixed(1);
      const rate = (found.tokens - 1) / Math.max(1e-3, (performance.now() - from) / 1e3);
      console.error(
        `moqe: ${found.promptTokens} tokens of prompt, first text after ${first} s, ${found.tokens} tokens` +
          `${beams === 1 ? `, ${rate.toFixed(1)} a second` : ""}${
            found.finish === "length" ? "; ended by --max-tokens or the context's length" : ""
          }`,
      );
    }
    return EXIT.ok;
  } catch (thrown) {
    // Whoever reads our output has seen enough (moqe generate ... | head).
    if (thrown instanceof Deno.errors.BrokenPipe) return EXIT.failure;
    if (!signal.aborted) throw thrown;
    await writeAll("\n");
    return EXIT.interrupted;
  } finally {
    progress.clear();
    if (!signal.aborted) await engine.close();
  }
}

function chat(system: string | undefined, content: string): GenerateParams["messages"] {
  const user = { role: "user", content };
  return system === undefined ? [user] : [{ role: "system", content: system }, user];
}

async function writeAll(text: string): Promise<void> {
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
}
