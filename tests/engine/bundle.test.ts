/** One file is the whole program: bundled, carried away from the repository, started, asked, ended. */
import { assert, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { bundle, stopBundler } from "../../deploy/build.ts";
import { modelAddress } from "../../src/cli/model.ts";
import { Served } from "../http/served.ts";
import { hostileStore } from "../support/hostile_store.ts";

const MIB = 2 ** 20;
const SHIPPED = modelAddress(undefined);

/** Bundles into a folder of its own, which is gone afterwards. */
async function withBundle(test: (file: string, folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/moqe.js`;
    await bundle(file);
    await stopBundler();
    await test(file, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs a bundle in its folder with the permissions named and nothing of this process's environment but the path. */
function start(file: string, folder: string, permissions: string[], args: string[]) {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--no-prompt", ...permissions, file, ...args],
    cwd: folder,
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

Deno.test("the one-file bundle serves translations, engine Worker and kernels inside", () =>
  withBundle(async (file, folder) => {
    const args = ["serve", "--port", "0", "--model", SHIPPED];
    const served = await Served.of(start(file, folder, ["-A"], args));
    const answer = await served.translate({ q: "Open the file.", source: "en", target: "de" });
    assertEquals(answer.status, 200);
    assert((await answer.json()).translatedText.length > 0);
    assertEquals(await served.end("SIGTERM"), 0);
    assertStringIncludes(served.output.out, "everything accepted was answered");
  }));

Deno.test("edge profile: the network alone allowed, no disk, no Worker, within 512 MB", () =>
  withBundle(async (file, folder) => {
    const files: Record<string, Uint8Array<ArrayBuffer>> = {};
    for (const { name } of Deno.readDirSync(SHIPPED)) {
      files[name] = Deno.readFileSync(`${SHIPPED}/${name}`);
    }
    const store = hostileStore(files, () => ({ kind: "none" }));
    try {
      const args = ["serve", "--port", "0", "--model", store.url];
      const served = await Served.of(start(file, folder, ["--allow-net=127.0.0.1"], args));
      const ask = (q: string) => served.translate({ q, source: "en", target: "de" });
      const answers = await Promise.all([ask("Open the file."), ask("Save the file.")]);
      for (const answer of answers) assert((await answer.json()).translatedText.length > 0);
      assertLess(peakRssOf(served.child.pid), 512 * MIB);
      assertEquals(await served.end("SIGTERM"), 0);
    } finally {
      await store.close();
    }
  }));

/** Peak resident memory of another process, as the kernel counts it. */
function peakRssOf(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)![1]) * 1024;
}
