/** A damaged model with mirrors: the commands go on with what a mirror has right. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { hostileStore } from "../support/hostile_store.ts";
import { temporaryFolder } from "../support/safetensors.ts";
import { moqe } from "./moqe.ts";

const SHIPPED = new URL("../../models/tiny-en-de-fr-es/", import.meta.url).pathname;

Deno.test("what is damaged or missing comes from mirrors, given as often as there are some", async () => {
  using folder = temporaryFolder();
  const names = [...Deno.readDirSync(SHIPPED)].map((e) => e.name).filter((n) =>
    /json$|moqe$/.test(n)
  );
  const [first, ...rest] = names.filter((n) => n.endsWith(".moqe")).sort();
  for (const name of names) await Deno.copyFile(SHIPPED + name, `${folder.path}/${name}`);
  for (const name of rest) {
    const bytes = await Deno.readFile(`${folder.path}/${name}`);
    for (let i = 0; i < bytes.length; i += 1000) bytes[i]! ^= 1;
    await Deno.writeFile(`${folder.path}/${name}`, bytes);
  }
  await Deno.remove(`${folder.path}/${first}`);
  const args = ["translate", "--from", "en", "--to", "de", "--beams", "1"];
  const input = "The file could not be opened.\n";
  const whole = await moqe([...args, "--model", SHIPPED], { input });
  const alone = await moqe([...args, "--model", folder.path], { input });
  assertEquals(alone.code, 1);
  const gone = hostileStore({});
  const mirrors = ["--mirror", gone.url, "--mirror", SHIPPED];
  const mirrored = await moqe([...args, "--model", folder.path, ...mirrors], { input });
  assertEquals([mirrored.code, mirrored.out, mirrored.err], [0, whole.out, ""]);
  // verify reads every one of them, whatever the first has.
  const bad = await moqe(["verify", SHIPPED, ...mirrors, "--mirror", folder.path]);
  assertEquals(bad.code, 1);
  assertStringIncludes(bad.out, `tiny-en-de-fr-es is whole`);
  assertStringIncludes(bad.out, `tiny-en-de-fr-es at ${SHIPPED.replace(/\/$/, "")} is whole`);
  assertStringIncludes(bad.err, "a mirror is of no use");
  assertStringIncludes(bad.err, `at ${folder.path} is damaged`);
  assertEquals((await moqe(["verify", SHIPPED, "--mirror", SHIPPED])).code, 0);
  // The manifest, too: from the first that has one.
  await Deno.remove(`${folder.path}/manifest.json`);
  const plan = await moqe(["plan", folder.path], {
    env: { MOQE_MIRROR: `${gone.url},${SHIPPED}` },
  });
  assertEquals(plan.code, 0);
  assertStringIncludes(plan.out, "slots: ");
  await gone.close();
});
