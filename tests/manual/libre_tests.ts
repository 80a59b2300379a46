/**
 * LibreTranslate's own API tests, unchanged, against moqe.
 *
 *   git clone https://github.com/LibreTranslate/LibreTranslate
 *   deno run -A tests/manual/libre_tests.ts LibreTranslate/libretranslate/tests/test_api [URL]
 *
 * Starts the service with the models that ship, or asks the one at URL. Needs a python3 that has pytest; PYTHON names
 * another one. Their conftest.py makes the `client` fixture of LibreTranslate itself, ours (libre_client.py) makes it
 * of the service, so the test files run in a copy of the folder that has ours. 14 of 14 pass with LibreTranslate 1.9.6
 * (commit 39429cb). Their code is AGPL: none of it is in this repository.
 */
import { Served } from "../http/served.ts";

const [folder, url] = Deno.args;
if (folder === undefined) throw new Error("usage: libre_tests.ts FOLDER [URL]");

const files = [...Deno.readDirSync(folder)].map((entry) => entry.name)
  .filter((name) => /^test_.*\.py$/.test(name));
if (files.length === 0) {
  throw new Error(
    `${folder} has no test_*.py: name LibreTranslate's libretranslate/tests/test_api`,
  );
}

const place = await Deno.makeTempDir();
const served = url === undefined ? await Served.start() : undefined;
try {
  for (const name of files) await Deno.copyFile(`${folder}/${name}`, `${place}/${name}`);
  const client = new URL("./libre_client.py", import.meta.url);
  await Deno.copyFile(client, `${place}/conftest.py`);
  const { code } = await new Deno.Command(Deno.env.get("PYTHON") ?? "python3", {
    args: ["-m", "pytest", "-v", "-p", "no:cacheprovider", "--rootdir", "."],
    cwd: place,
    env: { LIBRE_URL: url ?? served!.url },
    stdin: "null",
  }).spawn().status;
  Deno.exitCode = code;
} finally {
  await served?.end();
  await Deno.remove(place, { recursive: true });
}
