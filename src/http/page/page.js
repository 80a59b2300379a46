/** The page at /: translates while one types, with the same routes that every other client uses. */

const AUTO = "auto";
const ALTERNATIVES = 3;
const elements = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((e) => [e.id, e]),
);
const { source, target, text, translation, error, state } = elements;

/** Languages as the server lists them; settings of LibreTranslate's page. */
let languages = [];
let settings = { charLimit: Infinity, frontendTimeout: 500, keyRequired: false };
/** The request under way, the timer before the next one, the alternatives of the last answer. */
let running, timer, alternatives = [];

function headers() {
  const key = elements.key.value.trim();
  return key === "" ? {} : { Authorization: `Bearer ${key}` };
}

/** JSON of a route; throws Error with the server's own words. */
async function ask(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: { ...options.headers, ...headers() } });
  if (answer.ok) return options.read?.(answer) ?? await answer.json();
  const body = await answer.json().catch(() => ({}));
  const wait = answer.headers.get("Retry-After");
  const again = wait === null ? "" : ` Try again in ${wait} s.`;
  throw new Error((body.error ?? body.message ?? `The server answered ${answer.status}.`) + again);
}

/** Reads a stream of events: each delta goes to `onDelta`; answers what `done` brings. */
async function readEvents(answer, onDelta) {
  let rest = "";
  // Not every browser walks over a stream with for await.
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("The connection was lost.");
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const lines of events) {
      const data = /^data: ?(.*)$/m.exec(lines)?.[1];
      if (data === undefined) continue;
      const kind = /^event: ?(.*)$/m.exec(lines)?.[1], body = JSON.parse(data);
      if (kind === "delta") onDelta(body.text);
      if (kind === "done") return body;
      if (kind === "error") throw new Error(body.error);
    }
  }
}

function tell(thrown) {
  error.textContent = thrown === undefined ? "" : thrown.message;
  error.hidden = thrown === undefined;
}

function fill(select, items, chosen) {
  select.replaceChildren(...items.map(({ code, name }) => new Option(name, code)));
  if (items.some((i) => i.code === chosen)) select.value = chosen;
}

/** Targets of the chosen source; of all sources where it is to be detected. */
function fillTargets() {
  const one = languages.find((l) => l.code === source.value);
  const codes = new Set((one === undefined ? languages : [one]).flatMap((l) => l.targets));
  fill(target, languages.filter((l) => codes.has(l.code)), target.value);
  const back = languages.find((l) => l.code === target.value);
  elements.swap.disabled = one === undefined || !back?.targets.includes(one.code);
}

function swap() {
  if (elements.swap.disabled) return;
  const before = [source.value, translation.textContent];
  source.value = target.value;
  fillTargets();
  target.value = before[0];
  fillTargets();
  text.value = before[1];
  soon(0);
}

/** Translates after a pause of typing; what is under way is called off, which frees its place on the server. */
function soon(ms = settings.frontendTimeout) {
  clearTimeout(timer);
  running?.abort();
  elements.count.textContent = Number.isFinite(settings.charLimit)
    ? `${[...text.value].length} of ${settings.charLimit}`
    : `${[...text.value].length}`;
  translation.classList.add("stale");
  timer = setTimeout(translate, ms);
}

async function translate() {
  const q = text.value;
  showAlternatives([]);
  tell();
  if (q.trim() === "") {
    translation.textContent = elements.detected.textContent = state.textContent = "";
    return;
  }
  const mine = running = new AbortController();
  state.textContent = "Translating…";
  let first = true;
  const onDelta = (words) => {
    if (mine.signal.aborted) return;
    translation.textContent = first ? words : translation.textContent + words;
    translation.classList.remove("stale");
    first = false;
  };
  try {
    const answer = await ask("translate", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
      read: (stream) => readEvents(stream, onDelta),
      body: JSON.stringify({
        q,
        source: source.value,
        target: target.value,
        alternatives: ALTERNATIVES,
      }),
      signal: mine.signal,
    });
    show(answer);
  } catch (thrown) {
    if (thrown.name === "AbortError") return;
    tell(thrown);
    state.textContent = "";
  }
}

function show(answer) {
  translation.textContent = answer.translatedText;
  translation.lang = target.value;
  translation.classList.remove("stale");
  const found = answer.detectedLanguage;
  const name = languages.find((l) => l.code === found?.language)?.name ?? found?.language;
  elements.detected.textContent = found === undefined ? "" : `Detected: ${name}`;
  state.textContent = "";
  const distinct = new Set(answer.alternatives ?? []);
  distinct.delete(answer.translatedText);
  showAlternatives([...distinct]);
}

function showAlternatives(found) {
  alternatives = found;
  elements.more.disabled = found.length === 0;
  elements.alternatives.hidden = true;
  elements.more.setAttribute("aria-expanded", "false");
}

function toggleAlternatives() {
  const open = elements.alternatives.hidden;
  elements.alternatives.hidden = !open;
  elements.more.setAttribute("aria-expanded", String(open));
  if (!open) return;
  elements.alternatives.replaceChildren(...alternatives.map((words) => {
    const item = document.createElement("li"), button = document.createElement("button");
    button.type = "button";
    button.textContent = words;
    button.lang = target.value;
    button.onclick = () => {
      alternatives = [translation.textContent, ...alternatives.filter((a) => a !== words)];
      translation.textContent = words;
      toggleAlternatives();
      elements.more.focus();
    };
    item.append(button);
    return item;
  }));
  elements.alternatives.querySelector("button")?.focus();
}

async function copy() {
  try {
    await navigator.clipboard.writeText(translation.textContent);
    state.textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(translation);
    state.textContent = "Selected: copy it with Ctrl+C.";
  }
}

/** Uploads a file, showing how far it is; the answer names where the translated one is. */
function translateFile(file) {
  const form = new FormData();
  form.set("file", file);
  form.set("source", source.value);
  form.set("target", target.value);
  const request = new XMLHttpRequest();
  const done = (words) => {
    elements.progress.hidden = true;
    elements["file-state"].replaceChildren(...words);
  };
  tell();
  elements.progress.hidden = false;
  elements.progress.value = 0;
  elements["file-state"].textContent = `Sending ${file.name}`;
  request.upload.onprogress = (e) => elements.progress.value = e.loaded / e.total;
  request.upload.onload = () => {
    elements.progress.removeAttribute("value");
    elements["file-state"].textContent = `Translating ${file.name}`;
  };
  request.onload = () => {
    const answer = request.response ?? {};
    if (request.status !== 200) {
      tell(new Error(answer.error ?? `The server answered ${request.status}.`));
      return done([]);
    }
    const link = document.createElement("a");
    link.href = answer.translatedFileUrl;
    link.download = "";
    link.textContent = `Download ${file.name} in ${target.selectedOptions[0].text}`;
    done([link]);
    link.focus();
  };
  request.onerror = () => {
    tell(new Error("The connection was lost."));
    done([]);
  };
  request.open("POST", "translate_file");
  for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
  request.responseType = "json";
  request.send(form);
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  elements.theme.setAttribute("aria-pressed", String(name === "dark"));
  localStorage.setItem("theme", name);
}

function listen() {
  text.oninput = () => soon();
  source.onchange = () => (fillTargets(), soon(0));
  target.onchange = () => (fillTargets(), soon(0));
  elements.swap.onclick = swap;
  elements.clear.onclick = () => (text.value = "", soon(0), text.focus());
  elements.more.onclick = toggleAlternatives;
  elements.copy.onclick = copy;
  elements.key.onchange = () => sessionStorage.setItem("key", elements.key.value);
  elements.theme.onclick = () =>
    theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  elements.file.onchange = () => elements.file.files[0] && translateFile(elements.file.files[0]);
  const drop = elements.drop;
  drop.ondragover = (e) => (e.preventDefault(), drop.classList.add("over"));
  drop.ondragleave = () => drop.classList.remove("over");
  drop.ondrop = (e) => {
    e.preventDefault();
    drop.classList.remove("over");
    if (e.dataTransfer.files[0]) translateFile(e.dataTransfer.files[0]);
  };
  document.onkeydown = (e) => {
    if (e.ctrlKey && e.key === "Enter") soon(0);
    else if (e.altKey && e.key.toLowerCase() === "s") swap();
    else if (e.altKey && e.key.toLowerCase() === "c") copy();
    else if (e.key === "Escape" && !elements.alternatives.hidden) toggleAlternatives();
    else return;
    e.preventDefault();
  };
}

async function start() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  theme(localStorage.getItem("theme") ?? dark);
  elements.key.value = sessionStorage.getItem("key") ?? "";
  listen();
  showAlternatives([]);
  try {
    settings = { ...settings, ...await ask("frontend/settings") };
    languages = await ask("languages");
  } catch (thrown) {
    return tell(thrown);
  }
  elements["key-box"].hidden = !settings.keyRequired;
  elements["key-box"].open = settings.keyRequired && elements.key.value === "";
  const formats = settings.supportedFilesFormat ?? [];
  elements.formats.textContent = formats.length === 0 ? "" : `(${formats.join(", ")})`;
  elements.file.accept = formats.join(",");
  elements.drop.hidden = !settings.filesTranslation || formats.length === 0;
  const sources = languages.filter((l) => l.targets.some((t) => t !== l.code));
  fill(
    source,
    [{ code: AUTO, name: "Detect language" }, ...sources],
    settings.language.source.code,
  );
  fill(target, languages, settings.language.target.code);
  fillTargets();
  document.documentElement.dataset.ready = "true";
  soon(0);
}

start();
