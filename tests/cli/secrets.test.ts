/** No secret, no signature and no presigned address in anything that the program says, however it fails. */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { MANIFEST_NAME } from "../../src/store/manifest.ts";
import { goldenFolder } from "../support/golden.ts";
import { type Fault, hostileStore } from "../support/hostile_store.ts";
import { temporaryFolder } from "../support/safetensors.ts";
import { Served } from "../http/served.ts";
import { moqe, spawnMoqe } from "./moqe.ts";

const SHIPPED = new URL("../../models/tiny-en-de-fr-es/", import.meta.url).pathname;
const SECRETS = {
  AWS_ACCESS_KEY_ID: "AKIDHIDDEN0000000000",
  AWS_SECRET_ACCESS_KEY: "hidden-secret-key",
  AWS_SESSION_TOKEN: "hidden-session-token",
};
const QUERY = "X-Amz-Credential=hidden-credential&X-Amz-Signature=hidden-signature&sig=hidden-sig";
/** What may never be seen: values of secrets, and headers that a signature makes. */
const FORBIDDEN = /hidden|AKIDHIDDEN|Signature=|X-Amz-|AWS4-HMAC|Basic [A-Za-z0-9+/]{8}/i;

function noSecrets(what: string, text: string): void {
  const found = FORBIDDEN.exec(text);
  assert(found === null, `${what} says ${found?.[0]}: ${text.slice(0, 2000)}`);
}

const files = Object.fromEntries(
  [...Deno.readDirSync(SHIPPED)].map((e) => e.name)
    .filter((n) => n === MANIFEST_NAME || /^[0-9a-f]{64}\./.test(n))
    .map((n) => [n, Deno.readFileSync(SHIPPED + n)]),
);

/** Addresses with secrets in them that lead to a server. */
function addresses(url: string): string[] {
  const { host } = new URL(url);
  return [
    `http://hidden-user:hidden-pass@${host}/?${QUERY}`,
    `s3://bucket/model?endpoint=http://${host}`,
    `s3://hidden-key:hidden-secret@bucket/model`,
    `s3://bucket/model?secret=hidden`,
  ];
}

Deno.test("commands that fail in every way tell no secret", async () => {
  const faults: Fault[] = [
    { kind: "status", status: 403 },
    { kind: "status", status: 404 },
    { kind: "redirect", to: `http://169.254.169.254/?${QUERY}` },
    { kind: "gzip" },
  ];
  using out = temporaryFolder();
  const pack = ["--pairs", "en-de", "--licence", "MIT"];
  for (const [i, fault] of faults.entries()) {
    const server = hostileStore(files, () => fault);
    const address = addresses(server.url)[i % 2]!;
    const runs = [
      ["verify", address],
      ["plan", address, "--mirror", addresses(server.url)[(i + 1) % 2]!],
      ["pack", address, out.path, ...pack],
      ["translate", "--from", "en", "--to", "de", "--model", address],
      ...(i % 2 === 0 ? [] : [["pack", goldenFolder("baseline"), address, ...pack]]),
      ["verify", addresses(server.url)[2 + i % 2]!],
    ];
    const ended = await Promise.all(runs.map((args) => moqe(args, { env: SECRETS })));
    for (const [r, { code, out, err }] of ended.entries()) {
      assertGreater(code, 0);
      noSecrets(`${runs[r]!.slice(0, 1)} under ${JSON.stringify(fault.kind)}`, out + err);
      assert(!err.includes("    at "), "no stack");
    }
    await server.close();
  }
});

Deno.test("a service over a presigned address and an s3 mirror tells no secret, at any level of its log", async () => {
  let rude = false;
  const faults: Fault[] = [{ kind: "status", status: 403 }, { kind: "flip" }, { kind: "reset" }];
  const server = hostileStore(files, (n) => rude ? faults[n % faults.length]! : { kind: "none" });
  const [address, mirror] = addresses(server.url) as [string, string];
  const served = await Served.of(spawnMoqe([
    "serve",
    "--port",
    "0",
    "--log-level",
    "debug",
    "--gpu-memory",
    "64MiB",
    "--model",
    address,
    "--mirror",
    mirror,
  ], SECRETS));
  rude = true;
  const body = { q: "Open the file.", source: "en", target: "de" };
  const answer = await served.translate(body);
  const text = await answer.text();
  assert(answer.status >= 500, text);
  noSecrets("the answer", text);
  const pages = await Promise.all(
    ["/metrics", "/ready", "/health", "/languages"].map(async (p) =>
      await (await fetch(served.url + p)).text()
    ),
  );
  noSecrets("a page", pages.join("\n"));
  assertEquals(await served.end(), 0);
  noSecrets("the log", served.output.out + served.output.err);
  await server.close();
});
