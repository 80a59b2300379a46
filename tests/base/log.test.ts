import { assertEquals } from "@std/assert";
import { createLogger, redact } from "../../src/base/log.ts";
import { checkRuntime, PINNED_DENO } from "../../src/base/runtime.ts";
import { assertProportional } from "../text/work.ts";

Deno.test("redact cuts users, passwords, queries and fragments from addresses", () => {
  const cases: [string, string][] = [
    ["https://key:secret@host/a/b.moqe?sig=abc&x=1", "https://host/a/b.moqe?..."],
    ["s3://bucket/key", "s3://bucket/key"],
    ["cannot read https://h/x?token=1: 403", "cannot read https://h/x?... 403"],
    ["http://h:5000/p#frag and http://h/ok", "http://h:5000/p?... and http://h/ok"],
    ["no address at all? yes", "no address at all? yes"],
  ];
  for (const [text, expected] of cases) assertEquals(redact(text), expected);
});

Deno.test("log lines are JSON, at or above the level, redacted", () => {
  const lines: string[] = [];
  const log = createLogger("warn", (line) => lines.push(line), () => new Date(0));
  log.info("not seen");
  log.warn("slow store", { url: "https://u:p@h/x?y=z", ms: 12, none: undefined });
  assertEquals(lines.map((l) => JSON.parse(l)), [{
    time: "1970-01-01T00:00:00.000Z",
    level: "warn",
    message: "slow store",
    url: "https://h/x?...",
    ms: 12,
  }]);
});

Deno.test("another Deno warns and takes the safe paths", () => {
  assertEquals(checkRuntime(PINNED_DENO), {
    deno: PINNED_DENO,
    safePaths: false,
    warning: undefined,
  });
  const other = checkRuntime("2.8.0");
  assertEquals([other.safePaths, other.warning?.includes("2.8.0")], [true, true]);
});

Deno.test("addresses are looked for in work proportional to the text", async () => {
  await assertProportional("dots", 5_000, (length) => void redact("a.".repeat(length / 2)));
});
