/**
 * The page at / in a real browser, with the real service and the shipped model. Where SCREENSHOTS names a folder, pictures
 * of the page are written there. CHROMIUM names a browser that is not on the path.
 */
import axe from "axe-core";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Served } from "../http/served.ts";
import { testNeeding } from "../support/needs.ts";
import { browserPath } from "../support/parts.ts";

const PHONE = { width: 375, height: 740, isMobile: true, hasTouch: true };
const DESK = { width: 1180, height: 760 };
const folder = Deno.env.get("SCREENSHOTS");

/** Waits until an element's text fits. */
async function textOf(page: Page, selector: string, pattern: RegExp): Promise<string> {
  await page.waitForFunction(
    (s: string, p: string) =>
      new RegExp(p).test(
        (globalThis as unknown as Doc).document.querySelector(s)?.textContent ?? "",
      ),
    { timeout: 30_000 },
    selector,
    pattern.source,
  );
  return await page.$eval(selector, (e) => (e as unknown as { textContent: string }).textContent);
}

interface Doc {
  document: { querySelector(s: string): { textContent: string } | null };
}

/** Violations that axe finds, by rule. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found = await page.evaluate("axe.run()") as {
    violations: { id: string; nodes: { html: string }[] }[];
  };
  return found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`);
}

async function open(browser: Browser, url: string, viewport: typeof DESK): Promise<Page> {
  const page = await browser.newPage();
  await page.setViewport(viewport);
  page.on("pageerror", (error) => {
    throw error;
  });
  await page.goto(url);
  await page.waitForSelector("html[data-ready=true]");
  return page;
}

async function shot(page: Page, name: string): Promise<void> {
  if (folder !== undefined) await page.screenshot({ path: `${folder}/${name}.png` as const });
}

testNeeding("browser")("the page in a browser", async (t) => {
  const served = await Served.start();
  const browser = await puppeteer.launch({
    executablePath: browserPath()!,
    args: ["--no-sandbox"],
  });
  try {
    const page = await open(browser, served.url, DESK);
    await t.step("a typed text is translated, alternatives are a click away", async () => {
      await page.type("#text", "Open the file. Close the window.");
      const first = await textOf(page, "#translation:not(.stale)", /\S/);
      await page.waitForSelector("#more:not([disabled])");
      await page.click("#more");
      const other = await page.$eval("#alternatives button", (e) => e.textContent!);
      assert(other !== first);
      await shot(page, "page-light");
      await page.click("#alternatives button");
      assertEquals(await textOf(page, "#translation", /\S/), other);
    });
    await t.step("another target language translates again", async () => {
      const before = await textOf(page, "#translation", /\S/);
      await page.select("#target", "fr");
      await page.waitForFunction(
        `document.querySelector("#translation").lang === "fr" &&
       document.querySelector("#translation").textContent !== ${JSON.stringify(before)}`,
      );
    });
    await t.step("the source language is detected", async () => {
      await page.select("#source", "auto");
      assertMatch(await textOf(page, "#detected", /Detected/), /English/);
    });
    await t.step("the page is usable by keyboard alone", async () => {
      await page.click("#clear");
      await page.keyboard.type("Save the document.");
      await page.keyboard.down("Control");
      await page.keyboard.press("Enter");
      await page.keyboard.up("Control");
      await textOf(page, "#translation:not(.stale)", /\S/);
      const seen = new Set<string>();
      for (let i = 0; i < 16; i++) {
        await page.keyboard.press("Tab");
        seen.add(await page.evaluate("document.activeElement.id") as string);
      }
      for (const id of ["source", "target", "translation", "copy", "clear"]) {
        assert(seen.has(id), id);
      }
    });
    await t.step("axe finds nothing, light and dark", async () => {
      assertEquals(await violations(page), []);
      await page.click("#theme");
      assertEquals(await violations(page), []);
      await shot(page, "page-dark");
    });
    await t.step("a dropped file comes back translated", async () => {
      const file = await Deno.makeTempFile({ suffix: ".txt" });
      await Deno.writeTextFile(file, "Open the file.\n\nClose the window.\n");
      const input = (await page.$("#file"))!;
      await (input as unknown as { uploadFile(path: string): Promise<void> }).uploadFile(file);
      await page.waitForSelector("#file-state a", { timeout: 30_000 });
      const href = await page.$eval(
        "#file-state a",
        (e) => (e as unknown as { href: string }).href,
      );
      const text = await (await fetch(href)).text();
      assertEquals(text.split("\n").length, 4);
      assert(text.trim() !== "" && !text.includes("Open the file."));
    });
    await t.step("it fits a phone without scrolling sideways, and axe finds nothing", async () => {
      const phone = await open(browser, served.url, PHONE);
      await phone.type("#text", "Open the file.");
      await textOf(phone, "#translation:not(.stale)", /\S/);
      assert(await phone.evaluate("document.documentElement.scrollWidth <= innerWidth"));
      assertEquals(await violations(phone), []);
      await shot(phone, "page-phone");
    });
    await t.step("what the server refuses is said in its own words", async () => {
      await page.bringToFront();
      const limit = 20_001;
      await page.$eval(
        "#text",
        (e, n) => void ((e as unknown as { value: string }).value = "a".repeat(n as number)),
        limit,
      );
      await page.focus("#text");
      await page.keyboard.type("b");
      assertMatch(await textOf(page, "#error", /\S/), /limit|20000|exceeds/i);
    });
  } finally {
    await browser.close();
    await served.end();
  }
});
