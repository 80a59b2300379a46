import { assertEquals, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { hubSettings, parseHubAddress } from "../../src/checkpoint/hub_address.ts";

Deno.test("a hub's address is an organisation, a name, and a revision or main", () => {
  const right: [string, string, string][] = [
    ["hf://facebook/nllb-moe-54b", "facebook/nllb-moe-54b", "main"],
    ["HF://a/b.c_d/", "a/b.c_d", "main"],
    ["hf://a/b@refs/pr/1", "a/b", "refs/pr/1"],
    [`hf://a/b@${"0".repeat(40)}`, "a/b", "0".repeat(40)],
  ];
  for (const [address, repository, revision] of right) {
    assertEquals(parseHubAddress(address), { repository, revision });
  }
  const wrong = ["hf:a/b", "hf://a", "hf://a/b/c", "hf://a/b@", "hf://a/b@x/../y", "hf://a/b.git"];
  wrong.push("hf://../b", "hf://a/b?x=1", "hf://a/b@x//y", "hf://a b/c", "hf://u:p@a/b");
  for (const address of wrong) {
    assertThrows(() => parseHubAddress(address), MoqeError, "hf://ORG/NAME");
  }
});

Deno.test("the endpoint and the token are found where the hub's own tools look for them", () => {
  const settings = (env: Record<string, string>, files: Record<string, string> = {}) => {
    const { endpoint, token } = hubSettings({ env: (n) => env[n], readFile: (p) => files[p] });
    return [endpoint.href, token];
  };
  const hub = "https://huggingface.co/", file = "/h/.cache/huggingface/token";
  assertEquals(settings({}), [hub, undefined]);
  assertEquals(settings({ HOME: "/h" }, { [file]: " one\n" }), [hub, "one"]);
  assertEquals(settings({ HOME: "/h", HF_TOKEN: "two" }, { [file]: "one" }), [hub, "two"]);
  assertEquals(settings({ HF_HOME: "/x" }, { "/x/token": "three" }), [hub, "three"]);
  assertEquals(settings({ HF_TOKEN_PATH: "/t" }, { "/t": "four", "/x/token": "three" })[1], "four");
  const mirror = "http://127.0.0.1:8/hub/";
  assertEquals(settings({ HF_ENDPOINT: mirror })[0], mirror.slice(0, -1));
  for (const HF_ENDPOINT of ["ftp://x", "x", "https://u:hidden@x", "https://x/?hidden"]) {
    const error = assertThrows(() => settings({ HF_ENDPOINT }), MoqeError, "HF_ENDPOINT");
    assertEquals(error.message.includes("hidden"), false);
  }
  const error = assertThrows(() => settings({ HF_TOKEN: "hid\nden" }), MoqeError, "HF_TOKEN");
  assertEquals(/hid|den\b/.test(error.message), false);
});
