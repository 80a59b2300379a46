/** A model hub on this machine: its API, its redirects to a second origin with signed addresses, and its refusals. */
import { createHash } from "node:crypto";

/** A file's bytes, or the address of a server that has them. */
export type HubBytes = Uint8Array<ArrayBuffer> | URL;

/** A repository as a test makes it; branches may move while it is read. */
export interface Repository {
  /** Files by commit. */
  commits: Record<string, Record<string, HubBytes>>;
  /** Commits by branch. */
  branches: Record<string, string>;
  card?: Record<string, unknown>;
  /** Tokens that may read its files; left out: all may. */
  readers?: string[];
  /** Tokens that may know of it; left out: all may. */
  members?: string[];
}

/** A request as one of the two servers saw it. */
export interface HubRequest {
  readonly path: string;
  readonly authorization: string | null;
}

export interface HubOptions {
  /** A path before all others, as mirrors have it. */
  prefix?: string;
  /** Requests that one signed address answers. */
  uses?: number;
  /** Whether the listing says sizes and hashes; a mirror may not. */
  blobs?: boolean;
  /** An answer in place of the proper one; asked for each request to the hub. */
  instead?: (request: HubRequest) => Response | undefined;
  /** The same for the second origin. */
  insteadOfFile?: (request: HubRequest) => Response | undefined;
  /** Changes a good answer or redirect of the hub. */
  headers?: (headers: Headers) => void;
}

export interface HubServer {
  /** For HF_ENDPOINT. */
  readonly endpoint: string;
  /** Its own host and port, and the second origin's. */
  readonly hosts: readonly string[];
  readonly options: HubOptions;
  /** Requests to the hub itself, and to the second origin. */
  readonly asked: HubRequest[];
  readonly served: HubRequest[];
  /** Bytes of all bodies. */
  readonly sent: number;
  close(): Promise<void>;
}

/** Large files are stored apart and redirected to; git holds the others. */
const LARGE = /\.safetensors$|\.bin$|^tokenizer\.json$/;

/** Starts a hub. The caller closes it; its options may be changed while it runs. */
export function hubServer(
  repositories: Record<string, Repository>,
  options: HubOptions = {},
): HubServer {
  const asked: HubRequest[] = [], served: HubRequest[] = [];
  const signed = new Map<string, { bytes: HubBytes; left: number }>();
  let sent = 0;
  const counted = async (response: Response | Promise<Response>) => {
    const { status, headers, body } = await response;
    const bytes = body === null ? null : new Uint8Array(await new Response(body).arrayBuffer());
    sent += bytes?.length ?? 0;
    return new Response(bytes, { status, headers });
  };
  const quiet = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
  const files = Deno.serve(quiet, (request) => {
    const seen = { ...seenOf(request), path: new URL(request.url).pathname };
    served.push(seen);
    const one = signed.get(new URL(request.url).search);
    const instead = options.insteadOfFile?.(seen);
    if (instead !== undefined) return counted(instead);
    if (one === undefined || one.left-- <= 0) return expired();
    return counted(bytesOf(one.bytes, request));
  });
  const sign = (bytes: HubBytes, name: string) => {
    const query = `?Expires=1&Signature=hidden-${signed.size}`;
    signed.set(query, { bytes, left: options.uses ?? Infinity });
    return `http://127.0.0.1:${(files.addr as Deno.NetAddr).port}/blobs/${name}${query}`;
  };
  const hub = Deno.serve(quiet, (request) => {
    const prefix = options.prefix ?? "", { pathname } = new URL(request.url);
    if (!pathname.startsWith(prefix)) return new Response(null, { status: 404 });
    const seen = { ...seenOf(request), path: decodeURIComponent(pathname.slice(prefix.length)) };
    asked.push(seen);
    const instead = options.instead?.(seen);
    if (instead !== undefined) return counted(instead);
    return counted(answer(request, seen, { repositories, options, prefix, sign }));
  });
  const hosts = [hub, files].map(({ addr }) => `127.0.0.1:${(addr as Deno.NetAddr).port}`);
  return {
    endpoint: `http://${hosts[0]}${options.prefix ?? ""}`,
    hosts,
    options,
    asked,
    served,
    get sent() {
      return sent;
    },
    close: async () => {
      await Promise.all([hub.shutdown(), files.shutdown()]);
    },
  };
}

function seenOf(request: Request): { authorization: string | null } {
  return { authorization: request.headers.get("authorization") };
}

interface Hub {
  repositories: Record<string, Repository>;
  options: HubOptions;
  prefix: string;
  sign(bytes: HubBytes, name: string): string;
}

/** What the hub itself answers. */
function answer(request: Request, seen: HubRequest, hub: Hub): Response | Promise<Response> {
  const api = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/(.+)$/.exec(seen.path);
  const cached = /^\/api\/resolve-cache\/models\/([^/]+\/[^/]+)\/([^/]+)\/(.+)$/.exec(seen.path);
  const file = cached ?? /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(seen.path);
  const [, id = "", revision = "", name = ""] = api ?? file ?? [];
  const repository = hub.repositories[id];
  const token = seen.authorization?.replace(/^Bearer /, "");
  const may = (tokens: string[] | undefined) =>
    tokens === undefined || token !== undefined && tokens.includes(token);
  if (repository === undefined || !may(repository.members)) {
    return refusal(token === undefined ? 401 : 404, "RepoNotFound");
  }
  const commit = repository.branches[revision] ?? revision;
  const files = repository.commits[commit];
  if (files === undefined) return refusal(404, "RevisionNotFound");
  if (api !== null) return Response.json(listing(repository, commit, hub.options));
  if (!may(repository.readers)) return refusal(token === undefined ? 401 : 403, "GatedRepo");
  const bytes = files[name];
  if (bytes === undefined) return refusal(404, "EntryNotFound");
  const headers = new Headers({ "x-repo-commit": commit });
  if (cached !== null) return bytesOf(bytes, request, headers);
  if (LARGE.test(name)) {
    headers.set("location", hub.sign(bytes, name));
    if (bytes instanceof Uint8Array) headers.set("x-linked-etag", `"${hash("sha256", bytes)}"`);
  } else {
    headers.set("location", `${hub.prefix}/api/resolve-cache/models/${id}/${commit}/${name}`);
  }
  hub.options.headers?.(headers);
  return new Response(null, { status: LARGE.test(name) ? 302 : 307, headers });
}

function listing({ commits, card, readers }: Repository, sha: string, of: HubOptions) {
  const siblings = Object.entries(commits[sha]!).map(([rfilename, bytes]) => {
    if (of.blobs === false || !(bytes instanceof Uint8Array)) return { rfilename };
    const blob = new TextEncoder().encode(`blob ${bytes.length}\0`);
    const large = { sha256: hash("sha256", bytes), size: bytes.length, pointerSize: 130 };
    return {
      rfilename,
      size: bytes.length,
      blobId: hash("sha1", blob, bytes),
      ...LARGE.test(rfilename) ? { lfs: large } : {},
    };
  });
  return {
    sha,
    gated: readers === undefined ? false : "auto",
    cardData: card,
    siblings,
  };
}

/** The range that was asked for, from here or from the server that has the file. */
async function bytesOf(
  bytes: HubBytes,
  request: Request,
  headers = new Headers(),
): Promise<Response> {
  const range = request.headers.get("range") ?? "";
  if (bytes instanceof URL) return await fetch(bytes, { headers: { range } });
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range) ?? [];
  if (first === undefined) return new Response(bytes, { headers });
  const end = Math.min(Number(last) + 1, bytes.length);
  if (Number(first) >= bytes.length) return new Response(null, { status: 416 });
  headers.set("content-range", `bytes ${first}-${end - 1}/${bytes.length}`);
  return new Response(bytes.slice(Number(first), end), { status: 206, headers });
}

function refusal(status: number, code: string): Response {
  return new Response(null, { status, headers: { "x-error-code": code } });
}

/** As the second origin refuses an address whose time is over. */
function expired(): Response {
  const headers = { "content-type": "application/xml" };
  return new Response("<Error><Code>AccessDenied</Code></Error>", { status: 403, headers });
}

function hash(name: string, ...parts: Uint8Array[]): string {
  const made = createHash(name);
  for (const part of parts) made.update(part);
  return made.digest("hex");
}
