// The live page of /cache: asks for the numbers once a second and draws them. No library.
const EVERY_MS = 1000;
const COLOURS = [
  "#2f6f9f",
  "#d98e04",
  "#4d9e5b",
  "#8a5fb0",
  "#b5544d",
  "#3aa6a0",
  "#8c8c3f",
  "#9a6b4f",
  "#777f88",
];
const SVG = "http://www.w3.org/2000/svg";
const at = (id) => document.getElementById(id);
let key = sessionStorage.getItem("moqe-key") ?? "";

function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) [n, i] = [n / 1024, i + 1];
  return `${i === 0 ? n : n.toPrecision(3)} ${units[i]}`;
}

const percent = (part, whole) => whole === 0 ? "" : `${(100 * part / whole).toFixed(1)} %`;

function element(name, attributes = {}, text) {
  const made = document.createElementNS(SVG, name);
  for (const [k, v] of Object.entries(attributes)) made.setAttribute(k, v);
  if (text !== undefined) {
    const title = document.createElementNS(SVG, "title");
    title.textContent = text;
    made.append(title);
  }
  return made;
}

function html(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

/** One budget: its lines side by side, what is left of it empty. */
function budget(name, { budgetBytes, usedBytes, peakBytes, lines }) {
  const box = html("div", "bar");
  const svg = element("svg", { viewBox: "0 0 1000 18", preserveAspectRatio: "none" });
  svg.append(element("rect", { width: 1000, height: 18, fill: "#8884" }));
  let x = 0;
  const legend = [];
  Object.entries(lines).forEach(([line, n], i) => {
    if (n === 0) return;
    const width = 1000 * n / budgetBytes;
    const fill = COLOURS[i % COLOURS.length];
    svg.append(element("rect", { x, width, height: 18, fill }, `${line}: ${bytes(n)}`));
    legend.push(`${line} ${bytes(n)}`);
    x += width;
  });
  const head = `${name}: ${bytes(usedBytes)} of ${bytes(budgetBytes)}, at most ${bytes(peakBytes)}`;
  box.append(html("div", "", head), svg, html("div", "legend", legend.join(" · ")));
  return box;
}

/** One sparse layer: a cell an expert. */
function layer({ stack, layer, uses, resident }) {
  const row = html("div", "layer");
  const most = Math.max(1, ...uses);
  const svg = element("svg", {
    viewBox: `0 0 ${uses.length * 10} 14`,
    height: 16,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": `${stack} layer ${layer}: ${
      resident.filter(Boolean).length
    } of ${uses.length} resident`,
  });
  uses.forEach((n, e) => {
    const opacity = n === 0 ? 0.06 : 0.15 + 0.85 * Math.sqrt(n / most);
    const told = `expert ${e}: asked for ${n} times${resident[e] ? ", resident" : ""}`;
    svg.append(element("rect", {
      x: 10 * e + 1,
      y: 1,
      width: 8,
      height: 12,
      fill: "#2f6f9f",
      "fill-opacity": opacity,
      stroke: resident[e] ? "#d98e04" : "none",
      "stroke-width": 1.6,
    }, told));
  });
  row.append(html("span", "", `${stack} ${layer}`), svg);
  return row;
}

function table(node, head, rows) {
  const line = (cells, tag) => {
    const tr = document.createElement("tr");
    tr.append(...cells.map((c) => html(tag, "", String(c))));
    return tr;
  };
  node.replaceChildren(line(head, "th"), ...rows.map((r) => line(r, "td")));
}

function show({ model, ledger, experts, fetch: fetched, tiers, prefetch }) {
  at("model").textContent = model;
  at("state").textContent =
    `${experts.resident} experts in ${experts.slots} slots of ${bytes(experts.slotBytes)}; ` +
    `${percent(experts.hits, experts.hits + experts.misses) || "no"} hits since start`;
  at("budgets").replaceChildren(budget("gpu", ledger.gpu), budget("host", ledger.host));
  at("heat").replaceChildren(...experts.heat.layers.map(layer));
  const { ram, disk } = tiers;
  table(at("counts"), ["where", "hits", "misses", "bytes", ""], [
    [
      "arenas",
      experts.hits,
      experts.misses,
      bytes(experts.loadedBytes),
      `${experts.evictions} evictions`,
    ],
    ["memory", ram.hits, ram.misses, bytes(ram.bytes), `${ram.blocks} blocks held`],
    ...(disk
      ? [[
        "disk",
        disk.hits,
        disk.misses,
        bytes(disk.readBytes),
        `${disk.writtenBlocks} written, ${disk.dropped} wrong`,
      ]]
      : []),
    [
      "store",
      fetched.requests,
      "",
      bytes(fetched.bytes),
      `${fetched.refused} refused, ${fetched.retries} tried again`,
    ],
    [
      "prefetch",
      prefetch.used,
      prefetch.asked - prefetch.used,
      "",
      `${prefetch.came} came in time`,
    ],
  ]);
  table(
    at("languages"),
    ["target", "hits", "misses", "rate"],
    Object.entries(experts.heat.languages).map(([code, { hits, misses }]) => [
      code || "not said",
      hits,
      misses,
      percent(hits, hits + misses),
    ]),
  );
}

async function turn() {
  try {
    const headers = key === "" ? {} : { Authorization: `Bearer ${key}` };
    const answer = await fetch("/cache/stats", { headers });
    at("door").hidden = answer.status !== 401 && answer.status !== 403;
    if (answer.ok) show(await answer.json());
    else {at("state").textContent = answer.status === 503
        ? "the model is loading"
        : `the service says ${answer.status}`;}
  } catch {
    at("state").textContent = "the service does not answer";
  }
  setTimeout(turn, EVERY_MS);
}

at("door").addEventListener("submit", (event) => {
  event.preventDefault();
  key = at("key").value;
  sessionStorage.setItem("moqe-key", key);
});
turn();
