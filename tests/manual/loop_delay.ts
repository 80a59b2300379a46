/**
 * How long the HTTP thread keeps others waiting: `serve` in this process, 16 clients in a Worker, and how late a
 * timer of 1 ms comes on this thread, idle and under load.
 * `deno run -A tests/manual/loop_delay.ts SECONDS [FLAGS OF SERVE]`
 */
import { COMMANDS } from "../../src/cli/commands.ts";
import { runProgram } from "../../src/cli/program.ts";

const CLIENTS = 16;
const SOURCE = `
  const [url, clients] = self.name.split(" ");
  const texts = ["The house stands by the river.", "We saw two old ships in the harbour.", "It rains."];
  const run = async (i) => {
    for (let n = 0;; n++) {
      const body = JSON.stringify({ q: texts.map((t) => t + " " + i + n), source: "en", target: "de" });
      const headers = { "content-type": "application/json" };
      const answer = await fetch(url + "/translate", { method: "POST", headers, body });
      await answer.text();
      self.postMessage(answer.status);
    }
  };
  for (let i = 0; i < Number(clients); i++) run(i);
`;

/** How late timers of 1 ms are over some seconds, in ms, sorted. */
async function lateness(seconds: number): Promise<number[]> {
  const late: number[] = [];
  const end = performance.now() + seconds * 1e3;
  while (performance.now() < end) {
    const start = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 1));
    late.push(performance.now() - start - 1);
  }
  return late.sort((a, b) => a - b);
}

function say(what: string, late: number[]): void {
  const at = (share: number) => late[Math.min(late.length - 1, Math.floor(share * late.length))]!;
  const shares = [0.5, 0.99, 0.999].map((s) => `${100 * s} % ${at(s).toFixed(2)}`).join(", ");
  console.log(`${what}: late by ${shares}, at most ${late.at(-1)!.toFixed(2)} ms`);
}

/** A port that nobody has just now. */
function freePort(): string {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return String((listener.addr as Deno.NetAddr).port);
}

const seconds = Number(Deno.args[0] ?? 10), port = freePort(), url = `http://127.0.0.1:${port}`;
runProgram(["serve", "--port", port, "--log-level", "error", ...Deno.args.slice(1)], COMMANDS)
  .then((code) => Deno.exit(code));
while (!(await fetch(`${url}/ready`).then((r) => r.ok, () => false))) {
  await new Promise((resolve) => setTimeout(resolve, 50));
}
say("idle", await lateness(seconds));
const blob = URL.createObjectURL(new Blob([SOURCE], { type: "text/javascript" }));
const answers = new Map<number, number>();
const worker = new Worker(blob, { type: "module", name: `${url} ${CLIENTS}` });
worker.onmessage = ({ data }) => answers.set(data, (answers.get(data) ?? 0) + 1);
say(`${CLIENTS} clients`, await lateness(seconds));
console.log("answers by status:", Object.fromEntries(answers));
Deno.exit(0);
