/** moqe key: a new API key; who runs the service keeps its hash, who uses the service the key. */
import { newKey, parseKeys } from "../http/access/keys.ts";
import { EXIT, type Invocation } from "./command.ts";
import type { keyFlags } from "./flags.ts";

/** Runs the command. Throws MoqeError `bad_input` for a name or a scope that is none. */
export function key(
  { flags, positionals }: Invocation<typeof keyFlags>,
): Promise<number> {
  const { key, sha256 } = newKey();
  const record = {
    name: positionals[0],
    sha256,
    ...(flags.scopes.length > 0 ? { scopes: flags.scopes } : {}),
    ...(flags.perMinute > 0 ? { requestsPerMinute: flags.perMinute } : {}),
    ...(flags.perMonth > 0 ? { charactersPerMonth: flags.perMonth } : {}),
  };
  const file = { keys: [record] };
  parseKeys(JSON.stringify(file), "the command line");
  console.error(`the key, shown this once: ${key}`);
  console.log(JSON.stringify(file));
  return Promise.resolve(EXIT.ok);
}
