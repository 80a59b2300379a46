/**
 * Every command of README.md, as it is written there: by bash, in a copy of this checkout, with a hub, a bucket and a
 * port of this machine in place of those that it names.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { PINNED_DENO } from "../../src/base/runtime.ts";
import { filesOf, repository, TINY } from "../cli/hub.ts";
import { Served } from "../http/served.ts";
import { makeBucket } from "../support/buckets.ts";
import { writeTinyChat } from "../support/chat_model.ts";
import { hubServer } from "../support/hub_server.ts";
import { testNeeding } from "../support/needs.ts";
import { findProgram } from "../support/parts.ts";
import { temporaryFolder } from "../support/safetensors.ts";
import { startSwift } from "../support/swift.ts";
import { ROOT } from "./tree.ts";

const README = await Deno.readTextFile(new URL("README.md", ROOT));
const DENO = `npx -y deno@${PINNED_DENO}`;

/** Lines of the code blocks, with those that go on after a backslash in one. */
const COMMANDS = [...README.matchAll(/^```sh\n([^]*?)^```/gm)]
  .flatMap(([, block]) => block!.replaceAll(/\\\n\s*/g, "").split("\n"))
  .filter((line) => line.trim() !== "");
const isServe = (line: string) => line.includes(" task serve");
const isTests = (line: string) => line.includes(" task test");
const usesBucket = (line: string) => line.includes("s3://");

/** What commands must write, by words that they have in them. */
const WRITES: Readonly<Record<string, RegExp>> = {
  "curl -s": /"translatedText":"Die Datei konnte nicht geöffnet werden\."/,
  "--to fr": /^Le fichier n'a pas pu être ouvert\.$/m,
  "moqe plan hf://": /least --gpu-memory: /,
  "moqe pack hf://f": /from hf:\/\/facebook\/nllb-moe-54b@/,
  "moqe pack hf://Q": /from hf:\/\/Qwen\/Qwen3-30B-A3B@/,
  // Made-up weights say made-up words, but something.
  "moqe generate": /\S/,
};

/** A folder with this checkout's files, so that nothing is written into it. */
function copyOfCheckout(): ReturnType<typeof temporaryFolder> {
  const folder = temporaryFolder();
  for (const { name, isDirectory } of Deno.readDirSync(ROOT)) {
    const from = new URL(name, ROOT).pathname, to = `${folder.path}/${name}`;
    if (isDirectory) Deno.symlinkSync(from, to);
    else Deno.copyFileSync(from, to);
  }
  return folder;
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

/** Runs commands one after the other; a service runs until the next one, or the end. */
async function runAll(commands: readonly string[], env: Record<string, string>): Promise<void> {
  using tree = copyOfCheckout();
  using chat = temporaryFolder();
  await writeTinyChat(chat.path);
  const hub = hubServer({
    "facebook/nllb-moe-54b": repository(TINY),
    "Qwen/Qwen3-30B-A3B": repository(filesOf(chat.path)),
  });
  const port = freePort();
  const variables = {
    NO_COLOR: "1",
    MOQE_PORT: `${port}`,
    MOQE_DISK_CACHE_DIR: `${tree.path}/cache`,
    HF_ENDPOINT: hub.endpoint,
    HF_HOME: tree.path,
    HF_TOKEN: "",
    ...env,
  };
  const start = (line: string) => {
    const written = line.replaceAll("127.0.0.1:5000", `127.0.0.1:${port}`);
    const command = findProgram("npx") === undefined
      ? written.replaceAll(DENO, Deno.execPath())
      : written;
    return new Deno.Command("bash", {
      args: ["-c", command],
      cwd: tree.path,
      env: variables,
      // A process group of its own, which Ctrl-C ends whole.
      detached: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  };
  let served: Served | undefined;
  try {
    for (const line of commands) {
      if (!isServe(line)) {
        await runOne(line, start(line), tree.path);
        continue;
      }
      await interrupt(served);
      served = undefined;
      served = await Served.of(start(line));
      assertEquals(served.url, `http://127.0.0.1:${port}`, line);
      const answer = await served.translate({ q: "One file.", source: "en", target: "de" });
      assertEquals([answer.status, typeof (await answer.json()).translatedText], [200, "string"]);
    }
  } finally {
    await interrupt(served);
    await hub.close();
  }
}

/** One command to its end; a file that its comment says it writes must be there. */
async function runOne(line: string, child: Deno.ChildProcess, folder: string): Promise<void> {
  await child.stdin.close();
  const { code, stdout, stderr } = await child.output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assertEquals(code, 0, `${line}\n${out}${err}`);
  for (const [words, writes] of Object.entries(WRITES)) {
    if (line.includes(words)) assertMatch(out + err!, writes, line);
  }
  const file = /# writes (\S+)$/.exec(line)?.[1];
  if (file !== undefined) assert(Deno.statSync(`${folder}/${file}`).size > 1000, line);
}

/** Ctrl-C, as the terminal sends it: to every process of the group. All of them end, after a drain. */
async function interrupt(served: Served | undefined): Promise<void> {
  if (served === undefined) return;
  Deno.kill(-served.child.pid, "SIGINT");
  await served.child.status;
  await served.drained;
  assertMatch(served.output.out, /moqe: draining/);
}

Deno.test("README's code blocks are commands for sh, and each of them is looked at", () => {
  const blocks = [...README.matchAll(/^```(.*)$/gm)].map(([, name]) => name);
  assertEquals(blocks.filter((_, i) => i % 2 === 0).every((name) => name === "sh"), true);
  assert(COMMANDS.some(isServe) && COMMANDS.some(usesBucket));
  for (const words of Object.keys(WRITES)) {
    assert(COMMANDS.some((line) => line.includes(words)), `README has no command with ${words}`);
  }
  const versions = [...README.matchAll(/deno@([\w.]+)/g)].map(([, version]) => version);
  assertEquals(new Set(versions), new Set([PINNED_DENO]));
});

Deno.test("README's command for the tests is what CI runs", async () => {
  const tests = COMMANDS.filter(isTests).map((line) => line.replace(/\s*#.*/, ""));
  assertEquals(tests, [`${DENO} task test --install`]);
  const ci = await Deno.readTextFile(new URL(".ci/run", ROOT));
  assertMatch(ci, new RegExp(String.raw`else deno=\(${DENO}\); fi$`, "m"));
  assertMatch(ci, /^"\$\{deno\[@\]\}" task test --install 2>&1 \| tee /m);
});

testNeeding("curl")("README's commands run as written", async () => {
  await runAll(COMMANDS.filter((line) => !usesBucket(line) && !isTests(line)), {});
});

testNeeding("swift")("README's commands with a bucket run as written", async () => {
  const swift = await startSwift();
  try {
    await makeBucket("bucket", swift.env);
    await runAll(COMMANDS.filter(usesBucket), swift.env);
  } finally {
    await swift.close();
  }
});
