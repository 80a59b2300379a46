/** The Deno permissions that each command of the one-file bundle needs, and no more. Tasks and units repeat them. */

/** Where things are on a host. Lists are of files and folders; addresses are host names with or without a port. */
export interface Places {
  /** The bundle: dist/moqe.js. */
  readonly bundle: string;
  /** The packed model's folder; undefined where it is read over the network. */
  readonly model?: string | undefined;
  /** Hosts of the model's store, or of a hub; undefined where it is on the disk. */
  readonly store?: string | undefined;
  /** Further files and folders that the command is told to read: checkpoint, texts, key file. */
  readonly inputs?: readonly string[];
  /** Further files and folders that it is told to write: a packed model, --state, a translation. */
  readonly outputs?: readonly string[];
  /** For `serve`: the addresses to listen on, 0.0.0.0:5000 and that of --admin-port. */
  readonly listen?: readonly string[];
}

/** Variables that set flags, what is asked of the C library, and those by which S3 stores are signed for. */
const VARIABLES = ["MOQE_*", "MALLOC_MMAP_THRESHOLD_"];
const STORE_VARIABLES = ["AWS_*", "HOME"];
/** Of a model hub: its address and token. */
const HUB_VARIABLES = ["HF_*"];

/** What one command needs besides reading its model and its variables. */
interface Needs {
  /** Starts Workers from the bundle's own file; without that it uses its own thread. */
  readonly workers?: boolean;
  readonly listens?: boolean;
  /** Reads checkpoints, which may be a hub's; `store` names the hub's host and those that it redirects to. */
  readonly checkpoints?: boolean;
}

const NEEDS: Readonly<Record<string, Needs>> = {
  serve: { workers: true, listens: true },
  translate: { workers: true },
  generate: { workers: true },
  eval: { workers: true },
  calibrate: { workers: true, checkpoints: true },
  profile: { workers: true },
  cache: {},
  pack: { checkpoints: true },
  reorder: {},
  verify: {},
  plan: { checkpoints: true },
  key: {},
  health: {},
};

/** Commands that have a line here. */
export const PERMITTED_COMMANDS: readonly string[] = Object.keys(NEEDS);

/** The flags for `deno run --no-prompt`. Throws RangeError for a command without a line here. */
export function permissionsOf(command: string, places: Places): string[] {
  const needs = NEEDS[command];
  if (needs === undefined) throw new RangeError(`no permissions are known for ${command}`);
  const { bundle, model, store, inputs = [], outputs = [], listen = [] } = places;
  const reads = [
    ...model === undefined ? [] : [model],
    ...needs.workers ? [bundle] : [],
    ...inputs,
    ...outputs,
  ];
  const hosts = [...store === undefined ? [] : [store], ...needs.listens ? listen : []];
  const variables = [
    ...VARIABLES,
    ...store === undefined ? [] : STORE_VARIABLES,
    ...store === undefined || !needs.checkpoints ? [] : HUB_VARIABLES,
  ];
  return [
    `--allow-env=${variables.join(",")}`,
    ...reads.length > 0 ? [`--allow-read=${reads.join(",")}`] : [],
    ...outputs.length > 0 ? [`--allow-write=${outputs.join(",")}`] : [],
    ...hosts.length > 0 ? [`--allow-net=${hosts.join(",")}`] : [],
  ];
}
