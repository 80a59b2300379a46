import { assertEquals } from "@std/assert";
import { freesLargeBlocks } from "../../src/base/allocator.ts";

const ALLOCATOR = new URL("../../src/base/allocator.ts", import.meta.url).href;

/** What a process with these flags and variables says of itself on Linux. */
async function said(flags: string[], env: Record<string, string>): Promise<string> {
  const code =
    `import { freesLargeBlocks } from "${ALLOCATOR}"; console.log(freesLargeBlocks("linux"))`;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--no-check",
      ...flags,
      `data:text/typescript,${encodeURIComponent(code)}`,
    ],
    env: {
      ...env,
      NO_COLOR: "1",
      PATH: Deno.env.get("PATH") ?? "",
      HOME: Deno.env.get("HOME") ?? "",
    },
    clearEnv: true,
  }).output();
  return new TextDecoder().decode(stdout).trim();
}

Deno.test("large blocks are freed where glibc's threshold is fixed and may be seen, and elsewhere than on Linux", async () => {
  const name = "MALLOC_MMAP_THRESHOLD_", fixed = { [name]: "1048576" };
  const seen = [`--allow-env=${name}`];
  const answers = [said(seen, fixed), said(seen, {}), said([], fixed)];
  assertEquals(await Promise.all(answers), ["true", "false", "false"]);
  assertEquals(freesLargeBlocks("darwin"), true);
});
