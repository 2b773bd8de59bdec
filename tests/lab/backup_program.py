"""mariadb-backup for hosts that are to have it: a layer over an image, which stays without."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import urllib.request
from pathlib import Path

from tests.lab import images
from tests.lab.network import sh

PACKAGE = "mariadb-backup"


def layer(image: str) -> Path:
    """A directory with what the image's own distribution packs for that server; made when it is not there."""
    target = images.CACHE / f"{PACKAGE}-{image}-1"
    with images.building(f"{PACKAGE}-{image}"):
        if not target.exists():
            _make(images.ensure(image), target)
    return target


def _make(root: Path, target: Path) -> None:
    file, digest = _where(root)
    with tempfile.TemporaryDirectory(dir=images.CACHE) as scratch:
        package, made = Path(scratch) / "package.deb", Path(scratch) / "root"
        urllib.request.urlretrieve(f"{images.mirror().rstrip('/')}/{file}", package)
        if hashlib.sha256(package.read_bytes()).hexdigest() != digest:
            raise images.ImageError(f"{package.name} is not what the mirror's list says")
        sh(f"dpkg-deb -x {package} {made}")
        # An image's /bin and /lib are links into /usr; the package has no other.
        shutil.move(made, target)


def _where(root: Path) -> tuple[str, str]:
    """The file's name on the mirror, and its SHA-256, from the lists that the image was made by."""
    for path in (root / "var/lib/apt/lists").glob("*_Packages"):
        for entry in re.split(r"\n\n", path.read_text(encoding="utf-8")):
            if entry.startswith(f"Package: {PACKAGE}\n"):
                told = dict(line.split(": ", 1) for line in entry.splitlines() if ": " in line and line[0] != " ")
                return told["Filename"], told["SHA256"]
    raise images.ImageError(f"the lists of {root.name} have no {PACKAGE}")
