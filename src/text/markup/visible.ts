/** The text of markup that a reader sees, for the detection of its language. */
import { decodeHTML } from "entities";
import { htmlEvents } from "./html.ts";

/** A page's scripts and styles may be long, and are no language. */
const UNSEEN = new Set(["script", "style"]);

/** About the first `most` characters of visible text. XML is read as a browser reads it: none is ill formed. */
export function visibleText(markup: string, most: number): string {
  let seen = "", unseen: string | undefined;
  for (const event of htmlEvents(markup)) {
    if (event.kind === "open") {
      // <style/> of XML has nothing in it.
      if (UNSEEN.has(event.name) && markup[event.end - 2] !== "/") unseen = event.name;
    } else if (event.kind === "close" && event.name === unseen) unseen = undefined;
    else if (event.kind === "text" && unseen === undefined) {
      seen += `${markup.slice(event.start, event.end)} `;
      if (seen.length > most) break;
    }
  }
  return decodeHTML(seen);
}
