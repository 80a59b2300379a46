/** One file is the whole program: bundled, carried away from the repository, started, asked, ended. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { bundle, stopBundler } from "../../deploy/build.ts";
import { modelAddress } from "../../src/cli/model.ts";
import { Served } from "../http/served.ts";

Deno.test("the one-file bundle serves translations, engine Worker and kernels inside", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/moqe.js`;
    await bundle(file);
    await stopBundler();
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-config",
        file,
        "serve",
        "--port",
        "0",
        "--model",
        modelAddress(undefined),
      ],
      cwd: folder,
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const served = await Served.of(child);
    const answer = await served.translate({ q: "Open the file.", source: "en", target: "de" });
    assertEquals(answer.status, 200);
    assert((await answer.json()).translatedText.length > 0);
    assertEquals(await served.end("SIGTERM"), 0);
    assertStringIncludes(served.output.out, "everything accepted was answered");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
