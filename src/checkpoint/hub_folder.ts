/** A repository of a model hub at one commit, read by ranges. */
import { createHash } from "node:crypto";
import { MoqeError } from "../base/errors.ts";
import { HttpClient } from "../store/http_client.ts";
import { HttpFailure } from "../store/http_failure.ts";
import { joinUrl } from "../store/http_url.ts";
import type { FolderOptions, ModelCard } from "./contract.ts";
import { type HubAddress, type HubSettings, hubSettings, parseHubAddress } from "./hub_address.ts";
import { hubFault } from "./hub_faults.ts";
import { type HubListing, readListing, refuseIncomplete } from "./hub_listing.ts";
import { HttpFolder } from "./http_folder.ts";

/** Windows of the hub's rate limits last five minutes; a request waits for two of them at most. */
const MOST_WAIT_MS = 620_000;

/**
 * Opens hf://ORG/NAME[@REVISION]: asks the hub once which commit that is and what files it has. Reads nothing else.
 *
 * @throws MoqeError `unavailable` for what the hub does not give, each with its remedy; `unsupported` for a repository
 * without weights that can be read
 */
export async function openHubFolder(
  address: string,
  options: FolderOptions = {},
): Promise<HubFolder> {
  const parsed = parseHubAddress(address), settings = hubSettings();
  const asked = { ...parsed, revision: options.commit ?? parsed.revision };
  const { onWait = () => {}, signal } = options;
  const http = {
    bearer: settings.token === undefined
      ? undefined
      : { token: settings.token, origin: settings.endpoint.origin },
    patience: {
      mostMs: MOST_WAIT_MS,
      onWait: (ms: number) =>
        onWait(`${settings.endpoint.host} asks to wait ${Math.ceil(ms / 1000)} s`),
    },
  };
  const url = joinPath(settings.endpoint, ["api", "models", ...asked.repository.split("/")]);
  url.pathname += `/revision/${encodeURIComponent(asked.revision)}`;
  url.search = "?blobs=true";
  let text: string;
  try {
    ({ text } = await new HttpClient(http).call(url, { method: "GET", signal }));
  } catch (error) {
    throw hubFault(error, asked, settings);
  }
  const listing = readListing(text, parsed);
  refuseIncomplete(listing);
  return new HubFolder(listing, { asked, settings, http, signal });
}

/** A URL below another. */
function joinPath(base: URL, names: readonly string[]): URL {
  return names.reduce(joinUrl, base);
}

interface Opened {
  readonly asked: HubAddress;
  readonly settings: HubSettings;
  readonly http: ConstructorParameters<typeof HttpFolder>[1];
  readonly signal: AbortSignal | undefined;
}

/** Every file is read at the listing's commit; where the hub says what a file's bytes are, they are held against it. */
export class HubFolder extends HttpFolder {
  readonly card: ModelCard;
  readonly #listing: HubListing;
  readonly #opened: Opened;

  constructor(listing: HubListing, opened: Opened) {
    const { repository, commit } = listing.card;
    const { endpoint } = opened.settings;
    const base = joinPath(endpoint, [...repository.split("/"), "resolve", commit]);
    const origin = `hf://${repository}@${commit}`;
    super(base, {
      ...opened.http,
      keepRedirects: true,
      shown: (url) => `${origin}${url.pathname.slice(base.pathname.length)}`,
      faultOf: (url, headers) => faultOf(listing, nameIn(url, base), headers),
    });
    this.card = listing.card;
    this.#listing = listing;
    this.#opened = opened;
  }

  override async stat(file: string): Promise<{ bytes: number; version: string } | undefined> {
    const found = this.#listing.files.get(file);
    if (found === undefined) return undefined;
    const version = found.sha256 ?? found.blobId ?? this.card.commit;
    if (found.bytes !== undefined) return { bytes: found.bytes, version };
    try {
      const stat = await super.stat(file);
      return stat && { bytes: stat.bytes, version };
    } catch (error) {
      throw hubFault(error, this.#opened.asked, this.#opened.settings);
    }
  }

  override async read(
    file: string,
    offset: number,
    into: Uint8Array<ArrayBuffer>,
    signal: AbortSignal | undefined = this.#opened.signal,
  ): Promise<void> {
    try {
      await super.read(file, offset, into, signal);
    } catch (error) {
      throw hubFault(error, this.#opened.asked, this.#opened.settings);
    }
    if (offset === 0) this.#checkWhole(file, into);
  }

  /** Throws MoqeError `corrupt` where a file that was read whole is not the one that was listed. */
  #checkWhole(file: string, bytes: Uint8Array): void {
    const { sha256, blobId, bytes: size } = this.#listing.files.get(file) ?? {};
    if (bytes.length !== size) return;
    const [wanted, found] = sha256 !== undefined
      ? [sha256, createHash("sha256").update(bytes).digest("hex")]
      : [blobId, createHash("sha1").update(`blob ${size}\0`).update(bytes).digest("hex")];
    // Repositories of git's newer kind name blobs by 64 digits, which are not checked.
    if (wanted === undefined || wanted.length !== found.length || wanted === found) return;
    throw new MoqeError("corrupt", {
      action: `read ${this.origin}/${file}`,
      rule: `its bytes are not those of the commit, whose hash is ${wanted}`,
      observed: found,
      remedy: "try again; a mirror (HF_ENDPOINT) may have damaged it",
    });
  }
}

function nameIn(url: URL, base: URL): string {
  return decodeURIComponent(url.pathname.slice(base.pathname.length + 1));
}

/** Of an answer with another commit, or with a large file of another hash than the hub listed. */
function faultOf(
  { card, files }: HubListing,
  file: string,
  headers: Headers,
): HttpFailure | undefined {
  const commit = headers.get("x-repo-commit") ?? card.commit;
  const linked = headers.get("x-linked-etag")?.replace(/^W\/|"/g, "");
  const listed = files.get(file)?.sha256 ?? linked;
  if (commit === card.commit && (linked ?? listed) === listed) return undefined;
  const rule = commit === card.commit
    ? "the file's hash is not the one that the hub listed"
    : "the hub answers with a file of another commit";
  const remedy = "give the command again; a mirror (HF_ENDPOINT) may be behind the hub";
  return Object.assign(new HttpFailure(rule, undefined, "corrupt"), { remedy });
}
