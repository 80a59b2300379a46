"""Binary packages of a Debian-like system, through apt with a state of its own (nothing of the system is changed)."""
import os
import subprocess
import tarfile

LANGUAGES = "en,de,fr,es"
"""Package descriptions in these languages are fetched with the package lists."""


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

    def download(self, package: str) -> str | None:
        """Path of the package's .deb, fetched unless it is there; None if the archive has no such package."""
        debs = os.path.join(self.folder, "debs")
        have = lambda: [f for f in os.listdir(debs) if f.startswith(package + "_") and f.endswith(".deb")]
        if not have() and subprocess.run(["apt-get", *self.options, "download", package], cwd=debs).returncode:
            return None
        return os.path.join(debs, have()[0])

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
