/** Which elements end a sentence, which are kept, which attributes are language. */
import type { MarkupKind, MarkupOptions } from "../documents/contract.ts";
import { codeOf } from "../languages.ts";
import type { MarkupAttribute, MarkupEvent } from "./events.ts";

type OpenEvent = Extract<MarkupEvent, { kind: "open" }>;

/** What an element is to the segmenter. */
export type Role = "inline" | "block" | "kept-inline" | "kept-block";

/** HTML elements that text flows through. What HTML does not know is shown in line too. */
const BLOCKS = new Set(
  `address article aside audio blockquote body br button canvas caption center col colgroup datalist dd details
  dialog dir div dl dt embed fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header
  hgroup hr html iframe legend li link main map menu menuitem meta nav noframes noscript object ol optgroup option p
  param picture pre search section select source summary svg math table tbody td template textarea tfoot th thead
  title tr track ul video script style base area`.split(/\s+/),
);

/** Content of these is no language. */
const KEPT = new Set(
  "script style code kbd samp var tt svg math template xmp plaintext noembed iframe object".split(
    " ",
  ),
);

const ATTRIBUTES = new Set(
  "alt title placeholder aria-label aria-description aria-placeholder aria-roledescription aria-valuetext"
    .split(" "),
);

const META = new Set(
  "description og:title og:description og:image:alt twitter:title twitter:description".split(" "),
);

/** The rules of one translation. */
export class MarkupRules {
  readonly #splitting: ReadonlySet<string>;
  readonly #nonSplitting: ReadonlySet<string>;
  readonly #ignored: ReadonlySet<string>;

  /** `root` is where the outermost element begins: what it says of its language is not heard, the caller knows. */
  constructor(
    readonly kind: MarkupKind,
    private readonly options: MarkupOptions,
    private readonly root?: number,
  ) {
    const names = (tags: readonly string[] | undefined) =>
      new Set(tags?.map((t) => kind === "html" ? t.toLowerCase() : t));
    this.#splitting = names(options.splittingTags);
    this.#nonSplitting = names(options.nonSplittingTags);
    this.#ignored = names(options.ignoreTags);
  }

  /** `isMixed`: text stands beside the element in its parent. */
  role(event: OpenEvent, text: string, isMixed: boolean): Role {
    const isBlock = this.#isBlock(event.name, isMixed);
    if (this.#ignored.has(event.name) || this.#isKept(event, text)) {
      return isBlock ? "kept-block" : "kept-inline";
    }
    return isBlock ? "block" : "inline";
  }

  /** Attributes of an element that are translated. */
  attributes(event: OpenEvent, text: string): MarkupAttribute[] {
    if (this.kind === "xml" || this.options.translateAttributes === false) return [];
    return event.attributes.filter(({ name }) => {
      if (ATTRIBUTES.has(name)) return true;
      if (name === "label") return /^(?:optgroup|option|track)$/.test(event.name);
      if (name === "content" && event.name === "meta") {
        return META.has(valueOf(event, text, "name") ?? valueOf(event, text, "property") ?? "");
      }
      return name === "value" && event.name === "input" &&
        /^(?:submit|button|reset)$/.test(valueOf(event, text, "type") ?? "");
    });
  }

  #isBlock(name: string, isMixed: boolean): boolean {
    if (this.#splitting.has(name)) return true;
    if (this.#nonSplitting.has(name)) return false;
    if (this.kind === "html") return BLOCKS.has(name);
    return this.options.outlineDetection !== false && !isMixed;
  }

  /** Whether an element says that it is in another language than the source: xml:lang="fr". */
  #isOtherLanguage(event: OpenEvent, text: string): boolean {
    if (event.start === this.root || event.name === "html") return false;
    const said = valueOf(event, text, "xml:lang") ??
      (this.kind === "html" ? valueOf(event, text, "lang") : undefined);
    return said !== undefined && said !== "" && primary(said) !== primary(this.options.source);
  }

  #isKept(event: OpenEvent, text: string): boolean {
    if (this.kind === "html" && KEPT.has(event.name)) return true;
    return this.#isOtherLanguage(event, text) || isMarkedKept(event, text, this.kind);
  }
}

/** Whether an element says of itself that its text is not to be translated: by an attribute, in HTML also by a class. */
export function isMarkedKept(event: OpenEvent, text: string, kind: MarkupKind): boolean {
  const names = kind === "html" ? ["translate"] : ["translate", "its:translate"];
  if (names.some((name) => valueOf(event, text, name) === "no")) return true;
  // Android's string resources.
  if (kind === "xml" && valueOf(event, text, "translatable") === "false") return true;
  const classes = kind === "html" ? valueOf(event, text, "class") ?? "" : "";
  return /(?:^|\s)notranslate(?:\s|$)/.test(classes);
}

/** The first part of a language's code, the same for each of its codes: en for en-GB, eng_Latn. */
function primary(code: string): string {
  const known = codeOf(code);
  return known.split(/[-_]/)[0]!.toLowerCase();
}

/** An attribute's raw value in lower case. */
function valueOf(event: OpenEvent, text: string, name: string): string | undefined {
  const found = event.attributes.find((a) => a.name === name);
  return found && text.slice(found.start, found.end).trim().toLowerCase();
}
