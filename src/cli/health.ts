/** moqe health: asks a service how it is; for health checks of containers, which have no other client. */
import { errorText, MoqeError } from "../base/errors.ts";
import { EXIT, type Invocation } from "./command.ts";
import type { healthFlags } from "./flags.ts";

/** Addresses that stand for every interface, and the one of this machine under which such a service is asked. */
const LOOPBACK: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/** Runs the command; exit code 1 where the service does not answer with 200 in time. */
export async function health({ flags }: Invocation<typeof healthFlags>): Promise<number> {
  const host = LOOPBACK[flags.host] ?? flags.host;
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${flags.port}/${flags.ask}`;
  let answer: { status: number; text: string };
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(flags.timeout) });
    answer = { status: response.status, text: await response.text() };
  } catch (cause) {
    throw new MoqeError("unavailable", { action: `ask ${url}`, rule: errorText(cause), cause });
  }
  console.log(answer.text);
  return answer.status === 200 ? EXIT.ok : EXIT.failure;
}
