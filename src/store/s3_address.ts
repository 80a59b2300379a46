/** s3://bucket/prefix: where its objects are, and how requests for them are signed. */
import { AwsV4Signer } from "aws4fetch";
import { MoqeError } from "../base/errors.ts";
import { type AwsSettings, awsSettings, type AwsSources, processSources } from "./aws_config.ts";
import type { HttpOptions } from "./http_client.ts";
import type { Sign } from "./http_send.ts";
import { serverUrl } from "./http_url.ts";

/** An address understood. */
export interface S3Place {
  /** The bucket's URL, without a slash at its end. */
  readonly bucket: URL;
  /** The prefix's URL, under which objects lie by name. */
  readonly base: URL;
  /** Path of the prefix within the bucket as S3 keys have it: "" or "a/b/". */
  readonly keyPrefix: string;
  /** What reads and writes need: signatures, and addresses as people wrote them. */
  readonly http: Pick<HttpOptions, "sign" | "shown">;
}

const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/;
const REGION = /^[A-Za-z0-9-]{1,64}$/;
const PARAMETERS = ["endpoint", "region", "style", "profile"];
/** Files and variables are looked at again after this: credentials expire and are renewed. */
const FRESH_MS = 300_000;

/**
 * Understands `s3://bucket/prefix?endpoint=URL&region=NAME&style=path|virtual&profile=NAME`; every parameter may be
 * left out, and is then found as the AWS tools find it. Throws MoqeError `bad_input` with what is wrong.
 */
export function s3Place(address: string, sources: AwsSources = processSources): S3Place {
  const { bucket, prefix, asked } = parseAddress(address);
  const settings = awsSettings(sources, asked.get("profile"));
  const region = asked.get("region") ?? settings.region ?? "us-east-1";
  if (!REGION.test(region)) throw refuse("a region is a word such as eu-central-1");
  const custom = asked.get("endpoint") ?? settings.endpoint;
  const endpoint = endpointUrl(
    custom ?? `https://s3.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`,
  );
  // A certificate for *.host does not cover a bucket with dots.
  const byDefault = custom !== undefined || bucket.includes(".") ? "path" : "virtual";
  const style = asked.get("style") ?? settings.style ?? byDefault;
  if (style !== "path" && style !== "virtual") throw refuse("style is path or virtual");
  const root = new URL(endpoint);
  const path = root.pathname.replace(/\/+$/, "");
  if (style === "virtual") root.hostname = `${bucket}.${root.hostname}`;
  root.pathname = style === "virtual" ? path || "/" : `${path}/${encodeURIComponent(bucket)}`;
  const base = new URL(root);
  base.pathname = [root.pathname.replace(/\/$/, ""), ...prefix.map(encodeURIComponent)].join("/");
  const shownBase = ["s3:/", bucket, ...prefix].join("/");
  const profile = asked.get("profile");
  return {
    bucket: root,
    base,
    keyPrefix: prefix.map((part) => `${part}/`).join(""),
    http: {
      sign: settings.credentials === undefined
        ? undefined
        : signer(settings, region, () => awsSettings(sources, profile)),
      shown: (url) => {
        const below = url.pathname.slice(base.pathname.replace(/\/$/, "").length);
        const how = settings.credentials === undefined ? " (without credentials)" : "";
        return `${shownBase}${url.pathname.startsWith(base.pathname) ? below : ""}${how}`;
      },
    },
  };
}

function parseAddress(address: string) {
  let url: URL, bucket: string, path: string;
  try {
    url = new URL(address);
    bucket = decodeURIComponent(url.hostname);
    path = decodeURIComponent(url.pathname);
  } catch {
    throw refuse("an address is s3://bucket/prefix, with % as %25");
  }
  // Behind it everything would be left out, and written to another prefix.
  if (address.includes("#")) throw refuse("# is written %23");
  if (url.username !== "" || url.password !== "") {
    throw refuse("keys do not belong into an address: set AWS_ACCESS_KEY_ID and its secret");
  }
  if (!BUCKET.test(bucket)) throw refuse("an address is s3://bucket/prefix");
  const prefix = path.split("/").filter((part) => part !== "");
  if (prefix.some((part) => part === "." || part === "..")) {
    throw refuse("a prefix holds neither . nor ..");
  }
  const unknown = [...url.searchParams.keys()].find((key) => !PARAMETERS.includes(key));
  if (unknown !== undefined) {
    throw refuse(`its parameters are ${PARAMETERS.join(", ")}`);
  }
  return { bucket, prefix, asked: new Map(url.searchParams) };
}

function endpointUrl(text: string): URL {
  const url = serverUrl(text);
  if (url !== undefined) return url;
  throw refuse("an endpoint is an http(s) URL without user, password or query");
}

/** Signs with what the sources say, looked at again from time to time and when it is no longer taken. */
function signer(first: AwsSettings, region: string, again: () => AwsSettings): Sign {
  let settings = first, readMs = performance.now();
  const cache = new Map<string, ArrayBuffer>();
  return async ({ method, url, headers, expired }) => {
    if (expired || performance.now() - readMs > FRESH_MS) {
      const now = again();
      if (now.credentials !== undefined) settings = now;
      readMs = performance.now();
      cache.clear();
    }
    const { accessKeyId, secretAccessKey, sessionToken } = settings.credentials!;
    const signed = await new AwsV4Signer({
      method,
      url: url.href,
      headers,
      accessKeyId,
      secretAccessKey,
      ...(sessionToken === undefined ? {} : { sessionToken }),
      service: "s3",
      region,
      cache,
    }).sign();
    return signed.headers;
  };
}

/** The address itself is not repeated: a mistyped one may hold a key. */
function refuse(rule: string): MoqeError {
  return new MoqeError("bad_input", { action: "use an s3: address", rule });
}
