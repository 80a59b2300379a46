/**
 * The picture of README.md: the page while it translates, beside what its cache holds, with 30 of 160 experts
 * in memory. Needs Chromium. `deno run -A --lock=dev.lock tools/picture.ts [FILE]`
 */
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { Served } from "../tests/http/served.ts";
import { browserPath } from "../tests/support/parts.ts";

const OUT = Deno.args[0] ?? "tools/page.png";
const BUDGET = ["--gpu-memory", "22MiB", "--threads", "1", "--max-batch-tokens", "128"];
const TEXT = `The file could not be opened.

Select the printer that you want to use and click Print. If the printer does not answer, check that \
it is switched on and connected to the network.

My grandmother used to bake bread every Sunday morning, and the whole street smelled of it.

The settings are kept in a folder that only you can read. Close the program before you change them.`;

async function open(browser: Browser, url: string, width: number): Promise<Page> {
  const page = await browser.newPage();
  await page.setViewport({ width, height: 700 });
  await page.goto(url);
  return page;
}

const served = await Served.start(BUDGET);
const browser = await puppeteer.launch({ executablePath: browserPath()!, args: ["--no-sandbox"] });
try {
  const cache = await open(browser, `${served.url}/cache`, 560);
  const page = await open(browser, served.url, 840);
  await page.waitForSelector("html[data-ready=true]");
  // Typed at once: a text that grows key by key would be translated as often.
  await page.$eval(
    "#text",
    (e, text) => void ((e as unknown as { value: string }).value = text as string),
    TEXT,
  );
  await page.focus("#text");
  await page.keyboard.type(" ");
  await page.waitForFunction(`document.querySelector("#translation").textContent.length > 120`);
  const left = await page.screenshot({ encoding: "base64" });
  await cache.bringToFront();
  const right = await cache.screenshot({ encoding: "base64" });
  const both = await browser.newPage();
  await both.setViewport({ width: 1400, height: 700 });
  const img = (data: string) => `<img src="data:image/png;base64,${data}">`;
  await both.setContent(`<body style="margin:0;display:flex">${img(left)}${img(right)}</body>`);
  await both.screenshot({ path: OUT as `${string}.png` });
  console.log(`${OUT}: ${Deno.statSync(OUT).size} bytes`);
} finally {
  await browser.close();
  await served.end();
}
