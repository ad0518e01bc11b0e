"""The image of the project's own Dockerfile: built by buildah where no engine runs, and run with a read-only root.

What a machine needs to reach its package registries comes from its own settings of pip and apt, by mounts; nothing of it is written
into the image. Needs root and Debian's buildah, debootstrap and bubblewrap.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from machine_pip import pip_settings

ROOT = Path(__file__).resolve().parents[2]
BASE = "docker.io/library/debian:bookworm-slim"
TAG = "localhost/qmri_bids:test"
PROGRAMS = {"buildah": "buildah", "debootstrap": "debootstrap", "bwrap": "bubblewrap", "unshare": "util-linux"}
MIRROR = "http://deb.debian.org/debian"
USER = 12345


@dataclass(frozen=True, kw_only=True)
class Image:
    """A built image with its root folder mounted.

    Parameters
    ----------
    root
        Folder of the image's files.
    config
        Its OCI configuration: Env, Entrypoint, Labels, WorkingDir.
    seconds
        How long the build took; the base is not counted.
    size
        Bytes of its files.
    """

    root: Path
    config: dict
    seconds: float
    size: int

    def command(
        self,
        arguments: Sequence[object],
        *,
        read: Sequence[Path] = (),
        write: Sequence[Path] = (),
        entrypoint: Sequence[str] | None = None,
        temporary: bool = True,
    ) -> list[str]:
        """Return the command that runs the image as a user without name, home or network, its root read-only.

        Folders are seen at their own place. Without `temporary`, /tmp is read-only, too.
        """
        environment = dict(each.split("=", 1) for each in self.config["Env"]) | {"HOME": "/nonexistent"}
        command = ["bwrap", "--ro-bind", str(self.root), "/", "--proc", "/proc", "--dev", "/dev"]
        command += ["--unshare-net", "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--clearenv"]
        for name, value in environment.items():
            command += ["--setenv", name, value]
        command += ["--perms", "1777", "--tmpfs", "/dev/shm"]  # as engines have it
        if temporary:
            command += ["--perms", "1777", "--tmpfs", "/tmp"]
            # Folders above a mount are made for root alone otherwise.
            above = {parent for folder in (*read, *write) for parent in Path(folder).parents}
            for parent in sorted(each for each in above if Path("/tmp") in each.parents):
                command += ["--perms", "0755", "--dir", str(parent)]
        for option, folders in (("--ro-bind", read), ("--bind", write)):
            for folder in folders:
                # Engines make the places of mounts before the root becomes read-only.
                (self.root / folder.relative_to("/")).mkdir(parents=True, exist_ok=True)
                command += [option, str(folder), str(folder)]
        command += ["--chdir", self.config.get("WorkingDir") or "/"]
        command += ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs"]
        command += list(self.config["Entrypoint"] if entrypoint is None else entrypoint)
        return [*command, *(str(each) for each in arguments)]


def missing_programs() -> tuple[str, ...]:
    """Return the Debian packages that must be installed before."""
    return tuple(package for program, package in PROGRAMS.items() if shutil.which(program) is None)


def build_image(folder: Path, *, arguments: Sequence[str] = ("TORCH_INDEX=",), cached: bool = True) -> Image:
    """Build the Dockerfile with buildah on a Debian made by debootstrap, and mount the result.

    Parameters
    ----------
    folder
        Where base, layers and image are kept: a second build takes up what has not changed.
    arguments
        Build arguments. Without an index of its own, torch comes from the wheels or the index of this machine.
    cached
        Whether layers of an earlier build may be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    make_base(folder)
    settings = pip_settings()
    (folder / "pip.conf").write_text(settings.text, encoding="utf-8")
    mounts = [
        f"{folder / 'pip.conf'}:/etc/pip.conf:ro",
        *(f"{here}:{there}:ro" for here, there in settings.mounts.items()),
    ]
    command = ["build", "--pull-never", "--isolation", "chroot", "--tag", TAG]
    command += ["--layers" if cached else "--no-cache"]
    for each in (*arguments, f"REVISION={_revision()}"):
        command += ["--build-arg", each]
    for mount in mounts:
        command += ["--volume", mount]
    started = time.monotonic()
    _buildah(folder, *command, str(ROOT))
    seconds = time.monotonic() - started
    inspected = json.loads(_buildah(folder, "inspect", "--type", "image", TAG, quiet=True))
    container = _buildah(folder, "from", "--pull-never", TAG, quiet=True).strip()
    root = Path(_buildah(folder, "mount", container, quiet=True).strip())
    size = int(subprocess.run(["du", "-sxb", root], capture_output=True, text=True, check=True).stdout.split()[0])
    return Image(root=root, config=inspected["OCIv1"]["config"], seconds=seconds, size=size)


def make_base(folder: Path) -> None:
    """Make a Debian under the name that the Dockerfile uses, where there is none yet."""
    if _buildah(folder, "images", "--quiet", "--filter", f"reference={BASE}", quiet=True).strip():
        return
    root = folder / "base"
    mirror = os.environ.get("DEBIAN_MIRROR", MIRROR)
    subprocess.run(
        ["debootstrap", "--variant=minbase", "bookworm", str(root), mirror], check=True, stdout=subprocess.DEVNULL
    )
    for each in (root / "var" / "cache" / "apt" / "archives").glob("*.deb"):
        each.unlink()
    subprocess.run(["tar", "-C", root, "-cf", folder / "base.tar", "."], check=True)
    container = _buildah(folder, "from", "scratch", quiet=True).strip()
    _buildah(folder, "add", "--quiet", container, str(folder / "base.tar"), "/")
    _buildah(folder, "config", "--cmd", "/bin/bash", container)
    _buildah(folder, "commit", "--quiet", "--rm", container, BASE)
    (folder / "base.tar").unlink()
    shutil.rmtree(root)


def remove_image(folder: Path) -> None:
    """Remove containers, images and layers: folders that are mounted cannot be removed by hand."""
    _buildah(folder, "rm", "--all")
    _buildah(folder, "rmi", "--all", "--force")
    shutil.rmtree(folder)


def save_archive(folder: Path, path: Path) -> Path:
    """Write the image as the archive that `docker save` makes, which Apptainer reads."""
    path.unlink(missing_ok=True)
    _buildah(folder, "push", "--quiet", TAG, f"docker-archive:{path}:qmri_bids:test")
    return path


def _buildah(folder: Path, *arguments: str, quiet: bool = False) -> str:
    storage = ["--root", folder / "storage", "--runroot", folder / "run", "--storage-driver", "overlay"]
    done = subprocess.run(
        ["buildah", *storage, *arguments],
        # Layers are packed in the temporary folder.
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=subprocess.PIPE if quiet else sys.stderr,
        text=True,
        check=True,
    )
    return done.stdout or ""


def _revision() -> str:
    done = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
