"""PyPI libretranslatepy against a running service: python tests/manual/libre_python.py [URL [KEY]]"""

import sys

from libretranslatepy import LibreTranslateAPI

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:5000/"
client = LibreTranslateAPI(url, sys.argv[2] if len(sys.argv) > 2 else None)

codes = [language["code"] for language in client.languages()]
assert "de" in codes and "en" in codes, codes
translated = client.translate("The file could not be opened.", "en", "de")
assert "Datei" in translated, translated
(best, *_) = client.detect("Die Datei konnte nicht geöffnet werden.")
assert best["language"] == "de", best
print(f"{codes}\n{translated}\n{best}")
