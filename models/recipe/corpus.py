"""Binary packages -> clean training pairs, in one command (a Debian-like system with apt; no root needed).

python corpus.py OUT --guard DEV: fetches the packages of packages.txt into OUT/apt and writes OUT/en-XX.tsv
(English TAB translation TAB origin) and OUT/totals.json. DEV is a folder of dev.en-XX.tsv: pairs close to its rows are
left out, as are the held-out packages and description buckets (holdout.py), always.
"""
import argparse
import glob
import json
import os
import random
import re
from collections import Counter
from itertools import chain

import cleaning
import holdout
import sources
from debs import Archive, files
from tokens import pair_of, rows, write_rows


def package_list(path: str) -> list[tuple[str, str]]:
    """(kind, package) of each line `kind package`; # starts a comment."""
    with open(path, encoding="utf8") as f:
        lines = (line.split("#")[0].split() for line in f)
        return [(line[0], line[1]) for line in lines if line]


def dev_rows(folder: str | None):
    """(source, translation) of every dev.en-*.tsv in a folder."""
    for path in glob.glob(os.path.join(folder, "dev.en-*.tsv")) if folder else []:
        with open(path, encoding="utf8", newline="\n") as f:
            yield from (line.split("\t")[:2] for line in f if "\t" in line)


class Collector:
    """Clean pairs by language, one per source key and translation, the held-out ones left out and counted."""

    def __init__(self, languages: list[str], guard: holdout.Guard, known: dict[str, set] | None = None):
        """known: by language, keys of sources that are left out because other files have them."""
        self.guard, self.left_out = guard, Counter()
        self.held, self.known = set(), known or {}
        self.pairs = {language: {} for language in languages}
        self.interface = ("ui", "game")

    def hold(self, pairs) -> None:
        """Sentences of a held-out catalogue: none is taken from any package. Short labels are everybody's."""
        for english, other in pairs:
            english, _ = cleaning.without_accelerators(english, other)
            keys = {holdout.key(part) for part, _ in cleaning.split(english, english)}
            self.held |= {k for k in keys if len(k.split()) >= holdout.LEAST_WORDS}

    def add(self, language: str, kind: str, name: str, english: str, other: str) -> None:
        if language not in self.pairs:
            return
        if kind in self.interface:
            english, other = cleaning.without_accelerators(english, other)
        for a, b in cleaning.split(english, other):
            if not cleaning.acceptable(a, b, language):
                continue
            k = holdout.key(a)
            if kind == "desc" and holdout.held_description(k):
                self.left_out["description bucket"] += 1
            elif k in self.held:
                self.left_out["in a held-out catalogue"] += 1
            elif k in self.known.get(language, ()):
                self.left_out["in files at hand"] += 1
            elif self.guard.hits(k, b):
                self.left_out["near a dev row"] += 1
            elif k:
                known = self.pairs[language].setdefault(k, {})
                if len(known) < 3:
                    known.setdefault(b, (a, b, f"{kind}/{name}"))

    def write(self, out: str) -> dict:
        """OUT/en-XX.tsv of every language, shuffled; -> totals by language and origin."""
        totals = {}
        for language, found in self.pairs.items():
            rows = [row for known in found.values() for row in known.values()]
            random.Random(0).shuffle(rows)
            write_rows(out, language, rows)
            words = Counter()
            for english, _, origin in rows:
                words[origin] += len(english.split())
            totals[f"en-{language}"] = {"pairs": len(rows), "english_words": sum(words.values()),
                                        "words_by_origin": dict(words.most_common())}
        return {**totals, "left_out": dict(self.left_out)}


def collect(debs: dict, packages: list, collector: Collector) -> None:
    """All texts of all packages into the collector, package by package; pages at the end, together."""
    manuals, helps, owner = {}, {}, {}
    for kind, package in packages:
        if package not in debs:
            print("the archive has no package", package, "- left out", flush=True)
            continue
        catalogues, pages, help = sources.package_texts(files(debs[package], sources.wanted))
        count = 0
        for language, domain, pairs in catalogues:
            if holdout.held_origin(kind, package, domain):
                collector.left_out["catalogue of a held-out domain"] += 1
                continue
            for english, other in pairs if language in collector.pairs else ():
                collector.add(language, kind, package, english, other)
                count += 1
        of_use = lambda found: {k: data for k, data in found.items() if k[0] is None or k[0] in collector.pairs}
        manuals.update(of_use(pages))
        helps.update(of_use(help))
        owner.update({page: package for page in (*pages, *help)})
        print(package, count, "catalogue entries,", len(pages) + len(help), "pages", flush=True)
    for language, page, english, other in chain(sources.manuals(manuals), sources.help_pages(helps)):
        # The first folder of a help page is its document, as a manual's name is.
        if not holdout.held_origin("doc", owner[language, page], re.split(r"[./]", page)[0]):
            collector.add(language, "doc", owner[language, page], english, other)


def hold_catalogues(debs: dict, collector: Collector) -> None:
    """What the held-out packages' catalogues say in English is no training text, whoever says it, too."""
    for package in holdout.CATALOGUES:
        if package not in debs:
            print("the archive has no package", package, "- its sentences are not held out elsewhere", flush=True)
            continue
        catalogues, _, _ = sources.package_texts(files(debs[package], sources.wanted))
        for language, _, pairs in catalogues:
            if language in collector.pairs:
                collector.hold(pairs)


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out")
    ap.add_argument("--guard", help="folder with dev.en-XX.tsv")
    ap.add_argument("--languages", default="de,fr,es")
    ap.add_argument("--packages", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "packages.txt"),
                    help="file, or several with commas between")
    ap.add_argument("--without", nargs="*", default=[], help="en-XX.tsv (.gz, .xz) whose sources are left out")
    ap.add_argument("--no-descriptions", action="store_true")
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    archive = Archive(os.path.join(a.out, "apt"))
    archive.update()
    known = {pair_of(path): {holdout.key(a) for a, _ in rows(path, drop=())} for path in a.without}
    collector = Collector(a.languages.split(","), holdout.Guard(dev_rows(a.guard)), known)
    packages = [line for path in a.packages.split(",") for line in package_list(path)]
    debs = archive.fetch([*holdout.CATALOGUES, *(package for _, package in packages)])
    hold_catalogues(debs, collector)
    collect(debs, packages, collector)
    if not a.no_descriptions:
        for language, english, other in sources.descriptions(archive.descriptions()):
            collector.add(language, "desc", "debian-descriptions", english, other)
    totals = collector.write(a.out)
    with open(os.path.join(a.out, "totals.json"), "w", encoding="utf8") as f:
        json.dump(totals, f, indent=1)
    for name, t in totals.items():
        print(name, {k: v for k, v in t.items() if k != "words_by_origin"})


if __name__ == "__main__":
    main()
