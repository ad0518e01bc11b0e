"""Fail the build of an image in which something is missing: every module is imported, every file that a run reads is opened.

python check_image.py
"""

import importlib
import pkgutil
import shutil
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    import qmri_bids
    from qmri_bids.cli.caches import keep_caches_of_one_call

    keep_caches_of_one_call()
    names = [module.name for module in pkgutil.walk_packages(qmri_bids.__path__, "qmri_bids.")]
    for name in names:
        importlib.import_module(name)

    from nilearn.datasets import load_mni152_brain_mask, load_mni152_template

    load_mni152_template(resolution=1)
    load_mni152_brain_mask(resolution=2)

    from qmri_bids.preprocessing.brain.extraction import weight_files

    weight_files()
    weights = list((Path(qmri_bids.__file__).parent / "data" / "weights").rglob("*.safetensors"))
    if not weights:
        raise SystemExit("no weights in the package: expected data/weights/**/*.safetensors")
    if shutil.which("bids-validator-deno") is None:
        raise SystemExit("bids-validator-deno: expected on PATH, not found")

    started = time.monotonic()
    for arguments in (["qmri_bids", "--version"], ["qmri_bids", "--help"], ["qmri-tools", "--help"]):
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
    print(
        f"{len(names)} modules, {len(weights)} weights, templates, validator and entry points "
        f"({(time.monotonic() - started) / 3:.1f} s a call) on Python {sys.version.split()[0]}"
    )


if __name__ == "__main__":
    main()
