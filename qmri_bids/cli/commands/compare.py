"""`qmri-tools compare`: the experiments of the papers on one's own scan."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import multiprocessing
import os
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qmri_bids import __version__

if TYPE_CHECKING:
    from qmri_bids.pipeline.run import Run
    from qmri_bids.reports.comparison.content import Part

DESCRIPTION = (
    "Set estimators side by side on a run that qmri_bids has processed: differences to MIRACLE, fewer phase cycles, added noise, "
    "epochs of a training, time and wrong B1 (Birk et al. 2025); of fingerprints voxelwise fit, train-by-fit, "
    "reused and pretrained "
    "networks (Finkelstein et al. 2025). One page, tables (TSV) and maps (NIfTI) in OUT_DIR/compare/RUN. The run "
    "is prepared again with "
    "the options of its call, the brain mask and the motion in OUT_DIR; nothing else in OUT_DIR is changed. "
    "Exit code: 0 the page was written, 2 wrong command line, or no such run, 130 or 143 interrupted. See docs/compare.md."
)

PARTS = ("differences", "cycles", "noise", "epochs", "time", "b1", "pools")
"""Those of `workflows.comparison`, here so that `--help` imports nothing heavy."""


def add_compare(commands: Any) -> None:
    """Add the command to the subparsers of `qmri-tools`."""
    parser = commands.add_parser(
        "compare", help="set estimators side by side on a run that was processed", description=DESCRIPTION
    )
    parser.add_argument("bids_dir", type=Path, metavar="BIDS_DIR", help="the raw dataset")
    parser.add_argument("output_dir", type=Path, metavar="OUT_DIR", help="what qmri_bids has written of it")
    parser.add_argument("--participant-label", metavar="LABEL", help="default: the only one in OUT_DIR")
    parser.add_argument(
        "--run-label",
        metavar="TEXT",
        help="run, or a part of its name that no other has (acq-MRF); default: every pc-bSSFP run and "
        "fingerprint of the participant",
    )
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=PARTS,
        default=list(PARTS),
        metavar="PART",
        help=f"of {', '.join(PARTS)}; default: all",
    )
    parser.add_argument(
        "--estimators",
        nargs="+",
        metavar="NAME",
        help="of T1 and T2, names of --bssfp-estimator; default: miracle, that of the run, pinn, ml, pinn-bare "
        "and the networks of the paper "
        "for the uniform prior",
    )
    parser.add_argument(
        "--pool-estimators",
        nargs="+",
        default=["ml", "train-by-fit", "pinn-bare", "pinn"],
        metavar="NAME",
        help="of fingerprints, names of --cest-estimator; ml always runs, train-by-fit brings the reused "
        "network; default: %(default)s",
    )
    parser.add_argument(
        "--cycles", nargs="+", type=int, default=[6, 4], metavar="N", help="phase cycles that are kept; default: 6 4"
    )
    parser.add_argument(
        "--extent", choices=("slice", "whole"), default="slice", help="where noise is added; default: %(default)s"
    )
    parser.add_argument("--draws", type=int, default=50, metavar="N", help="of added noise; default: %(default)s")
    parser.add_argument(
        "--noise-factor",
        type=float,
        default=1.0,
        metavar="F",
        help="standard deviation of the added noise over that of the scan; default: %(default)s",
    )
    parser.add_argument(
        "--train-epochs",
        type=int,
        default=8,
        metavar="N",
        help="epochs of the trainings of the part epochs; default: %(default)s",
    )
    parser.add_argument(
        "--train-networks",
        type=int,
        choices=(1, 2, 3, 4),
        default=2,
        metavar="N",
        help="1 to 4 networks: supervised and physics-informed on magnitudes, then on complex data, which takes longer; default: 2",
    )
    parser.add_argument(
        "--train-samples",
        type=int,
        default=100_000,
        metavar="N",
        help="simulated samples of an epoch; default: %(default)s",
    )
    parser.add_argument(
        "--b1-factors",
        nargs="+",
        type=float,
        default=[0.8, 0.9, 1.0, 1.1, 1.2],
        metavar="F",
        help="what B1 is multiplied by; default: 0.8 0.9 1.0 1.1 1.2",
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="folder for the folders of the runs; default: OUT_DIR/compare"
    )
    parser.add_argument(
        "--work-dir", type=Path, metavar="DIR", help="keep intermediate results there; default: a temporary folder"
    )
    parser.add_argument(
        "--nprocs", type=int, default=1, metavar="N", help="threads; times are those of so many; default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=0, help="of noise and trainings; default: %(default)s")
    parser.set_defaults(run=run_compare)


class _RefusedError(Exception):
    """Why nothing is compared."""


class _StoppedError(BaseException):
    """A signal stops the call; no `except Exception` of a step takes it for a failure of that step."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_compare(options: argparse.Namespace) -> int:
    """Compare and return the exit code."""
    from qmri_bids.bids.layout import BidsInputError

    try:
        _check(options)
        with _stopped_by_signals(), _work_dir(options.work_dir) as work_dir:
            for page in _compare(options, work_dir=work_dir):
                print(f"Comparison: {page}", flush=True)
    except (_RefusedError, BidsInputError, ValueError, OSError) as error:
        print(f"qmri-tools compare: {error}", file=sys.stderr)
        return 2
    except _StoppedError as stop:
        below = "\n" if sys.stderr.isatty() else ""  # what the terminal shows of the key
        print(f"{below}qmri-tools compare: interrupted", file=sys.stderr, flush=True)
        return 128 + stop.number
    return 0


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let an interrupt unwind the call, so that its temporary folders are removed; processes it has started end at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def stop(number: int, frame: object) -> None:
        if os.getpid() != owner:
            os._exit(128 + number)
        for each in signals:
            signal.signal(each, signal.SIG_IGN)  # a second one must not stop the clearing up
        for child in multiprocessing.active_children():
            child.terminate()
        raise _StoppedError(number)

    signals = (signal.SIGINT, signal.SIGTERM)
    before = {each: signal.signal(each, stop) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _check(options: argparse.Namespace) -> None:
    """Refuse numbers without a meaning and names that no table holds, before anything is read."""
    from qmri_bids.estimation.estimators import ESTIMATORS
    from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS

    least = {"draws": 3, "train_epochs": 2, "train_samples": 1000, "nprocs": 1}
    for name, number in least.items():
        if getattr(options, name) < number:
            raise _RefusedError(
                f"--{name.replace('_', '-')}: expected {number} or more, found {getattr(options, name)}"
            )
    if min(options.cycles) < 3:
        raise _RefusedError(
            f"--cycles: expected 3 or more, T1, T2 and off-resonance need them, found {min(options.cycles)}"
        )
    for name in ("noise_factor", "b1_factors"):
        values = getattr(options, name)
        if not all(0.0 < each < 10.0 for each in (values if isinstance(values, list) else [values])):
            raise _RefusedError(f"--{name.replace('_', '-')}: expected factors above 0 and below 10, found {values}")
    for name, table in (("estimators", ESTIMATORS), ("pool_estimators", EXCHANGE_ESTIMATORS)):
        unknown = [each for each in getattr(options, name) or () if each not in table]
        if unknown:
            raise _RefusedError(
                f"--{name.replace('_', '-')}: expected some of {', '.join(table)}, found {', '.join(unknown)}"
            )
    for name in ("bids_dir", "output_dir"):
        if not getattr(options, name).is_dir():
            raise _RefusedError(f"{name} {getattr(options, name)}: expected a folder, found none")


@contextlib.contextmanager
def _work_dir(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="qmri-compare-") as made:
        yield Path(made)


def _compare(options: argparse.Namespace, *, work_dir: Path) -> Iterator[Path]:
    import logging

    from qmri_bids.bids.description import write_bidsignore
    from qmri_bids.engine.execution import limit_threads
    from qmri_bids.engine.log import quiet_engine
    from qmri_bids.pipeline.volumes import load_volume
    from qmri_bids.reports.comparison.content import Comparison
    from qmri_bids.workflows.comparison.prepared import inputs_of_estimation
    from qmri_bids.workflows.comparison.write import check_folder, stem_of, write_comparison

    quiet_engine(logging.CRITICAL)
    limit_threads(1)
    repeated = _call_of(options, work_dir=work_dir)
    call, runs = repeated.options, repeated.runs
    print(f"The options are those of {repeated.config}", flush=True)
    root = (options.output or options.output_dir / "compare").resolve()
    folders = {run.label: root / stem_of(run) for run in runs}
    for folder in folders.values():
        check_folder(folder)
    own = _processing(call, subject=repeated.subject, work_dir=work_dir)
    if options.output is None:
        write_bidsignore(options.output_dir)
    for run in runs:
        say = _speaker(run.label)
        say("preparing the run")
        try:
            inputs = inputs_of_estimation(
                run,
                runs=repeated.every,
                options=own,
                bids_dir=call.bids_dir,
                work_dir=work_dir,
                processors=options.nprocs,
            )
        except RuntimeError as error:  # of the engine, with all that the step has said
            why = str(error).strip().splitlines()[-1]
            raise _RefusedError(f"{run.label} could not be prepared again: {why}") from error
        decisions, parts = _parts(inputs, run=run, options=options, call=call, work_dir=work_dir, say=say)
        earlier = call.earlier_fits.get(run.label)
        comparison = Comparison(
            label=run.label,
            title=run.title,
            version=__version__,
            command=getattr(options, "command_line", shlex.join(sys.argv)),
            created=datetime.datetime.now().astimezone().isoformat(timespec="minutes"),
            decisions=(
                f"Prepared again from the raw files with the options of {repeated.config.name}.",
                *(earlier.sentences if earlier is not None else ()),
                *decisions,
            ),
            parts=tuple(parts),
        )
        yield write_comparison(
            comparison,
            folder=folders[run.label],
            run=run,
            bids_dir=call.bids_dir,
            affine=load_volume(inputs["mask"])[1],
        )


def _speaker(label: str) -> Callable[[str], None]:
    def say(line: str) -> None:
        print(f"{label}: {line}", flush=True)

    return say


@dataclass(frozen=True, kw_only=True)
class _Call:
    """The call that is repeated: its options, the file that holds them, the runs that are compared, and all runs."""

    options: argparse.Namespace
    config: Path
    subject: str
    runs: list[Run]
    every: list[Run]


def _call_of(options: argparse.Namespace, *, work_dir: Path) -> _Call:
    """Return the latest call that made the maps of the participant."""
    wanted = _participant(options)
    why: _RefusedError | None = None
    seen: list[Any] = []
    for path in sorted((options.output_dir / "logs").glob("config_*.toml"), reverse=True):
        content = _content(path)
        others = {key: value for key, value in content.items() if key not in _MEANS}
        if not _made_maps(content, subject=wanted) or others in seen:
            continue
        seen.append(others)
        call = _parsed(options, path, content, subject=wanted, work_dir=work_dir)
        try:
            runs, every = _runs(call, wanted=options.run_label, parts=options.parts)
        except _RefusedError as error:  # of a call that was limited to other sessions or runs
            why = why or error
            continue
        if apart := _made_otherwise(call, runs):
            why = why or _RefusedError(
                f"{options.output_dir}/logs: expected config_….toml of the call that made {apart}, found none; process it again, "
                "or ask for one run with --run-label"
            )
            continue
        return _Call(options=call, config=path, subject=wanted, runs=runs, every=every)
    raise why or _RefusedError(
        f"{options.output_dir}/logs: expected config_….toml of a call that made maps of sub-{wanted} (--level full), found "
        f"none; process it again"
    )


_MEANS = (
    "nprocs",
    "omp-nthreads",
    "mem",
    "work-dir",
    "verbose",
    "write-graph",
    "resource-monitor",
    "participant-label",
)
"""Options that say by what means: calls that differ in nothing else are one."""


def _participant(options: argparse.Namespace) -> str:
    """Return the label of the participant that is asked for, or the only one."""
    from qmri_bids.bids.layout import strip_label

    there = sorted(path.name.removeprefix("sub-") for path in options.output_dir.glob("sub-*") if path.is_dir())
    wanted = None if options.participant_label is None else strip_label(options.participant_label, entity="sub")
    if wanted is None and len(there) == 1:
        wanted = there[0]
    if wanted is not None and wanted in there:
        return wanted
    found = ", ".join(f"sub-{each}" for each in there) or "no participant"
    asked = "--participant-label: expected one participant" if wanted is None else f"expected sub-{wanted}"
    folders = sorted({path.parent.name for path in options.output_dir.glob("qmri_bids-*/sub-*") if path.is_dir()})
    if folders and not there:
        raise _RefusedError(
            f"{asked} of those in {options.output_dir}, found folders of --output-layout multiverse: give one of them as OUT_DIR "
            f"({', '.join(folders)})"
        )
    raise _RefusedError(
        f"{asked} of those in {options.output_dir}, found {found}; process it first: qmri_bids {options.bids_dir} "
        f"{options.output_dir} participant"
    )


def _content(path: Path) -> dict[str, Any]:
    """Return what a file of options holds, as written."""
    from qmri_bids.bids.files.plain import UnreadableError, parse_toml, read_text
    from qmri_bids.cli.parsing.parser import ConfigError, read_config

    try:
        content: dict[str, Any] = parse_toml(read_text(path))
        read_config(path)
    except UnreadableError as error:
        raise _RefusedError(f"{path}: expected the options of an earlier call (TOML), found: {error}") from error
    except ConfigError as error:
        raise _RefusedError(
            f"{error}; OUT_DIR may be of another version of qmri_bids than this one ({__version__}): process it again"
        ) from error
    return content


def _made_maps(content: Mapping[str, Any], *, subject: str) -> bool:
    """Whether a call may have made maps of a participant, by its options."""
    from qmri_bids.bids.layout import strip_label
    from qmri_bids.pipeline.options import FULL

    chosen = [strip_label(str(each), entity="sub") for each in content.get("participant-label", [subject])]
    computes = not any(content.get(each) for each in ("reports-only", "boilerplate-only", "dry-run"))
    return subject in chosen and computes and content.get("level", FULL) == FULL


def _parsed(
    options: argparse.Namespace, path: Path, content: Mapping[str, Any], *, subject: str, work_dir: Path
) -> argparse.Namespace:
    """Return the options of an earlier call, on this machine and in OUT_DIR itself."""
    from qmri_bids.cli.options.outputs import BIDS
    from qmri_bids.cli.parsing.parser import parse

    known = [f"{name}={folder}" for name, folder in _given(content)]
    call = parse(
        [
            *(str(each.resolve()) for each in (options.bids_dir, options.output_dir)),
            "participant",
            "--config-file",
            str(path),
            "--participant-label",
            subject,
            "--derivatives",
            *known,
            f"processed={options.output_dir.resolve()}",
            "--work-dir",
            str(work_dir),
            "--nprocs",
            str(options.nprocs),
            "--omp-nthreads",
            str(options.nprocs),
            "--output-layout",
            BIDS,
        ]
    )
    call.use_plugin = None
    call.clean_workdir = call.dry_run = False
    return call


def _made_otherwise(call: argparse.Namespace, runs: Sequence[Run]) -> str:
    """Return a map in OUT_DIR that another estimator has made than that of a call; empty where there is none."""
    import json

    from qmri_bids.workflows.comparison.write import stem_of

    for run in runs:
        estimator = getattr(call, _COMPARED[run.kind].estimator)
        folder = call.output_dir / f"sub-{call.participant_label[0]}"
        for path in sorted(folder.rglob(f"{stem_of(run)}_*map.json")):
            if "_space-" in path.name:
                continue
            made, colon, _ = str(json.loads(path.read_text(encoding="utf-8")).get("EstimationAlgorithm", "")).partition(
                ": "
            )
            if colon and made in _COMPARED[run.kind].names() and made != estimator:
                return f"{path.name.removesuffix('.json')} ({made})"
    return ""


def _given(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the derivatives of the call by name, as its file of options holds them."""
    found = []
    for text in content.get("derivatives", []):
        name, equals, folder = text.partition("=")
        found.append((name, folder) if equals else (Path(text).name, text))
    return found


def _runs(call: argparse.Namespace, *, wanted: str | None, parts: Sequence[str]) -> tuple[list[Run], list[Run]]:
    """Return the runs that are compared and all runs of the participant."""
    from qmri_bids.cli.levels.finding import find_plans
    from qmri_bids.workflows.comparison.write import stem_of

    plans = find_plans(call)
    every = [run for plan in plans for run in plan.runs]
    fit = [run for run in every if run.kind in _COMPARED]
    refused = [str(refusal) for plan in plans for refusal in plan.refusals]
    names = ", ".join(run.label for run in fit) or "none"
    if wanted is not None:
        exact = [run for run in fit if run.label == wanted]
        fit = exact or [run for run in fit if wanted in run.label]
        if len(fit) != 1:
            raise _RefusedError(
                f"--run-label {wanted}: expected (a part of) the name of one run, found {len(fit)} of {names}"
            )
    fit = [run for run in fit if _COMPARED[run.kind].parts & set(parts)]
    if not fit:
        why = f" ({'; '.join(refused)})" if refused else ""
        raise _RefusedError(f"expected a pc-bSSFP run or a fingerprint for {' '.join(parts)}, found {names}{why}")
    folder = call.output_dir / f"sub-{call.participant_label[0]}"
    missing = [run for run in fit if not any(folder.rglob(f"{stem_of(run)}_*map.nii.gz"))]
    if missing:
        raise _RefusedError(
            f"{missing[0].label}: expected its maps in {call.output_dir}, found none; process it first, or see "
            f"its report for why it failed"
        )
    return fit, every


def _processing(call: argparse.Namespace, *, subject: str, work_dir: Path) -> Any:
    from qmri_bids.cli.levels.participant import processing_options

    return processing_options(call, subject=subject, cache=work_dir / "spaces")


def _parts(
    inputs: dict[str, Any],
    *,
    run: Run,
    options: argparse.Namespace,
    call: argparse.Namespace,
    work_dir: Path,
    say: Callable[[str], None],
) -> tuple[list[str], list[Part]]:
    """Return what was decided and the parts of one run."""
    return _COMPARED[run.kind].compare(inputs, run=run, options=options, call=call, work_dir=work_dir, say=say)


def _relaxometry(
    inputs: dict[str, Any], *, run: Run, options: argparse.Namespace, call: argparse.Namespace, say: Any, work_dir: Path
) -> tuple[list[str], list[Part]]:
    del work_dir  # nothing is kept between the parts
    from qmri_bids.workflows.comparison.relaxometry import RELAXOMETRY_PARTS, RelaxometrySettings, relaxometry_parts

    settings = RelaxometrySettings(
        parts=[each for each in RELAXOMETRY_PARTS if each in options.parts],
        estimators=options.estimators,
        cycles=options.cycles,
        whole=options.extent == "whole",
        draws=options.draws,
        noise_factor=options.noise_factor,
        epochs=options.train_epochs,
        networks=options.train_networks,
        samples=options.train_samples,
        b1_factors=options.b1_factors,
        threads=options.nprocs,
        seed=options.seed,
        weights_folder=call.bssfp_weights,
    )
    return relaxometry_parts(inputs, run=run, output_dir=call.output_dir, settings=settings, say=say)


def _pools(
    inputs: dict[str, Any], *, run: Run, options: argparse.Namespace, call: argparse.Namespace, say: Any, work_dir: Path
) -> tuple[list[str], list[Part]]:
    from qmri_bids.workflows.comparison.pools import PoolSettings, pool_parts

    settings = PoolSettings(
        estimators=options.pool_estimators, weights_folder=call.cest_weights, threads=options.nprocs, seed=options.seed
    )
    folder = work_dir / run.label
    return pool_parts(inputs, run=run, output_dir=call.output_dir, work_dir=folder, settings=settings, say=say)


def _names_of_estimators() -> Collection[str]:
    from qmri_bids.estimation.estimators import ESTIMATORS

    return ESTIMATORS


def _names_of_pool_estimators() -> Collection[str]:
    from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS

    return EXCHANGE_ESTIMATORS


@dataclass(frozen=True, kw_only=True)
class _Compared:
    """What is done with a kind of run: its parts, the function that makes them, the option of its estimator, and their names."""

    parts: frozenset[str]
    estimator: str
    names: Callable[[], Collection[str]]
    compare: Callable[..., tuple[list[str], list[Part]]]


_COMPARED: Mapping[str, _Compared] = {
    "pcbssfp": _Compared(
        parts=frozenset(PARTS) - {"pools"},
        estimator="bssfp_estimator",
        names=_names_of_estimators,
        compare=_relaxometry,
    ),
    "exchange": _Compared(
        parts=frozenset({"pools"}), estimator="cest_estimator", names=_names_of_pool_estimators, compare=_pools
    ),
}
"""By the kind of the run."""
