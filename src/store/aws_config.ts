/** Region, endpoint and credentials of S3 as the AWS tools find them: environment, ~/.aws/credentials, ~/.aws/config. */
import { MoqeError } from "../base/errors.ts";

/** What signs requests. Never shown, never logged. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

export type AddressingStyle = "path" | "virtual";

export interface AwsSettings {
  /** Left out: requests are not signed (public buckets). */
  readonly credentials?: Credentials | undefined;
  readonly region?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly style?: AddressingStyle | undefined;
}

/** Where settings come from; tests have their own. */
export interface AwsSources {
  env(name: string): string | undefined;
  /** A file's text, undefined where there is none. */
  readFile(path: string): string | undefined;
}

/** The process's own environment and files, as far as it may look: what it may not see is not there. */
export const processSources: AwsSources = {
  env: (name) => permitted(() => Deno.env.get(name)),
  readFile: (path) => permitted(() => Deno.readTextFileSync(path)),
};

function permitted<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    const { NotFound, NotCapable, PermissionDenied } = Deno.errors;
    if ([NotFound, NotCapable, PermissionDenied].some((e) => error instanceof e)) return undefined;
    throw error;
  }
}

/**
 * Settings in the order of the AWS tools: a profile that was asked for by name, else the environment, else the
 * profile of AWS_PROFILE or "default". Throws MoqeError `bad_input` for half a pair of keys or a profile that is in
 * no file, `unsupported` for credentials that only an AWS tool can get.
 */
export function awsSettings(sources: AwsSources, asked?: string): AwsSettings {
  const env = (name: string) => sources.env(name) || undefined;
  const name = asked ?? env("AWS_PROFILE") ?? "default";
  const profile = readProfile(sources, name);
  if (profile === undefined && (asked ?? env("AWS_PROFILE")) !== undefined) {
    throw new MoqeError("bad_input", {
      action: `use the AWS profile ${name}`,
      rule: "it is neither in the credentials file nor in the config file",
      remedy: "name another one, or see AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE",
    });
  }
  const own = asked === undefined ? credentialsFromEnvironment(env) : undefined;
  if (own === undefined && profile === undefined && env("AWS_WEB_IDENTITY_TOKEN_FILE")) {
    throw new MoqeError("unsupported", {
      action: "sign requests to the bucket",
      rule: "its credentials come by AWS_WEB_IDENTITY_TOKEN_FILE, which moqe does not do",
      remedy: "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN",
    });
  }
  const style = profile?.get("s3.addressing_style");
  return {
    credentials: own ?? credentialsFromProfile(profile, name),
    region: env("AWS_REGION") ?? env("AWS_DEFAULT_REGION") ?? profile?.get("region"),
    endpoint: env("AWS_ENDPOINT_URL_S3") ?? env("AWS_ENDPOINT_URL") ??
      profile?.get("services.s3.endpoint_url") ?? profile?.get("endpoint_url"),
    style: style === "path" || style === "virtual" ? style : undefined,
  };
}

function credentialsFromEnvironment(
  env: (name: string) => string | undefined,
): Credentials | undefined {
  const accessKeyId = env("AWS_ACCESS_KEY_ID"), secretAccessKey = env("AWS_SECRET_ACCESS_KEY");
  if (accessKeyId === undefined && secretAccessKey === undefined) return undefined;
  return pair(accessKeyId, secretAccessKey, env("AWS_SESSION_TOKEN"), "the environment");
}

function credentialsFromProfile(
  profile: ReadonlyMap<string, string> | undefined,
  name: string,
): Credentials | undefined {
  if (profile === undefined) return undefined;
  const accessKeyId = profile.get("aws_access_key_id");
  const secretAccessKey = profile.get("aws_secret_access_key");
  if (accessKeyId !== undefined || secretAccessKey !== undefined) {
    const where = `the AWS profile ${name}`;
    return pair(accessKeyId, secretAccessKey, profile.get("aws_session_token"), where);
  }
  const other = ["sso_session", "sso_start_url", "role_arn", "credential_process"]
    .find((key) => profile.has(key));
  if (other === undefined) return undefined;
  throw new MoqeError("unsupported", {
    action: `use the AWS profile ${name}`,
    rule: `its credentials come by ${other}, which moqe does not do`,
    remedy: `eval "$(aws configure export-credentials --profile ${name} --format env)" first`,
  });
}

const VISIBLE = /^[\x21-\x7e]+$/;

function pair(
  accessKeyId: string | undefined,
  secretAccessKey: string | undefined,
  sessionToken: string | undefined,
  where: string,
): Credentials {
  if (accessKeyId !== undefined && secretAccessKey !== undefined) {
    const found = {
      accessKeyId: accessKeyId.trim(),
      secretAccessKey: secretAccessKey.trim(),
      sessionToken: sessionToken?.trim(),
    };
    // They go into headers; what fetch says of one that cannot would show it.
    if (Object.values(found).every((value) => value === undefined || VISIBLE.test(value))) {
      return found;
    }
    throw new MoqeError("bad_input", {
      action: `read AWS credentials from ${where}`,
      rule: "a key or token is empty, or has spaces or line breaks inside",
      remedy: "set each on one line, as it was given out",
    });
  }
  throw new MoqeError("bad_input", {
    action: `read AWS credentials from ${where}`,
    rule: accessKeyId === undefined
      ? "there is a secret key without an access key id"
      : "there is an access key id without its secret key",
    remedy: "set both or neither",
  });
}

/** A profile of both files together, undefined where neither has it; the credentials file wins. */
function readProfile(sources: AwsSources, name: string): Map<string, string> | undefined {
  const home = sources.env("HOME") || sources.env("USERPROFILE") || "";
  const file = (variable: string, standard: string) =>
    parseIni(sources.readFile(sources.env(variable) || `${home}/.aws/${standard}`) ?? "");
  const config = file("AWS_CONFIG_FILE", "config");
  const credentials = file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
  const inConfig = config.get(`profile ${name}`) ??
    (name === "default" ? config.get("default") : undefined);
  const inCredentials = credentials.get(name);
  if (inConfig === undefined && inCredentials === undefined) return undefined;
  const merged = new Map([...inConfig ?? [], ...inCredentials ?? []]);
  const services = merged.get("services");
  for (const [key, value] of config.get(`services ${services}`) ?? []) {
    merged.set(`services.${key}`, value);
  }
  return merged;
}

/** Sections of an AWS file; an indented line under "s3 =" is "s3.KEY". */
export function parseIni(text: string): Map<string, Map<string, string>> {
  const sections = new Map<string, Map<string, string>>();
  let section: Map<string, string> | undefined, parent = "";
  for (const line of text.split(/\r?\n/)) {
    const bare = line.trim();
    if (bare === "" || bare.startsWith("#") || bare.startsWith(";")) continue;
    const head = /^\[\s*(.*?)\s*\]/.exec(bare);
    if (head !== null) {
      const name = head[1]!.replace(/\s+/g, " ").replace(/["']/g, "");
      section = sections.get(name) ?? new Map();
      sections.set(name, section);
      parent = "";
      continue;
    }
    const at = bare.indexOf("=");
    if (section === undefined || at < 0) continue;
    const key = bare.slice(0, at).trim().toLowerCase(), value = bare.slice(at + 1).trim();
    const nested = /^\s/.test(line) && parent !== "";
    if (!nested) parent = value === "" ? key : "";
    if (value !== "") section.set(nested ? `${parent}.${key}` : key, value);
  }
  return sections;
}
