/** s3: addresses, and where region, endpoint and credentials are found: as the AWS tools find them. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { awsSettings } from "../../src/store/aws_config.ts";
import { s3Place } from "../../src/store/s3_address.ts";
import { s3Store, sourcesOf } from "../support/buckets.ts";

const NONE = sourcesOf({});
const KEYS = { AWS_ACCESS_KEY_ID: "AKID", AWS_SECRET_ACCESS_KEY: "SECRET" };

const URLS: [address: string, env: Record<string, string>, base: string][] = [
  ["s3://b/m", {}, "https://b.s3.us-east-1.amazonaws.com/m"],
  ["s3://b", {}, "https://b.s3.us-east-1.amazonaws.com/"],
  ["s3://b/x//y/", { AWS_REGION: "eu-west-3" }, "https://b.s3.eu-west-3.amazonaws.com/x/y"],
  ["s3://b.c/m", {}, "https://s3.us-east-1.amazonaws.com/b.c/m"],
  ["s3://b/m?style=path&region=x", { AWS_REGION: "y" }, "https://s3.x.amazonaws.com/b/m"],
  ["s3://b/a%20b+c", { AWS_ENDPOINT_URL: "http://h:9000" }, "http://h:9000/b/a%20b%2Bc"],
  [
    "s3://b/m",
    { AWS_ENDPOINT_URL_S3: "https://h/root/", AWS_ENDPOINT_URL: "x" },
    "https://h/root/b/m",
  ],
  [
    "s3://b/m?endpoint=http://h:1&style=virtual",
    { AWS_ENDPOINT_URL: "http://i" },
    "http://b.h:1/m",
  ],
];
for (const [address, env, base] of URLS) {
  Deno.test(`${address} under ${JSON.stringify(env)} is ${base}`, () => {
    assertEquals(s3Place(address, sourcesOf(env)).base.href, base);
  });
}

Deno.test("what is shown is the address as people write it, without what it was given", () => {
  const { http, base } = s3Place(
    "s3://b/m?endpoint=http://h&profile=p",
    sourcesOf({ HOME: "/h" }, {
      "/h/.aws/credentials": "[p]\naws_access_key_id = AKID\naws_secret_access_key = SECRET\n",
    }),
  );
  assertEquals(http.shown!(base), "s3://b/m");
  assertEquals(http.shown!(new URL(`${base}/x?uploadId=1`)), "s3://b/m/x");
  assertEquals(s3Place("s3://b/m", NONE).http.shown!(base), "s3://b/m (without credentials)");
});

const WRONG = [
  "s3://",
  "s3://AKID:SECRET@b/m",
  "s3://b/m?region=a/b",
  "s3://b/m?style=other",
  "s3://b/m?secret=SECRET",
  "s3://b/m?endpoint=ftp://h",
  "s3://b/m?endpoint=https://u:SECRET@h",
  "s3:b",
];
for (const address of WRONG) {
  Deno.test(`${address} is refused, without being repeated`, () => {
    const error = assertThrows(() => s3Place(address, NONE), MoqeError) as MoqeError;
    assertEquals(error.code, "bad_input");
    assert(!error.message.includes("SECRET"));
  });
}

const FILES = {
  "/h/.aws/config": `
# comment
[default]
region = eu-north-1
[profile work]
region=ap-south-1
s3 =
    addressing_style = path
    max_concurrent_requests = 20
services = local
[services local]
s3 =
  endpoint_url = http://minio:9000
[profile sso]
sso_session = corp
[profile "two words"]
region = r2
`,
  "/h/.aws/credentials": `
[default]
aws_access_key_id = DEFAULT
aws_secret_access_key = d
[work]
aws_access_key_id=WORK
aws_secret_access_key=w=with=equals
aws_session_token = token
[half]
aws_access_key_id = HALF
`,
};
const settings = (env: Record<string, string> = {}, profile?: string) =>
  awsSettings(sourcesOf({ HOME: "/h", ...env }, FILES), profile);

Deno.test("the environment's keys win over AWS_PROFILE, a profile asked for wins over both", () => {
  assertEquals(settings().credentials?.accessKeyId, "DEFAULT");
  assertEquals(settings().region, "eu-north-1");
  assertEquals(settings({ AWS_PROFILE: "work" }), {
    credentials: { accessKeyId: "WORK", secretAccessKey: "w=with=equals", sessionToken: "token" },
    region: "ap-south-1",
    endpoint: "http://minio:9000",
    style: "path",
  });
  assertEquals(settings({ ...KEYS, AWS_PROFILE: "work" }).credentials?.accessKeyId, "AKID");
  assertEquals(settings(KEYS, "work").credentials?.accessKeyId, "WORK");
  assertEquals(settings({}, "two words").region, "r2");
  const moved = { AWS_CONFIG_FILE: "/none", AWS_SHARED_CREDENTIALS_FILE: "/none" };
  assertEquals(settings(moved).credentials, undefined);
});

Deno.test("half a pair, an unknown profile and credentials of an AWS tool are said, not guessed", () => {
  const refused = (env: Record<string, string>, says: string) => {
    const error = assertThrows(() => settings(env), MoqeError, says) as MoqeError;
    return error.code;
  };
  assertEquals(refused({ AWS_ACCESS_KEY_ID: "A" }, "without its secret key"), "bad_input");
  assertEquals(refused({ AWS_SECRET_ACCESS_KEY: "A" }, "without an access key id"), "bad_input");
  assertEquals(refused({ AWS_PROFILE: "half" }, "without its secret key"), "bad_input");
  assertEquals(refused({ AWS_PROFILE: "nobody" }, "neither in the credentials file"), "bad_input");
  assertEquals(refused({ AWS_PROFILE: "sso" }, "export-credentials"), "unsupported");
});

Deno.test("credentials that have expired are looked for again at once, others are not", async () => {
  const keys = (id: string) => ({ AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: "s" });
  const env: Record<string, string> = { ...keys("OLD"), AWS_REGION: "x" };
  const asked: string[] = [];
  const server = Deno.serve({ port: 0, onListen: () => {} }, ({ headers }) => {
    const id = /Credential=(\w+)/.exec(headers.get("authorization") ?? "")![1]!;
    asked.push(id);
    if (id === "NEW") return new Response("bytes");
    const xml = `<Error><Code>${id === "OLD" ? "ExpiredToken" : "AccessDenied"}</Code></Error>`;
    return new Response(xml, { status: 400, headers: { "content-type": "application/xml" } });
  });
  const address = `s3://b/m?endpoint=http://127.0.0.1:${server.addr.port}`;
  const store = s3Store(address, env);
  try {
    assertEquals((await store.readAll("manifest.json", 9).catch((e) => e)).code, "unavailable");
    assertEquals(asked.splice(0), ["OLD", "OLD"]);
    Object.assign(env, keys("NEW"));
    assertEquals(new TextDecoder().decode(await store.readAll("manifest.json", 9)), "bytes");
    assertEquals(asked.splice(0), ["OLD", "NEW"]);
    Object.assign(env, keys("OTHER"));
    await store.readAll("manifest.json", 9);
    assertEquals(asked, ["NEW"], "as long as they are taken, for some minutes");
  } finally {
    await server.shutdown();
  }
});

Deno.test("a process that may see neither files nor variables asks without signing", async () => {
  const module = new URL("../../src/store/s3_address.ts", import.meta.url).href;
  const program = `import { s3Place } from ${JSON.stringify(module)};
    console.log(s3Place("s3://b/m?region=x").base.href);`;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const args = [
    "run",
    "--no-prompt",
    "--no-check",
    "--config",
    config,
    "--allow-env=AWS_NONE",
    "-",
  ];
  const child = new Deno.Command(Deno.execPath(), {
    args,
    stdin: "piped",
    stdout: "piped",
    env: { AWS_ACCESS_KEY_ID: "half a pair that it may not see" },
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(program));
  await writer.close();
  const { stdout } = await child.output();
  assertEquals(new TextDecoder().decode(stdout), "https://b.s3.x.amazonaws.com/m\n");
});
