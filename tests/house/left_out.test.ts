/** The test command says what it leaves out and what adds it; after --install that is a failure. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { testNeeding } from "../support/needs.ts";
import { leftOutOf } from "../support/run.ts";
import { ROOT } from "./tree.ts";

Deno.test("a missing part is one line with its tests and its command, and a failure after --install", () => {
  const noted = ["swift", "vulkan", "swift", "linux", ""];
  const { lines, failed } = leftOutOf(noted, false);
  assertEquals([lines.length, failed], [4, 0]);
  assertMatch(lines[0]!, /^left out: 1 test of GPU .*apt-get install .* mesa-vulkan-drivers$/);
  assertMatch(lines[1]!, /^left out: 2 tests of .*apt-get install .* swift-proxy .*memcached$/);
  assertMatch(lines[2]!, /^left out: 1 test of .*lacks Linux; no package adds it$/);
  assertMatch(lines[3]!, /task test --install$/);

  const after = leftOutOf(noted, true);
  assertEquals([after.lines.length, after.failed], [3, 3]);
  assertEquals(after.lines.every((line) => line.startsWith("FAILED left out: ")), true);
  assertEquals(leftOutOf([""], true), { lines: [], failed: 0 });
});

testNeeding("linux")(
  "a run without a Vulkan driver ignores what needs one, and says so",
  async () => {
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "tests/support/run.ts", "tests/engine/device.test.ts"],
      cwd: ROOT,
      // The loader of Vulkan finds no driver.
      env: { NO_COLOR: "1", VK_DRIVER_FILES: "/nonexistent", VK_ICD_FILENAMES: "/nonexistent" },
    }).output();
    const text = new TextDecoder().decode(stdout);
    assertEquals(code, 0, text);
    assertStringIncludes(text, "\nleft out: 1 test of GPU kernels");
    assertMatch(text, /\nok \| 1 passed \| 0 failed \| 1 ignored \(\S+\)\n$/);
  },
);
