"""Apptainer, used as an ordinary user: of Debian, in a root of its own, since a stable release has none. Needs root."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from container_image import MIRROR, USER

ENTER = Path(__file__).with_name("enter_root.sh")
RELEASE = "trixie"
"""Of Debian: its libraries are as new as Apptainer, which is in sid alone, wants them."""

HOME = "/home/someone"


@dataclass(frozen=True, kw_only=True)
class Apptainer:
    """How it is called.

    Parameters
    ----------
    root
        A Debian with Apptainer.
    shared
        The folder of the host that it sees, at its own place.
    """

    root: Path
    shared: Path

    def command(self, *arguments: object) -> list[str]:
        """Return the command of the host, as user `USER` who has a name, a home and his own variables."""
        own = self.shared / "user"
        environment = [
            f"HOME={HOME}",
            f"APPTAINER_CACHEDIR={own}/cache",
            f"APPTAINER_TMPDIR={own}",
            "PATH=/usr/bin:/bin:/usr/sbin:/sbin",
            # What must not come in with --cleanenv.
            "PYTHONPATH=/nonexistent",
            "OMP_NUM_THREADS=none",
        ]
        user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "env", "-i", *environment]
        return ["bash", str(ENTER), str(self.root), str(self.shared), *user, "apptainer", *map(str, arguments)]


def make_apptainer(folder: Path, shared: Path) -> Apptainer:
    """Make the root below `folder`, unless it is there, and a folder of its user below `shared`."""
    root = folder / "apptainer"
    if not (root / "usr" / "bin" / "apptainer").exists():
        mirror = os.environ.get("DEBIAN_MIRROR", MIRROR)
        _run("debootstrap", "--variant=minbase", RELEASE, root, mirror)
        apt = root / "etc" / "apt"
        # Only Apptainer comes from sid, whatever the age of the mirror's list.
        (apt / "sources.list.d" / "sid.list").write_text(f"deb [check-valid-until=no] {mirror} sid main\n")
        (apt / "preferences.d" / "sid").write_text("Package: *\nPin: release n=sid\nPin-Priority: 100\n")
        _run("chroot", root, "apt-get", "update", "-q")
        _run("chroot", root, "apt-get", "install", "-y", "-q", "--no-install-recommends", "apptainer")
        _run("chroot", root, "useradd", "--uid", USER, "--create-home", "--home-dir", HOME, "someone")
    own = shared / "user"
    own.mkdir(parents=True, exist_ok=True)
    os.chown(own, USER, USER)
    return Apptainer(root=root, shared=shared)


def _run(*command: object) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([str(each) for each in command], check=True, stdout=subprocess.DEVNULL, env=environment)
