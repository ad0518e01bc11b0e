"""What the judge runs: every scan, option and refusal that a user can see, in parts that can be run alone.

Calls of a part follow one another, since later ones read what earlier ones wrote; parts run beside each other, each on one core.
Where calls of one part name the same `work`, they share a work folder, as those of a user do, and compute only what differs.
"""

from __future__ import annotations

import json
import shlex
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from judge_data import TEMPLATE
from judge_programs import call as call_program
from judge_programs import check_tree, write_programs

COMMANDS = ("simulate", "train", "train-natural", "train-exchange", "benchmark", "boutiques", "models")
"""Of `qmri-tools`, each with a help text of its own."""

ONE_CORE = "--nprocs 1 --omp-nthreads 1 --mem 8G --device cpu"
QUICK = "--skip-bids-validation --mask-method object --ignore motion gibbs"
"""Leaves out what takes long and is seen elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a program.

    Parameters
    ----------
    name
        Of its folder.
    arguments
        As in a shell. `{data}` is the folder of the datasets, `{part}` that of the part, `{out}` the output folder of the call.
    bids
        Dataset that `qmri_bids` processes; its output and work folders are added. Empty for `qmri-tools` and for `plain` calls.
    level
        `participant` or `group`.
    work
        Name of the work folder; that of the call by default.
    out
        Name of the call whose output folder is written to; that of the call itself by default.
    program
        Which program.
    """

    name: str
    arguments: str = ""
    bids: str = ""
    level: str = "participant"
    work: str = ""
    out: str = ""
    program: str = "qmri_bids"


def texts() -> list[Call]:
    tools = [Call(name=f"help-{name}", program="qmri-tools", arguments=f"{name} --help") for name in COMMANDS]
    return [
        Call(name="help", arguments="--help"),
        Call(name="help-tools", program="qmri-tools", arguments="--help"),
        *tools,
        Call(name="models", program="qmri-tools", arguments="models"),
        Call(name="boutiques", program="qmri-tools", arguments="boutiques"),
        Call(name="version", arguments="--version"),
        Call(name="face", program="face"),
    ]


def simulate() -> list[Call]:
    small = "--voxel-size 10 --phase-cycles 4 --seed 5"
    given = {
        "head": f"--matrix 20 24 20 {small} --layout split --b1 TB1AFI --sessions 1 --mt mtr mts --wasabi --t1w",
        "cylinder": f"--phantom cylinder {small} --slices 6 --b1 TB1map --motion 0",
        "refused": "--matrix 8 8 8",
    }
    return [
        Call(name=name, program="qmri-tools", arguments=f"simulate {{out}}/bids {options}")
        for name, options in given.items()
    ]


def refusals() -> list[Call]:
    wrong = {
        "same-folder": "{data}/coarse {data}/coarse participant",
        "work-inside": "{data}/coarse {out} participant -w {data}/coarse/work",
        "no-dataset": "{data}/coarse/sub-01 {out} participant",
        "label": "{data}/coarse {out} participant --participant-label 1",
        "nprocs": "{data}/coarse {out} participant --nprocs 0",
        "estimator": "{data}/coarse {out} participant --bssfp-estimator magic",
        "no-refine": "{data}/coarse {out} participant --bssfp-estimator linear --cest-estimator ml --no-refine",
        "weights": "{data}/coarse {out} participant --bssfp-weights {data}/absent",
        "space": "{data}/coarse {out} participant --output-spaces MNI152NLin2009cAsym T1w",
        "atlas": "{data}/coarse {out} participant --atlas {data}/absent.nii.gz",
        "filter": "{data}/coarse {out} participant --bids-filter-file {data}/b1/participants.json",
        "derivatives": "{data}/coarse {out} participant --derivatives {data}/absent",
        "group-plan": "{data}/coarse {out} group",
        "filtered-away": "{data}/coarse {out} participant --participant-label 01 --run-id 7",
        "omp": "{data}/coarse {out} participant --nprocs 1 --omp-nthreads 3",
        "mask-file": "{data}/b1 {out} participant --mask-file {data}/fmriprep/sub-01/anat/sub-01_desc-brain_mask.nii.gz",
    }
    return [
        # Where nothing is refused after all, nothing is computed either.
        *(Call(name=name, arguments=f"{arguments} --dry-run") for name, arguments in wrong.items()),
        Call(name="empty-group", bids="coarse", level="group"),
        Call(name="plan", bids="refused", arguments="--dry-run"),
        Call(name="plan-network", bids="refused", arguments="--dry-run --bssfp-estimator pinn-complex-uniform"),
        Call(
            name="process",
            bids="refused",
            arguments=f"{ONE_CORE} --mask-method object --ignore motion gibbs --bssfp-estimator linear "
            "--participant-label 01 04 06 12 13 21 24",
        ),
        Call(name="group", bids="refused", level="group", out="process"),
    ]


def plans() -> list[Call]:
    dry = "--dry-run --mem 8G --nprocs 1"
    spaces = f"--derivatives fmriprep={{data}}/fmriprep --output-spaces T1w {TEMPLATE}"
    atlas = f"--atlas {{data}}/tpl-{TEMPLATE}_atlas-Halves_dseg.nii.gz"
    numbers = "--cest-t1 1.2 --cest-t2 0.08 --cest-off-resonance 0 --no-b1"
    given = {
        "whole-spaces": ("whole", f"{spaces} {atlas}"),
        "whole-weights": ("whole", "--bssfp-estimator pinn-complex-in-vivo --cest-estimator supervised"),
        "whole-wassr": ("whole", "--cest-b0 wassr"),
        "whole-fieldmap": ("whole", "--cest-b0 fieldmap"),
        "b0-fieldmap": ("b0", "--cest-b0 fieldmap --lorentzian-pools water MT amide"),
        "pools": ("pools", ""),
        "pools-numbers": ("pools", numbers),
        "none": ("none", ""),
        "none-assumed": ("none", "--no-b1 --fd-threshold 1"),
        "b1": ("b1", "--b1-scale 0.1"),
        "sessions": ("sessions", "--session-label 2"),
        "missing": ("coarse", "--train-missing --bssfp-estimator svnn-complex-uniform"),
    }
    return [
        *(Call(name=name, bids=bids, arguments=f"{dry} {more}") for name, (bids, more) in given.items()),
        Call(name="boilerplate", bids="whole", arguments=f"--boilerplate-only --posterior uniform {spaces} {atlas}"),
    ]


def head() -> list[Call]:
    """Process the whole chain of pc-bSSFP, then again with what the first call left, and the group.

    Of the six cycles, a threshold of 4 mm leaves five and one of 2 mm leaves too few.
    """
    again = (
        f"{ONE_CORE} --skip-bids-validation --bssfp-estimator ml --ignore gibbs --derivatives mine={{part}}/first/out"
    )
    return [
        Call(
            name="first",
            bids="head",
            arguments=f"{ONE_CORE} --posterior uniform --output-spaces T1w "
            "--atlas {data}/space-T1w_atlas-QuartersHead_dseg.nii.gz",
        ),
        Call(
            name="earlier",
            bids="head",
            arguments=f"{again} --fd-threshold 4",
        ),
        Call(name="failed", bids="head", work="earlier", arguments=f"{again} --fd-threshold 2"),
        Call(name="group", bids="head", level="group", out="first"),
    ]


def estimators() -> list[Call]:
    """Estimate with all that serve; what comes before is computed once."""
    given = {
        "pinn": "--gibbs-method apodization --posterior in-vivo",
        "linear": "--bssfp-estimator linear",
        "miracle": "--bssfp-estimator miracle",
        "planet": "--bssfp-estimator planet",
        "bare": "--no-refine",
        "published": "--bssfp-estimator pinn-complex-uniform",
    }
    quick = f"{ONE_CORE} --skip-bids-validation --mask-method object --ignore motion"
    return [
        *(Call(name=name, bids="coarse", work="work", arguments=f"{quick} {more}") for name, more in given.items()),
        Call(name="reports-only", bids="coarse", work="work", out="published", arguments=f"{quick} --reports-only"),
        Call(name="spheres", bids="spheres", arguments=f"{ONE_CORE} {QUICK} --bssfp-estimator ml"),
    ]


def b1() -> list[Call]:
    return [
        Call(name="kinds", bids="b1", arguments=f"{ONE_CORE} {QUICK} --bssfp-estimator linear"),
        Call(name="none", bids="none", arguments=f"{ONE_CORE} {QUICK} --bssfp-estimator linear --no-b1"),
        Call(name="group", bids="b1", level="group", out="kinds"),
    ]


def whole() -> list[Call]:
    """Process a session with every scan; then fingerprints alone, with the maps of the second call or with numbers.

    The session is processed in two calls, since finding a brain takes long: saturated scans with the mask of an object, and those
    that most depend on tissues with the anatomy of fMRIPrep.
    """
    return [
        Call(
            name="saturation",
            bids="whole",
            arguments=f"{ONE_CORE} --skip-bids-validation --mask-method object --bssfp-estimator linear --ignore gibbs "
            "--bids-filter-file {data}/saturation.json --output-spaces T1w",
        ),
        Call(
            name="anatomy",
            bids="whole",
            arguments=f"{ONE_CORE} --skip-bids-validation --bssfp-estimator linear --ignore gibbs "
            f"--bids-filter-file {{data}}/tissues.json --derivatives fmriprep={{data}}/fmriprep "
            f"--output-spaces T1w {TEMPLATE} --atlas {{data}}/tpl-{TEMPLATE}_atlas-Halves_dseg.nii.gz --mtrasym-offsets 3.5 2",
        ),
        Call(
            name="known-maps",
            bids="pools",
            arguments=f"{ONE_CORE} {QUICK} --participant-label 01 --derivatives maps={{part}}/anatomy/out "
            "--cest-estimator ml --cest-posterior uniform",
        ),
        Call(
            name="known-numbers",
            bids="pools",
            arguments=f"{ONE_CORE} {QUICK} --participant-label 02 --no-b1 --cest-t1 1.2 --cest-t2 0.08 --cest-off-resonance 0",
        ),
        Call(name="group", bids="whole", level="group", out="anatomy"),
    ]


def b0() -> list[Call]:
    return [
        Call(name="sources", bids="b0", arguments=f"{ONE_CORE} {QUICK} --lorentzian-pools water MT amide"),
        Call(
            name="sessions", bids="sessions", arguments=f"{ONE_CORE} {QUICK} --bssfp-estimator linear --session-label 2"
        ),
    ]


PARTS = {
    "whole": whole,
    "head": head,
    "b0": b0,
    "b1": b1,
    "estimators": estimators,
    "refusals": refusals,
    "plans": plans,
    "simulate": simulate,
    "texts": texts,
}
"""What can be run alone; the longest first, so that none is waited for at the end."""


def run_parts(tree: Path, folder: Path, *, data: Path, parts: Sequence[str], jobs: int) -> None:
    """Run parts and leave of each call `command`, `exit`, `stdout`, `stderr`, `nodes` and `out` in `folder/<part>/<call>`."""
    check_tree(tree)
    folder.mkdir(parents=True, exist_ok=True)
    programs = folder / ".programs"
    write_programs(tree, programs)
    # The places that stand in what the programs say.
    places = {"tree": str(tree), "folder": str(folder), "data": str(data)}
    (folder / "places.json").write_text(json.dumps(places, indent=1) + "\n")
    started = time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [
            pool.submit(_run_part, name, asked=parts, tree=tree, folder=folder / name, data=data, programs=programs)
            for name in PARTS
            if any(is_asked(name, call.name, parts) for call in PARTS[name]())
        ]
        for part in waiting:
            part.result()
    print(f"{time.monotonic() - started:.0f} s in all", flush=True)


def is_asked(part: str, name: str, asked: Sequence[str]) -> bool:
    """Return whether a call is one of the parts and calls (`part/call`) asked for."""
    return part in asked or f"{part}/{name}" in asked


def _run_part(name: str, *, asked: Sequence[str], tree: Path, folder: Path, data: Path, programs: Path) -> None:
    works = folder / ".work"
    shutil.rmtree(works, ignore_errors=True)
    works.mkdir(parents=True)
    for call in (call for call in PARTS[name]() if is_asked(name, call.name, asked)):
        here = folder / call.name
        shutil.rmtree(here, ignore_errors=True)
        out = folder / (call.out or call.name) / "out"
        here.mkdir()
        if call.program == "qmri-tools":
            out.mkdir()
        arguments = shlex.split(call.arguments.format(data=data, part=folder, out=out))
        work = works / (call.work or call.name)
        if call.bids:
            placed = [] if call.level == "group" else ["--work-dir", work]
            arguments = [str(data / call.bids), str(out), call.level, *map(str, placed), *arguments]
        started = time.monotonic()
        done = call_program(tree, programs / call.program, *arguments, cwd=here)
        seconds = time.monotonic() - started
        (here / "command").write_text(shlex.join([call.program, *arguments]) + "\n")
        (here / "exit").write_text(f"{done.returncode}\n")
        (here / "stdout").write_text(done.stdout)
        (here / "stderr").write_text(done.stderr)
        (here / "nodes").write_text("".join(f"{node}\n" for node in _nodes(work)))
        print(f"{name}/{call.name}: exit {done.returncode}, {seconds:.0f} s", flush=True)
    shutil.rmtree(works)


def _nodes(work: Path) -> list[str]:
    """Return the folders of the steps that ran, which other pipelines and a user's habits know by name."""
    results = work.glob("*/participants/**/result_*.pklz")
    return sorted({path.parent.relative_to(work).as_posix().partition("/")[2] for path in results})
