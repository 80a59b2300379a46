/** The real service in a child process: real engine, shipped model, a socket. */
import { modelAddress } from "../../src/cli/model.ts";
import { spawnMoqe } from "../cli/moqe.ts";

/** A service that is ready. */
export class Served {
  private constructor(
    readonly child: Deno.ChildProcess,
    readonly url: string,
    readonly output: { out: string; err: string },
    readonly drained: Promise<unknown>,
  ) {}

  /**
   * Starts on a free port, with the first model that ships unless `args` name others, and waits until it answers.
   * Throws with what was written when it does not.
   */
  static async start(args: string[] = []): Promise<Served> {
    const model = args.includes("--model") ? [] : ["--model", modelAddress(undefined)];
    return await Served.of(spawnMoqe(["serve", "--port", "0", ...model, ...args]));
  }

  /** Waits until a service that was just started answers. */
  static async of(child: Deno.ChildProcess): Promise<Served> {
    await child.stdin.close();
    const output = { out: "", err: "" };
    const drained = Promise.all([
      collect(child.stdout, (text) => output.out += text),
      collect(child.stderr, (text) => output.err += text),
    ]);
    const ended = child.status.then(() => true);
    while (!output.out.includes("\ntry: ")) {
      if (await Promise.race([ended, after(20)])) {
        await drained;
        throw new Error(`the service ended: ${output.out}${output.err}`);
      }
    }
    return new Served(child, /ready on (\S+):/.exec(output.out)![1]!, output, drained);
  }

  /** POST /translate of JSON. */
  translate(body: unknown, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.url}/translate`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      ...init,
    });
  }

  /** A metric's value, by its name and labels as Prometheus writes them. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const line = text.split("\n").find((l) => l.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1));
  }

  /** Resolves when a request is being answered. */
  async busy(): Promise<void> {
    while (!(await this.metric("moqe_http_requests_in_flight") > 0)) await after(10);
  }

  /** Resolves when the service has written these words. */
  async wrote(words: string): Promise<void> {
    while (!this.output.out.includes(words)) await after(10);
  }

  /** Sends a signal and waits for the end; resolves to the exit code. */
  async end(signal: Deno.Signal = "SIGTERM"): Promise<number> {
    this.child.kill(signal);
    const { code } = await this.child.status;
    await this.drained;
    return code;
  }
}

async function collect(stream: ReadableStream<Uint8Array>, add: (text: string) => void) {
  const decoder = new TextDecoder();
  for await (const chunk of stream) add(decoder.decode(chunk, { stream: true }));
}

/** Resolves to false after some milliseconds. */
export function after(ms: number): Promise<false> {
  return new Promise((resolve) => setTimeout(() => resolve(false), ms));
}
