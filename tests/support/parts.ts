/** What some tests need of the machine beside Deno: whether it is there, and which of Debian's packages are it. */

export interface Part {
  /** What is missing where it is not there. */
  readonly what: string;
  /** What is left untested then. */
  readonly tests: string;
  /** Debian's packages; none where no package would help. */
  readonly packages: readonly string[];
  isThere(): boolean;
}

/** A path from the environment, else the first of some programs that is installed. */
export function browserPath(): string | undefined {
  return Deno.env.get("CHROMIUM") ?? ["chromium", "chromium-browser", "google-chrome"]
    .map(findProgram).find((path) => path !== undefined);
}

/** Every part that tests need, by the name that they use. */
export const PARTS = {
  vulkan: {
    what: "a GPU adapter (Vulkan driver)",
    tests: "GPU kernels, and the engine on them",
    packages: ["mesa-vulkan-drivers"],
    isThere: hasAdapter,
  },
  browser: {
    what: "Chromium",
    tests: "the page in a browser",
    packages: ["chromium"],
    isThere: () => browserPath() !== undefined,
  },
  swift: {
    what: "OpenStack Swift",
    tests: "reading from and packing into S3 buckets",
    packages: ["swift-proxy", "swift-account", "swift-container", "swift-object", "memcached"],
    isThere: () =>
      ["proxy", "account", "container", "object"].every((s) => findProgram(`swift-${s}-server`)) &&
      findProgram("memcached") !== undefined,
  },
  radosgw: {
    what: "Ceph's radosgw",
    tests: "an S3 server that answers ranges with wrong bytes",
    packages: ["radosgw"],
    isThere: () => ["radosgw", "radosgw-admin"].every(findProgram),
  },
  nginx: {
    what: "nginx with Lua",
    tests: "deploy/nginx.conf before two replicas",
    packages: ["nginx", "libnginx-mod-http-lua", "lua-cjson"],
    isThere: () => findProgram("nginx") !== undefined && hasLua(),
  },
  systemd: {
    what: "systemd-analyze",
    tests: "the systemd unit by systemd's own checker",
    packages: ["systemd"],
    isThere: () => findProgram("systemd-analyze") !== undefined,
  },
  curl: {
    what: "curl",
    tests: "README's commands",
    packages: ["curl"],
    isThere: () => findProgram("curl") !== undefined,
  },
  linux: {
    what: "Linux",
    tests: "peak memory, which is read from /proc",
    packages: [],
    isThere: () => Deno.build.os === "linux",
  },
  registry: {
    what: "the npm registry",
    tests: "what a first start downloads",
    packages: [],
    isThere: reachesRegistry,
  },
} satisfies Record<string, Part>;

export type PartName = keyof typeof PARTS;

/** All their names. */
export const PART_NAMES = Object.keys(PARTS) as PartName[];

/** The command that adds packages, for a user of this machine. */
export function installCommand(packages: readonly string[]): string[] {
  const sudo = Deno.build.os !== "windows" && Deno.uid() !== 0 ? ["sudo"] : [];
  return [...sudo, "apt-get", "install", "-y", "--no-install-recommends", ...packages];
}

/** One line: what is left out where a part is missing, in so many tests if that is known, and what adds it. */
export function leftOutLine(name: PartName, tests?: number): string {
  const { what, tests: of, packages }: Part = PARTS[name];
  const remedy = packages.length > 0
    ? `to add it: ${installCommand(packages).join(" ")}`
    : "no package adds it";
  const many = tests === undefined ? "tests" : tests === 1 ? "1 test" : `${tests} tests`;
  return `left out: ${many} of ${of}: this machine lacks ${what}; ${remedy}`;
}

/** Where a program is, among the folders of PATH and those that a user's PATH may lack. */
export function findProgram(name: string): string | undefined {
  const folders = (Deno.env.get("PATH") ?? "").split(":");
  return [...folders, "/usr/bin", "/usr/sbin"].map((folder) => `${folder}/${name}`).find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

/** Whether nginx's configuration can be scripts in Lua, where Debian puts that. */
function hasLua(): boolean {
  try {
    const modules = [...Deno.readDirSync("/etc/nginx/modules-enabled")];
    return modules.some(({ name }) => name.includes("lua"));
  } catch {
    return false;
  }
}

/** In a process of its own: one that has looked once does not see a driver that was installed since. */
function hasAdapter(): boolean {
  const module = new URL("../../src/backend/webgpu/adapter.ts", import.meta.url).href;
  return runs(`if (await (await import("${module}")).findAdapter() === undefined) Deno.exit(1);`);
}

function reachesRegistry(): boolean {
  const url = Deno.env.get("NPM_CONFIG_REGISTRY") ?? "https://registry.npmjs.org";
  const options = `{ method: "HEAD", signal: AbortSignal.timeout(10_000) }`;
  return runs(`if (!(await fetch("${url}/zod", ${options})).ok) Deno.exit(1);`);
}

/** Whether a program in Deno's language ends well. */
function runs(code: string): boolean {
  const args = ["eval", "--no-lock", code];
  const { success } = new Deno.Command(Deno.execPath(), { args, stderr: "null" }).outputSync();
  return success;
}
