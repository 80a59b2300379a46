/** What the first start of a new user downloads, and how long it takes: with empty caches, from the npm registry. */
import { assert, assertEquals } from "@std/assert";
import { Served } from "../http/served.ts";
import { countingProxy } from "../support/counting_proxy.ts";
import { testNeeding } from "../support/needs.ts";
import { type Lock, nameOf, PRODUCT } from "./packages.ts";
import { ROOT } from "./tree.ts";

/** Packages and bytes that the first start may download. */
const MOST_PACKAGES = 30, MOST_BYTES = 8e6;

/** Packages in a cache of Deno's, as name@version. */
function packagesIn(folder: string, name = ""): string[] {
  return [...Deno.readDirSync(folder)].filter((e) => e.isDirectory).flatMap((e) =>
    /^\d/.test(e.name) && name !== ""
      ? [`${name}@${e.name}`]
      : packagesIn(`${folder}/${e.name}`, name === "" ? e.name : `${name}/${e.name}`)
  );
}

testNeeding("registry")(
  "the first serve downloads the packages of deno.lock, and nothing else",
  async () => {
    const cache = await Deno.makeTempDir({ prefix: "moqe-cache-" });
    const proxy = countingProxy(), from = performance.now();
    try {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["task", "serve", "--port", "0"],
        cwd: ROOT,
        env: { DENO_DIR: cache, HTTPS_PROXY: proxy.url, NO_PROXY: "127.0.0.1", NO_COLOR: "1" },
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const served = await Served.of(child);
      const seconds = (performance.now() - from) / 1000;
      assertEquals(await served.end(), 0);
      const [registry] = [...Deno.readDirSync(`${cache}/npm`)].filter((e) => e.isDirectory);
      const packages = packagesIn(`${cache}/npm/${registry!.name}`);
      console.log(
        `${packages.length} packages, ${(proxy.bytes() / 1e6).toFixed(1)} MB downloaded, ` +
          `ready after ${seconds.toFixed(1)} s`,
      );
      const lock: Lock = JSON.parse(await Deno.readTextFile(new URL("deno.lock", ROOT)));
      assertEquals(packages.sort(), Object.keys(lock.npm).sort());
      const others = packages.filter((key) => !PRODUCT.includes(nameOf(key)));
      assertEquals(others, [], "not the product's: git restore deno.lock");
      assert(packages.length <= MOST_PACKAGES, `${packages.length} packages`);
      assert(proxy.bytes() <= MOST_BYTES, `${proxy.bytes()} bytes`);
    } finally {
      await proxy.close();
      await Deno.remove(cache, { recursive: true });
    }
  },
);
