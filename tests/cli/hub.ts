/** What tests of checkpoints on a hub share. */
import { assert } from "@std/assert";
import { goldenFolder } from "../support/golden.ts";
import {
  type HubOptions,
  type HubServer,
  hubServer,
  type Repository,
} from "../support/hub_server.ts";
import { temporaryFolder } from "../support/safetensors.ts";
import { type Ended, moqe } from "./moqe.ts";

export const A = "a".repeat(40), B = "b".repeat(40);
export const PAIRS = ["--pairs", "en-de"];
export const TOKEN = "hf_hidden_token";
export const CARD = { license: "cc-by-nc-4.0", language: ["en", "de", "fr"] };
type Files = Repository["commits"][string];

/** A checkpoint's files as a repository has them. */
export function filesOf(folder: string): Files {
  const names = [...Deno.readDirSync(folder)].map((e) => e.name).filter((n) => n !== "golden.json");
  return Object.fromEntries(names.map((n) => [n, Deno.readFileSync(`${folder}/${n}`)]));
}

/** A public repository with one commit, A, unless told otherwise. */
export function repository(files: Files, more: Partial<Repository> = {}): Repository {
  return { commits: { [A]: files }, branches: { main: A }, card: CARD, ...more };
}

export const TINY = filesOf(goldenFolder("baseline"));

/** Runs a test against a hub with one repository, acme/tiny. */
export async function withHub(
  one: Repository,
  options: HubOptions,
  test: (
    hub: HubServer,
    run: (args: string[], env?: Record<string, string>) => Promise<Ended>,
  ) => Promise<void>,
): Promise<void> {
  const hub = hubServer({ "acme/tiny": one }, options);
  // No token of the person who runs the tests.
  using home = temporaryFolder();
  const run = async (args: string[], env: Record<string, string> = {}) => {
    const ended = await moqe(args, {
      env: { HF_ENDPOINT: hub.endpoint, HF_TOKEN: "", HF_HOME: home.path, ...env },
    });
    const said = ended.out + ended.err;
    assert(!/hidden|Signature/i.test(said), `no secret is told: ${said}`);
    assert(!/^ +at /m.test(ended.err), `no stack: ${ended.err}`);
    return ended;
  };
  try {
    await test(hub, run);
  } finally {
    await hub.close();
  }
}
