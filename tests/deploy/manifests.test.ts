/**
 * The files of deploy/, checked without the systems that they are for: they parse, and hold to the rules that matter
 * here. No container was built and no cluster asked.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { parse, parseAllDocuments } from "yaml";
import { parseBytes } from "../../src/base/units.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { environmentName } from "../../src/base/config.ts";
import { PINNED_DENO } from "../../src/base/runtime.ts";
import { testNeeding } from "../support/needs.ts";

const DEPLOY = new URL("../../deploy/", import.meta.url);
const read = (path: string) => Deno.readTextFileSync(new URL(path, DEPLOY));
// deno-lint-ignore no-explicit-any
type Json = any;

const SERVE = COMMANDS.find((c) => c.name === "serve")!;
const VARIABLES = new Set(Object.keys(SERVE.flags).map(environmentName));

/** Every MOQE_ variable must set a flag of `serve`, to a value that the flag takes. */
function checkVariables(variables: Record<string, string>): void {
  for (const [name, value] of Object.entries(variables)) {
    if (!name.startsWith("MOQE_")) continue;
    assert(VARIABLES.has(name), `${name} sets no flag`);
    const key = Object.keys(SERVE.flags).find((k) => environmentName(k) === name)!;
    SERVE.flags[key]!.parse(value);
  }
}

const MANIFESTS = ["deployment", "autoscale", "gpu"].map((name) => `kubernetes/${name}.yaml`);
const objects: Json[] = MANIFESTS.flatMap((path) =>
  parseAllDocuments(read(path)).map((document) => {
    assertEquals((document as Json).errors, [], path);
    return (document as Json).toJS();
  })
);
const ofKind = (kind: string): Json[] => objects.filter((o) => o.kind === kind);
const bytesOf = (quantity: string) => parseBytes(quantity.replace(/([KMG]i)$/, "$1B"));

Deno.test("Kubernetes: every object has a version of its kind, a name, and one name once", () => {
  const versions: Record<string, string> = {
    ConfigMap: "v1",
    Service: "v1",
    Deployment: "apps/v1",
    PodDisruptionBudget: "policy/v1",
    HorizontalPodAutoscaler: "autoscaling/v2",
  };
  for (const { kind, apiVersion, metadata } of objects) {
    assertEquals(apiVersion, versions[kind], kind);
    assert(/^[a-z][a-z0-9-]{0,62}$/.test(metadata.name), metadata.name);
  }
  const names = objects.map((o) => `${o.kind}/${o.metadata.name}`);
  assertEquals(new Set(names).size, names.length);
  assertEquals(new Set(objects.map((o) => o.kind)), new Set(Object.keys(versions)));
});

Deno.test("Kubernetes: pods are probed, bounded, without root and without a writable disk", () => {
  for (const deployment of ofKind("Deployment")) {
    const { selector, template } = deployment.spec;
    for (const [label, value] of Object.entries(selector.matchLabels)) {
      assertEquals(template.metadata.labels[label], value);
    }
    const { securityContext, containers, terminationGracePeriodSeconds } = template.spec;
    assertEquals([securityContext.runAsNonRoot, securityContext.seccompProfile.type], [
      true,
      "RuntimeDefault",
    ]);
    const [container] = containers;
    assertEquals(container.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    assertEquals(container.startupProbe.httpGet.path, "/live");
    assertEquals(container.livenessProbe.httpGet.path, "/live");
    assertEquals(container.readinessProbe.httpGet.path, "/ready");
    const ports = container.ports.map((p: Json) => p.name);
    for (const probe of ["startupProbe", "livenessProbe", "readinessProbe"]) {
      assert(ports.includes(container[probe].httpGet.port));
    }
    assert(terminationGracePeriodSeconds > 30 + container.lifecycle.preStop.sleep.seconds);
    const variables = variablesOf(container);
    checkVariables(variables);
    // On the CPU both budgets are host memory; on a GPU the first one is the card's.
    const host = parseBytes(variables.MOQE_HOST_MEMORY!) +
      (variables.MOQE_DEVICE === "webgpu" ? 0 : parseBytes(variables.MOQE_GPU_MEMORY!));
    assert(host <= bytesOf(container.resources.limits.memory), "the limit holds both budgets");
  }
  const gpu = ofKind("Deployment").find((d) => d.metadata.name === "moqe-gpu");
  assertEquals(gpu.spec.template.spec.containers[0].resources.limits["nvidia.com/gpu"], 1);
});

Deno.test("Kubernetes: no Deployment takes another's pods for its own", () => {
  const deployments = ofKind("Deployment");
  assert(deployments.length > 1);
  for (const { spec: { selector }, metadata: { name } } of deployments) {
    const matching = deployments.filter(({ spec: { template } }) =>
      Object.entries(selector.matchLabels).every(([k, v]) => template.metadata.labels[k] === v)
    );
    assertEquals(matching.map((d: Json) => d.metadata.name), [name]);
  }
});

/** What a container's variables are: those of the ConfigMaps it names, then its own. */
function variablesOf({ env = [], envFrom }: Json): Record<string, string> {
  const maps = envFrom.flatMap((from: Json) => from.configMapRef?.name ?? [])
    .map((name: string) => ofKind("ConfigMap").find((c) => c.metadata.name === name).data);
  return Object.assign({}, ...maps, ...env.map((e: Json) => ({ [e.name]: e.value })));
}

Deno.test("Kubernetes: pods take no port from the Service's name", () => {
  const [service] = ofKind("Service");
  // The kubelet would set NAME_PORT=tcp://... of every Service.
  assert(VARIABLES.has(`${service.metadata.name.toUpperCase()}_PORT`), "else it would not matter");
  for (const { spec, metadata } of ofKind("Deployment")) {
    assertEquals(spec.template.spec.enableServiceLinks, false, metadata.name);
  }
});

Deno.test("Kubernetes: whoever is behind the Service has keys and the same permissions", () => {
  const [service] = ofKind("Service");
  const permissions = new Set<string>();
  for (const { spec: { template }, metadata: { name } } of ofKind("Deployment")) {
    for (const [label, value] of Object.entries(service.spec.selector)) {
      assertEquals(template.metadata.labels[label], value, name);
    }
    const { containers: [container], volumes, securityContext } = template.spec;
    const { MOQE_KEYS, MOQE_ADMIN_PORT } = variablesOf(container);
    const folder = MOQE_KEYS!.slice(0, MOQE_KEYS!.lastIndexOf("/"));
    const mount = container.volumeMounts.find((m: Json) => m.mountPath === folder);
    const volume = volumes.find((v: Json) => v.name === mount.name);
    assertEquals(volume.secret.secretName, "moqe-keys", name);
    assertEquals(securityContext.fsGroup, securityContext.runAsGroup, "a file of mode 0440 opens");
    const { command, args, ports } = container;
    assertEquals([command.slice(0, 2), command.at(-1), args], [
      ["deno", "run"],
      "/app/moqe.js",
      ["serve"],
    ]);
    const allowed: string[] = command.filter((flag: string) => flag.startsWith("--allow-"));
    assert(allowed.some((f) => f.startsWith("--allow-read=") && f.split(/[=,]/).includes(folder)));
    permissions.add(allowed.sort().join(" "));
    // What the image's own entry point has besides permissions: WebGPU on the GPU's.
    const stage = name === "moqe-gpu" ? "vulkan" : "cpu";
    const [, image] = read("Dockerfile").split(new RegExp(`^FROM .* AS ${stage}$`, "m"));
    const entry = JSON.parse(/^ENTRYPOINT (\[[^\]]*\])/m.exec(image!)![1]!.replaceAll("\\\n", ""));
    const others = (flags: string[]) => flags.filter((flag) => !flag.startsWith("--allow-"));
    assertEquals(others(command), others(entry), name);
    const admin = ports.find((p: Json) => p.name === "admin").containerPort;
    assertEquals(String(admin), MOQE_ADMIN_PORT);
    assertEquals(template.metadata.annotations["prometheus.io/port"], MOQE_ADMIN_PORT, name);
  }
  assertEquals(permissions.size, 1);
});

Deno.test("Kubernetes: service, autoscaler and budget name what is there", () => {
  const [service] = ofKind("Service"), [hpa] = ofKind("HorizontalPodAutoscaler");
  const [budget] = ofKind("PodDisruptionBudget");
  const cpu = ofKind("Deployment").find((d) => d.metadata.name === hpa.spec.scaleTargetRef.name);
  for (const selector of [service.spec.selector, budget.spec.selector.matchLabels]) {
    for (const [label, value] of Object.entries(selector)) {
      assertEquals(cpu.spec.template.metadata.labels[label], value);
    }
  }
  assert(budget.spec.minAvailable < hpa.spec.minReplicas);
  assertEquals(hpa.spec.minReplicas, cpu.spec.replicas);
  const [metric] = hpa.spec.metrics;
  const rule = ofKind("ConfigMap").find((c) => c.metadata.name.endsWith("rule"));
  assertStringIncludes(rule.data["rules.yaml"], `as: ${metric.pods.metric.name}`);
  assertStringIncludes(
    Deno.readTextFileSync(new URL("../src/http/engine_metrics.ts", DEPLOY)),
    "moqe_queue_sentences",
  );
  assert(parse(rule.data["rules.yaml"]).rules.length === 1);
});

Deno.test("compose: the service waits for its store, is bounded and cannot write", () => {
  const { services, configs } = parse(read("compose.yaml"));
  const { moqe, load, store } = services;
  assertEquals([moqe.read_only, moqe.user, moqe.cap_drop], [true, "65532:65532", ["ALL"]]);
  assertEquals(moqe.depends_on.load.condition, "service_completed_successfully");
  assertEquals(load.depends_on.store.condition, "service_healthy");
  checkVariables(moqe.environment);
  const { MOQE_GPU_MEMORY, MOQE_HOST_MEMORY } = moqe.environment;
  const budgets = parseBytes(MOQE_GPU_MEMORY) + parseBytes(MOQE_HOST_MEMORY);
  assert(budgets <= parseBytes(moqe.mem_limit.replace("m", "MiB")));
  const [identity] = JSON.parse(configs.s3.content).identities;
  assertEquals(identity.credentials[0].accessKey, moqe.environment.AWS_ACCESS_KEY_ID);
  assert(store.command.includes("-s3"));
  // What is served is what was put there: every model that ships.
  const folders = [...Deno.readDirSync(new URL("../models/", DEPLOY))].map((e) => e.name);
  const shipped = folders.filter((name) => name.startsWith("tiny-")).sort();
  assertEquals(moqe.environment.MOQE_MODEL, shipped.map((n) => `s3://models/${n}`).join());
  assertEquals(load.command.slice(1), ["/models", "s3:models", "--include", "/tiny-*/**"]);
});

Deno.test("Dockerfile: pinned, without root, with a health check, and copies what exists", () => {
  const text = read("Dockerfile");
  const stages = text.split(/^FROM /m).slice(1);
  assertEquals(stages.map((s) => /AS (\w+)/.exec(s)![1]), ["build", "vulkan", "cpu"]);
  for (const stage of stages) assertStringIncludes(stage, PINNED_DENO);
  for (const stage of stages.slice(1)) {
    assertStringIncludes(stage, "USER 65532:65532");
    assertStringIncludes(stage, "HEALTHCHECK");
    assertEquals(stage.includes('"-A"'), false, "no permission is given that is not named");
    for (const [, name, value] of stage.matchAll(/(MOQE_\w+)=(\S+)/g)) {
      checkVariables({ [name!]: value! });
    }
  }
  const ignored = read("Dockerfile.dockerignore");
  for (const [, paths] of text.matchAll(/^COPY (?!--from)(?:--chmod=\d+ )?(.*) \S+$/gm)) {
    for (const path of paths!.split(" ")) {
      assert(Deno.statSync(new URL(`../${path}`, DEPLOY)), path);
      assertStringIncludes(ignored, `!${path}`);
    }
  }
});

Deno.test("systemd: bounded memory, least permissions, flags that exist", () => {
  const unit = read("moqe.service").replaceAll("\\\n", " ");
  const [, exec] = /^ExecStart=(.*)$/m.exec(unit)!;
  // A flag would win over /etc/moqe.env, a variable does not.
  assert(exec!.endsWith(" serve"), "serve has no flags");
  const named = [...unit.matchAll(/^Environment=(.*)$/gm)]
    .flatMap(([, line]) => line!.split(" ").map((pair) => pair.split("=") as [string, string]));
  const variables = Object.fromEntries(named.filter(([name]) => name.startsWith("MOQE_")));
  checkVariables(variables);
  assert(unit.indexOf("\nEnvironmentFile=") > unit.lastIndexOf("\nEnvironment="), "it comes last");
  assertEquals(exec!.includes(" -A "), false);
  for (const line of ["NoNewPrivileges=yes", "DynamicUser=yes", "ProtectSystem=strict"]) {
    assertStringIncludes(unit, `\n${line}\n`);
  }
  const limit = parseBytes(/^MemoryMax=(\d+M)$/m.exec(unit)![1]!.replace("M", "MiB"));
  const budgets = [variables["MOQE_GPU_MEMORY"]!, variables["MOQE_HOST_MEMORY"]!].map(parseBytes);
  assert(budgets[0]! + budgets[1]! <= limit);
});

testNeeding("systemd")("systemd's own checker finds nothing in the unit", async () => {
  const path = new URL("moqe.service", DEPLOY).pathname;
  const { stderr } = await new Deno.Command("systemd-analyze", { args: ["verify", path] }).output();
  const said = new TextDecoder().decode(stderr).split("\n")
    // The program itself is not on this machine.
    .filter((line) => line !== "" && !line.includes("is not executable"));
  assertEquals(said.filter((line) => line.includes("moqe.service")), []);
});

Deno.test("replicas share nothing: a client comes back to the one that has its documents and glossaries", () => {
  const [service] = ofKind("Service");
  assertEquals(service.spec.sessionAffinity, "ClientIP");
  const nginx = read("nginx.conf");
  for (
    const path of ["^/v[23]/document", "^/v[23]/glossar", "^/translate_file", "^/download_file/"]
  ) {
    assertStringIncludes(nginx, `uri:find("${path}")`);
  }
  // Else the address of a translated file would lack the port.
  assertStringIncludes(nginx, "proxy_set_header Host $http_host;");
});
