/** hf://ORG/NAME[@REVISION]: which repository it names, and where and as whom a hub is asked for it. */
import { MoqeError } from "../base/errors.ts";
import { type AwsSources as Sources, processSources } from "../store/aws_config.ts";
import { serverUrl } from "../store/http_url.ts";

/** An address understood. */
export interface HubAddress {
  /** "ORG/NAME". */
  readonly repository: string;
  /** A branch, a tag or a commit; "main" where the address names none. */
  readonly revision: string;
}

/** The hub that answers. */
export interface HubSettings {
  /** Without a slash at its end; it may have a path. */
  readonly endpoint: URL;
  /** Sent to the endpoint's own origin alone. Never shown, never logged. */
  readonly token: string | undefined;
}

const PART = "[A-Za-z0-9][A-Za-z0-9._-]{0,95}";
const ADDRESS = new RegExp(
  `^hf://(${PART}/${PART})(?:@([A-Za-z0-9][A-Za-z0-9._/+-]{0,254}?))?/?$`,
  "i",
);

/** Whether an address names a repository of a hub, rightly or wrongly written. */
export function isHubAddress(address: string): boolean {
  return /^hf:/i.test(address);
}

/** Reads an address. Throws MoqeError `bad_input` for another form. */
export function parseHubAddress(address: string): HubAddress {
  const [, repository, revision = "main"] = ADDRESS.exec(address) ?? [];
  const wrong = repository === undefined || /\.\.|\.git$/.test(repository) ||
    revision.split("/").some((part) => part === "" || part === "." || part === "..");
  if (!wrong) return { repository, revision };
  throw new MoqeError("bad_input", {
    action: "use a hub's address",
    rule: "it is hf://ORG/NAME or hf://ORG/NAME@REVISION, a revision being a branch, tag or commit",
    observed: JSON.stringify(address.replace(/[?#].*$/, "").slice(0, 120)),
    remedy: "copy the name from the top of the model's page",
  });
}

/**
 * HF_ENDPOINT and HF_TOKEN, or the token file that the hub's own tools write: HF_TOKEN_PATH, else `token` in HF_HOME or
 * in ~/.cache/huggingface. Throws MoqeError `bad_input` for what is neither.
 */
export function hubSettings({ env, readFile }: Sources = processSources): HubSettings {
  const endpoint = serverUrl((env("HF_ENDPOINT") || "https://huggingface.co").replace(/\/+$/, ""));
  if (endpoint === undefined) {
    throw new MoqeError("bad_input", {
      action: "read HF_ENDPOINT",
      rule: "it must be an http(s) URL without user, password or query",
      remedy: "unset it for huggingface.co, or name a mirror as https://mirror.example",
    });
  }
  const home = env("HF_HOME") || `${env("HOME") || env("USERPROFILE") || ""}/.cache/huggingface`;
  const token = (env("HF_TOKEN") || readFile(env("HF_TOKEN_PATH") || `${home}/token`) || "").trim();
  // It goes into a header; what fetch says of one that cannot would show it.
  if (!/^[\x21-\x7e]*$/.test(token)) {
    throw new MoqeError("bad_input", {
      action: "use the hub's token",
      rule: "it has spaces, line breaks or letters beyond ASCII inside",
      remedy: "set HF_TOKEN on one line, as it was given out",
    });
  }
  return { endpoint, token: token === "" ? undefined : token };
}
