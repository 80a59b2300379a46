import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { VERSION } from "../../src/base/runtime.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { environmentName, flagName } from "../../src/base/config.ts";
import { moqe } from "./moqe.ts";

const CONFIG_JSON = new URL("../goldens/nllb_moe/baseline/config.json", import.meta.url).pathname;

Deno.test("moqe --version and --help answer on stdout with exit code 0", async () => {
  assertEquals(await moqe(["--version"]), { code: 0, out: `moqe ${VERSION}\n`, err: "" });
  const help = await moqe(["--help"]);
  assertEquals([help.code, help.err], [0, ""]);
  for (const { name, summary } of COMMANDS) {
    assertStringIncludes(help.out, name);
    assertStringIncludes(help.out, summary);
  }
});

Deno.test("moqe without a command is used wrongly and shows help on stderr", async () => {
  const { code, out, err } = await moqe([]);
  assertEquals([code, out], [2, ""]);
  assertStringIncludes(err, "usage: moqe COMMAND");
});

for (const command of COMMANDS) {
  Deno.test(`moqe ${command.name} --help names each flag, its variable and its default`, async () => {
    const { code, out } = await moqe([command.name, "--help"]);
    assertEquals(code, 0);
    assertStringIncludes(out, `usage: moqe ${command.name}`);
    for (const [key, flag] of Object.entries(command.flags)) {
      assertStringIncludes(out, `--${flagName(key)}`);
      assertStringIncludes(out, environmentName(key));
      if (flag.shown !== "") assertStringIncludes(out, `(default ${flag.shown})`);
    }
  });
}

Deno.test("an unknown command suggests one, and is exit code 2", async () => {
  const { code, err } = await moqe(["sevre"]);
  assertEquals(code, 2);
  assertStringIncludes(err, `no command "sevre"; did you mean serve?`);
});

Deno.test("commands of later releases are not there", async () => {
  const { code, err } = await moqe(["distill"]);
  assertEquals(code, 2);
  assertStringIncludes(err, `there is no command "distill"`);
});

const wrong: [string[], string][] = [
  [["plan", "--gpu-memry", "1GiB"], "no flag --gpu-memry; did you mean --gpu-memory?"],
  [["plan", "--gpu-memory", "3 parsecs"], '--gpu-memory: cannot read a size from "3 parsecs"'],
  [["plan", "--gpu-memory"], "--gpu-memory needs a value"],
  [["serve", "--port", "70000"], `--port: "70000" is not a whole number from 0 to 65535`],
  [["serve", "--port", "5e3.5"], "is not a whole number"],
  [["serve", "--device", "tpu"], `"tpu" is not one of auto, cpu, webgpu`],
  [["serve", "now"], `"now" is one argument too many`],
  [["serve", "--cors", "https://a.example/"], "must be an origin without a path"],
  [["pack", "somewhere"], "OUT missing"],
  [["pack", "a", "b"], "--licence is needed"],
  [["pack", "a", "b", "--pairs", "en-xx", "--licence", "MIT"], `"en-xx" is no pair`],
  [["translate", "--from", "en"], "--from and --to are needed"],
];
for (const [args, message] of wrong) {
  Deno.test(`moqe ${args.join(" ")} is exit code 2 and says why`, async () => {
    const { code, out, err } = await moqe(args);
    assertStringIncludes(err, message);
    assertStringIncludes(err, "moqe");
    assertEquals([code, out], [2, ""]);
    assertEquals(err.includes("    at "), false, "no stack trace for a user's mistake");
  });
}

Deno.test("every bad value is told at once", async () => {
  const { err } = await moqe(["serve", "--port", "x", "--beams", "99"], {
    env: { MOQE_MAX_BODY: "huge" },
  });
  for (const part of ["--port:", "--beams:", "MOQE_MAX_BODY:"]) assertStringIncludes(err, part);
});

Deno.test("a flag wins over its variable, a variable over the default", async () => {
  const sizes = async (args: string[], env: Record<string, string> = {}) => {
    const { code, out } = await moqe(["plan", "--config", CONFIG_JSON, ...args], { env });
    assertEquals(code, 0);
    return /^experts .*$/m.exec(out)![0];
  };
  const [two, eight, half] = [
    await sizes([]),
    await sizes([], { MOQE_EXPERTS: "8bit" }),
    await sizes(["--experts", "f16"], { MOQE_EXPERTS: "8bit" }),
  ];
  assertEquals(new Set([two, eight, half]).size, 3);
  assertEquals(await sizes([], { MOQE_EXPERTS: "" }), two, "an empty variable is none");
});

Deno.test("moqe plan --config shows sizes by part", async () => {
  const { out } = await moqe(["plan", "--config", CONFIG_JSON]);
  assertMatch(out, /^part +weights +fp16 +packed +saved$/m);
  for (const part of ["experts", "dense_ffn", "attention", "embedding", "total"]) {
    assertMatch(out, new RegExp(`^${part} .* %$`, "m"));
  }
});

Deno.test("a missing file is a failure in one line", async () => {
  const { code, err } = await moqe(["plan", "--config", "/no/such/config.json"]);
  assertEquals(code, 2);
  assertStringIncludes(err, "cannot read /no/such/config.json");
  assertEquals(err.trim().split("\n").length, 1);
});

Deno.test("what the system refuses is told in one line, without a stack", async () => {
  for (
    const args of [
      ["calibrate", "/no/such/checkpoint", "/no/such/texts.txt", "--pairs", "en-de"],
      ["profile", "/no/such/texts.txt"],
    ]
  ) {
    const { code, out, err } = await moqe(args);
    assertEquals([code === 0, out, err.trim().split("\n").length], [false, "", 1], err);
  }
});
