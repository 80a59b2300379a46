/** Runs the real program in a child process. */
const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

/** How a run ended and what it wrote. */
export interface Ended {
  code: number;
  out: string;
  err: string;
}

/** A child that runs, for tests that talk to it or send it signals. */
export function spawnMoqe(args: string[], env: Record<string, string> = {}): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", CONFIG, MAIN, ...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs a command line to its end. */
export async function moqe(
  args: string[],
  options: { env?: Record<string, string>; input?: string | Uint8Array } = {},
): Promise<Ended> {
  const child = spawnMoqe(args, options.env);
  const { input = "" } = options;
  const feed = async () => {
    const writer = child.stdin.getWriter();
    await writer.write(typeof input === "string" ? new TextEncoder().encode(input) : input);
    await writer.close();
  };
  // A program that ends without reading its input breaks the pipe; that is for the test to judge.
  const [output] = await Promise.all([child.output(), feed().catch(() => {})]);
  const decoder = new TextDecoder();
  return {
    code: output.code,
    out: decoder.decode(output.stdout),
    err: decoder.decode(output.stderr),
  };
}
