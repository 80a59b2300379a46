/** What a hub refuses, in words that say what to do. */
import { MoqeError } from "../base/errors.ts";
import { HttpFailure } from "../store/http_failure.ts";
import type { HubAddress, HubSettings } from "./hub_address.ts";

/** A failed request as the hub means it; any other error as it is. */
export function hubFault(error: unknown, asked: HubAddress, hub: HubSettings): unknown {
  if (!(error instanceof MoqeError) || !(error.parts.cause instanceof HttpFailure)) return error;
  const said = explain(error.parts.cause, asked, hub);
  if (said === undefined) return error;
  const cause = error.parts.cause;
  return new MoqeError("unavailable", { action: error.parts.action, ...said, cause });
}

function explain(
  { status, hubCode, retryAfterMs }: HttpFailure,
  { repository, revision }: HubAddress,
  { endpoint, token }: HubSettings,
): { rule: string; remedy: string } | undefined {
  const site = endpoint.href.replace(/\/+$/, ""), page = `${site}/${repository}`;
  const tokens = `${site}/settings/tokens`;
  if (hubCode === "GatedRepo") {
    return {
      rule: "the model is gated: its authors ask that their terms be accepted first",
      remedy: token === undefined
        ? `accept them at ${page}, then set HF_TOKEN to a token of that account (${tokens})`
        : `accept them at ${page} with the account of HF_TOKEN, whose token must be allowed to read gated repositories`,
    };
  }
  if (hubCode === "RevisionNotFound") {
    return {
      rule: `${repository} has no revision ${revision}`,
      remedy: "name a branch, a tag or a commit of it",
    };
  }
  const missing = hubCode === "RepoNotFound" || status === 404 && hubCode !== "EntryNotFound";
  if (missing || status === 401 && token === undefined) {
    return {
      rule: `the hub knows no model ${repository}, or shows it to its members alone`,
      remedy: token === undefined
        ? `check the name; for a private model set HF_TOKEN (${tokens})`
        : "check the name, and whether the account of HF_TOKEN may see it",
    };
  }
  if (status === 401) {
    return {
      rule: "the hub does not take the token",
      remedy: `set HF_TOKEN to one that is valid (${tokens}), or to none for public models`,
    };
  }
  if (status === 403) {
    return {
      rule: "the hub refuses access (403)",
      remedy: `see ${page} for what it asks; a token of few rights may lack that to read it`,
    };
  }
  if (status !== 429) return undefined;
  const seconds = Math.ceil((retryAfterMs ?? 0) / 1000);
  return {
    rule: `the hub has answered too many requests from here (429)` +
      (seconds > 0 ? `, and asks to wait ${seconds} s` : ""),
    remedy: "give the same command again later" +
      (token === undefined ? "; with HF_TOKEN set it answers more" : ""),
  };
}
