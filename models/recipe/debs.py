"""Binary packages of a Debian-like system, through apt with a state of its own (nothing of the system is changed)."""
import os
import subprocess
import tarfile

LANGUAGES = "en,de,fr,es"
"""Package descriptions in these languages are fetched with the package lists."""


AT_ONCE = 100
"""Packages that one apt-get is asked for."""


class Archive:
    """apt with its lists and downloads under `folder`."""

    def __init__(self, folder: str):
        self.folder = os.path.abspath(folder)
        for name in ("lists/partial", "cache/archives/partial", "debs"):
            os.makedirs(os.path.join(self.folder, name), exist_ok=True)
        self.options = ["-qq", "-o", f"Dir::State::lists={self.folder}/lists", "-o", f"Dir::Cache={self.folder}/cache",
                        "-o", f"Acquire::Languages={LANGUAGES}", "-o", "APT::Sandbox::User="]

    def update(self) -> None:
        subprocess.run(["apt-get", *self.options, "update"], check=True)

    def fetch(self, packages: list[str]) -> dict[str, str]:
        """{package: path of its .deb}, fetched unless it is there; without those that the archive does not have."""
        debs, download = os.path.join(self.folder, "debs"), ["apt-get", *self.options, "download"]
        have = lambda: {f.split("_")[0]: os.path.join(debs, f) for f in os.listdir(debs) if f.endswith(".deb")}
        due = [p for p in packages if p not in have()]
        for at in range(0, len(due), AT_ONCE):
            some = due[at:at + AT_ONCE]
            # apt fetches nothing at all where it does not know one of them.
            if subprocess.run([*download, *some], cwd=debs).returncode:
                for package in some:
                    if package not in have():
                        subprocess.run([*download, package], cwd=debs)
        found = have()
        return {p: found[p] for p in packages if p in found}

    def descriptions(self) -> list[tuple[str, str]]:
        """(language, text of the whole Translation file) of every one fetched."""
        show = ["indextargets", "--format", "$(LANGUAGE)\t$(FILENAME)", "Created-By: Translations"]
        listing = subprocess.run(["apt-get", *self.options, *show], check=True, capture_output=True, text=True).stdout
        out = []
        for language, path in (line.split("\t") for line in listing.splitlines()):
            text = subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", path], check=True, capture_output=True).stdout
            out.append((language, text.decode("utf8", "replace")))
        return out


def files(deb: str, wanted):
    """(path, bytes) of the regular files in a .deb for which wanted(path) holds, as they stream by."""
    process = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
    with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
        for member in tar:
            path = member.name.removeprefix("./")
            if member.isfile() and wanted(path):
                yield path, tar.extractfile(member).read()
    process.stdout.close()
    process.wait()
