"""Files of packages -> raw (English, translation) texts: catalogues, manual and help pages, package descriptions."""
import gzip
import re
import struct
import xml.etree.ElementTree as ET
from collections import defaultdict

CATALOGUE = re.compile(r"(?:^|/)(?P<language>[a-z]{2,3}(?:[_@-]\w+)*)/LC_MESSAGES/(?P<domain>[^/]+)\.mo$")
MANUAL = re.compile(r"^usr/share/man/(?:(?P<language>[a-z]{2}(?:_[A-Z]{2})?)/)?man\d\w*/(?P<page>[^/]+?)\.gz$")
HELP = re.compile(r"^usr/share/(?:help|doc/(?:kde/)?HTML)/(?P<language>[A-Za-z_@]+)/(?P<page>.+\.(?:page|docbook|xml))$")
PARAGRAPHS = frozenset("p para simpara title subtitle desc term td entry".split())
"""Elements of Mallard and DocBook pages that hold running text, where none of them is inside."""


def language_of(tag: str) -> str:
    """A locale's name as the corpus has it: de_DE and de are de, pt-BR is pt_BR."""
    tag = tag.replace("-", "_")
    return tag if tag == "pt_BR" else tag.split("_")[0].split("@")[0]


def catalogue(data: bytes):
    """(English, translation) of a .mo file: contexts cut off, of plurals the first and the last form."""
    if len(data) < 20:
        return
    order = "<" if data[:4] == b"\xde\x12\x04\x95" else ">"
    count, originals, translations = struct.unpack(order + "3I", data[8:20])
    def text(table, i):
        size, at = struct.unpack(order + "2I", data[table + 8 * i:table + 8 * i + 8])
        return data[at:at + size].decode("utf8", "replace")
    for i in range(count):
        source, target = text(originals, i), text(translations, i)
        source = source.rsplit("\x04", 1)[-1]
        if source and target:
            en, xx = source.split("\0"), target.split("\0")
            yield en[0], xx[0]
            if len(en) > 1 and len(xx) > 1:
                yield en[-1], xx[-1]


def blocks(page: bytes) -> list[tuple[str, str]]:
    """A manual page as (kind, text) blocks; literal blocks (.nf, .EX) have the kind `literal`."""
    out, words, kind, literal = [], [], "", False
    def flush():
        if words:
            out.append(("literal" if literal else kind, " ".join(words)))
            words.clear()
    for line in page.decode("utf8", "replace").split("\n"):
        macro = re.match(r"[.']\s*(\w+|\\\")\s?(.*)", line)
        if not macro:
            words += [line] if line.strip() else []
            continue
        name, rest = macro.groups()
        if name in ("B", "I", "BR", "RB", "IR", "RI", "BI", "IB", "SM", "SB"):
            parts = [p.strip('"') for p in re.findall(r'"[^"]*"|\S+', rest)]
            words.append(("" if len(name) == 2 and name != "SM" else " ").join(parts))
        elif name not in ('\\"', "ad", "hy", "na", "ft", "ne"):
            flush()
            literal = name in ("nf", "EX") or (literal and name not in ("fi", "EE"))
            kind = name
            if name in ("SH", "SS") and rest:
                out.append((name, rest.strip('"')))
    flush()
    return out


def beside(pages: dict):
    """{(language or None, page): bytes} -> (language, page, English bytes, translated bytes) of pages with both."""
    for (language, name), data in pages.items():
        if language is not None and (None, name) in pages:
            yield language, name, pages[None, name], data


def manuals(pages: dict):
    """{(language or None, page): bytes} -> (language, page, English, translation) where the block kinds agree."""
    for language, name, english, other in beside(pages):
        ours, theirs = blocks(english), blocks(other)
        if theirs and len(theirs) > len(ours):
            theirs = theirs[:len(ours)]  # the last section names the translators
        if [k for k, _ in ours] == [k for k, _ in theirs]:
            for (kind, a), (_, b) in zip(ours, theirs):
                if kind not in ("literal", "TH"):
                    yield language, name, a, b


def elements(page: bytes) -> list[tuple[str, str]]:
    """A help page as (element, text) of each innermost paragraph; none of one that is no XML."""
    text = re.sub(r"<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>", "", page.decode("utf8", "replace"), count=1, flags=re.S)
    text = re.sub(r"&(?!(?:amp|lt|gt|quot|apos|#\w+);)([\w.-]+);", r"\1", text)
    try:
        tree = ET.fromstring(text)
    except ET.ParseError:
        return []
    name = lambda e: e.tag.rsplit("}", 1)[-1] if isinstance(e.tag, str) else ""
    held = [e for e in tree.iter() if name(e) in PARAGRAPHS]
    inner = [e for e in held if not any(name(d) in PARAGRAPHS for d in e.iter() if d is not e)]
    return [(name(e), " ".join("".join(e.itertext()).split())) for e in inner]


def help_pages(pages: dict):
    """{(language or None, page): bytes} -> (language, page, English, translation) where the elements agree."""
    for language, name, english, other in beside(pages):
        ours, theirs = elements(english), elements(other)
        if [k for k, _ in ours] == [k for k, _ in theirs]:
            for (_, a), (_, b) in zip(ours, theirs):
                yield language, name, a, b


def package_texts(files):
    """(path, bytes) stream -> (catalogues [(language, domain, pairs)], manual pages {(language, page): bytes}, help)."""
    found, pages, help = [], {}, {}
    for path, data in files:
        if m := CATALOGUE.search(path):
            found.append((language_of(m["language"]), m["domain"], list(catalogue(data))))
        elif m := MANUAL.match(path):
            text = gzip.decompress(data)
            if not text.startswith(b".so "):
                pages[language_of(m["language"]) if m["language"] else None, m["page"]] = text
        elif m := HELP.match(path):
            help[None if m["language"] in ("C", "en") else language_of(m["language"]), m["page"]] = data
    return found, pages, help


def wanted(path: str) -> bool:
    """Whether package_texts reads this path."""
    return bool(CATALOGUE.search(path) or MANUAL.match(path) or HELP.match(path))


def descriptions(translations):
    """[(language, Translation file)] -> (language, English, translation) of each title and paragraph."""
    by_language = defaultdict(dict)
    for language, text in translations:
        for entry in text.split("\n\n"):
            name = re.search(r"^Description-md5: (\w+)", entry, re.M)
            body = re.search(r"^Description-\w\w(?:_\w\w)?: (.*(?:\n .*)*)", entry, re.M)
            if name and body:
                by_language[language][name[1]] = paragraphs(body[1])
    english = by_language.pop("en", {})
    for language, entries in by_language.items():
        for name, translated in entries.items():
            original = english.get(name, [])
            if len(original) == len(translated):
                yield from ((language, a, b) for a, b in zip(original, translated))


def paragraphs(body: str) -> list[str]:
    """Title, paragraphs and list items of a description's text."""
    title, *lines = body.split("\n")
    text = "\n".join("" if line.strip() == "." else line[1:] for line in lines)
    parts = re.split(r"\n\s*\n|\n(?=\s+[-*•+] )", text)
    return [title, *(re.sub(r"^\s*[-*•+] ", "", p) for p in parts if p.strip())]
