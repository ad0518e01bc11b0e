"""The bottom line of a run and of a participant: its lights and numbers in plain words, the worst first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qmri_bids.estimation.base import Status
from qmri_bids.reports.content import SEVERITY, Check, Level, RunReport, SubjectReport
from qmri_bids.reports.measures import Measure
from qmri_bids.reports.tables import RELY_ON_MEANS, TOO_NOISY, precision_words

OPENINGS: dict[Level, str] = {
    Level.GOOD: "Usable.",
    Level.CHECK: "Usable after a look.",
    Level.BAD: "Not usable without a decision of yours.",
    Level.INFO: "No light judges this run: look at its maps.",
}
"""How a verdict begins: it claims what the worst light claims, and no more."""

OPENINGS_WITHOUT_MAPS: dict[Level, str] = {
    Level.GOOD: "Masks and motion were found.",
    Level.CHECK: "Masks and motion were found: look at them.",
    Level.BAD: "Masks and motion are not usable without a decision of yours.",
    Level.INFO: "No light judges masks and motion: look at them.",
}
"""The same where no maps were wanted."""

WITHOUT_MAPS = "This level estimates no maps."
"""What follows them."""

ADVICE: tuple[tuple[str, str], ...] = (
    (
        "brain mask",
        "Correct the mask in any editor and give it with --mask-file, or have it found otherwise (--mask-method).",
    ),
    (
        "mask",
        "Correct the mask in any editor and give it with --mask-file, or have it found otherwise (--mask-method).",
    ),
    (
        "precision",
        "Means over regions are more precise; more images, larger voxels or a second scan lower the noise of single voxels.",
    ),
    ("voxels with a value", "The quality mask shows where values are missing, and why."),
    ("tissue with a value", "The quality mask shows where values are missing, and why."),
    ("told apart", "Rely on the product of fraction and rate there, not on either alone."),
    (
        "motion",
        "Look at the curves and images of the section Motion; volumes that moved can be left out (--fd-threshold).",
    ),
    ("cycles", "Look at that cycle in the section Phase cycles: spikes, a wrong gain or a moved head show there."),
    ("signal model", "Look where the residual is high; increments, steady state and B1 are the usual causes."),
    (
        "t1 and t2 of tissue",
        "Compare flip angle and repetition time of the sidecars with the protocol, and look at B1.",
    ),
    ("t1 of tissue", "Compare flip angles and repetition times of the sidecars with the protocol, and look at B1."),
    ("t1 against b1", "Look at the B1 map: its scale, or its nominal flip angle, may be wrong."),
    ("b1 coverage", "Look at the registration of the B1 scan: where it saw nothing, T1 is less sure."),
    ("registration", "Look whether the contours of the section Registration lie on the edges of both images."),
    ("b1", "Look at the B1 map; where it is missing or extreme, T1 and whatever takes it are less sure."),
    ("lorentzian fit", "Look at the spectra with their fitted lines."),
    ("b0", "Look at the off-resonance map."),
    ("off-resonance", "Look at the off-resonance map."),
)
"""What to do next, by a part of the name of a light; the first that fits holds."""

OTHERWISE = "Its rule says what it looked at; the pictures of the run show it."
"""What to do where the table has nothing."""

FEWEST_MISSING = 0.05
"""Percentage of voxels without a value below which a verdict is silent about them."""

MANY_MIXED = 25.0
"""Percentage of voxels of code 9 from which a verdict tells them."""

LONGEST_WARNING = 240
"""Letters of a warning that a verdict repeats."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A bottom line.

    Parameters
    ----------
    level
        The worst of what it speaks of.
    text
        Plain sentences.
    advice
        What to do next; empty where all is good.
    """

    level: Level
    text: str
    advice: str = ""


def run_verdict(run: RunReport) -> Verdict:
    """Return the bottom line of a run.

    Parameters
    ----------
    run
        Its report.

    Examples
    --------
    >>> run_verdict(RunReport(title="a", checks=(Check(name="Motion", value="0.1 mm left", level=Level.GOOD),))).text
    'Usable.'
    >>> run_verdict(RunReport(title="a", checks=(Check(name="Motion", value="0.9 mm left", level=Level.CHECK),))).text
    'Usable after a look. Motion: 0.9 mm left.'
    """
    if run.errors:
        worst = run.errors[0]
        reached = " It got as far as the pictures below." if run.figures else ""
        return Verdict(
            level=Level.BAD, text=f"Failed, no maps: {_sentence(worst.message)}{reached}", advice=worst.advice
        )
    asking = sorted(
        (check for check in run.checks if check.level in (Level.CHECK, Level.BAD)),
        key=lambda check: -SEVERITY[check.level],
    )
    missing, precise = _missing(run), _precision(run)
    opening = [OPENINGS_WITHOUT_MAPS[run.level], WITHOUT_MAPS] if run.only_fits else [OPENINGS[run.level]]
    said = [*opening, *missing, *precise, *_mixed(run)]
    named = [
        check
        for check in asking
        if not (missing and _is_value_share(check)) and not (precise and check.name == "Precision")
    ]
    said += [f"{check.name[:1].upper()}{check.name[1:]}: {_sentence(check.value)}" for check in named[:2]]
    if len(named) > 2:
        said.append(f"{len(named) - 2} more {'light asks' if len(named) == 3 else 'lights ask'} for a look.")
    if run.warnings and not asking:
        said.append(_shortened(run.warnings[0]))
        if len(run.warnings) > 1:
            said.append(f"{len(run.warnings) - 1} more below.")
    advice = advice_on(asking[0]) if asking else "Read the warning in full below." if run.warnings else ""
    return Verdict(level=run.level, text=" ".join(said), advice=advice)


def subject_verdict(report: SubjectReport) -> Verdict:
    """Return the bottom line of a participant.

    Parameters
    ----------
    report
        The report of the participant.
    """
    runs = report.runs
    if not runs:
        return Verdict(
            level=report.level,
            text="Nothing was processed.",
            advice="The sections below say what was found and what it lacks."
            if report.refusals or report.errors
            else "",
        )
    failed = [run for run in runs if run.errors]
    whole = [run for run in runs if not run.errors]
    counts = {level: [run for run in whole if run.level is level] for level in OPENINGS}
    said = []
    if failed:
        said.append(f"{_runs(len(failed))} failed ({_names(failed)}).")
    if counts[Level.BAD]:
        said.append(
            f"{_runs(len(counts[Level.BAD]))} not usable without a decision of yours ({_names(counts[Level.BAD])})."
        )
    if counts[Level.CHECK]:
        said.append(f"{_runs(len(counts[Level.CHECK]))} usable after a look ({_names(counts[Level.CHECK])}).")
    if counts[Level.GOOD]:
        all_good = OPENINGS_WITHOUT_MAPS[Level.GOOD] if all(run.only_fits for run in runs) else OPENINGS[Level.GOOD]
        said.append(
            all_good if len(counts[Level.GOOD]) == len(runs) else f"{_runs(len(counts[Level.GOOD]))} usable as it is."
        )
    if counts[Level.INFO]:
        said.append(f"{_runs(len(counts[Level.INFO]))} that no light judges ({_names(counts[Level.INFO])}).")
    if any(run.only_fits for run in whole):
        said.append(WITHOUT_MAPS)
    if report.refusals:
        number = len(report.refusals)
        said.append(f"{number} {'scan was' if number == 1 else 'scans were'} found but not processed.")
    if len(runs) == 1:
        own = run_verdict(runs[0])
        beside = [part for part in said if report.refusals and part == said[-1]]
        return Verdict(level=report.level, text=" ".join([own.text, *beside]), advice=own.advice)
    worst = min(runs, key=lambda run: (not run.errors, -SEVERITY[run.level]))
    advice = ""
    if report.level in (Level.CHECK, Level.BAD):
        own = run_verdict(worst)
        advice = f"Begin with {_name(worst)}: {own.advice}" if own.advice else ""
    return Verdict(level=report.level, text=" ".join(said), advice=advice)


def advice_on(check: Check) -> str:
    """Return what to do about a light that is not green."""
    name = "precision" if TOO_NOISY in check.value else check.name.lower()
    return next((advice for part, advice in ADVICE if part in name), OTHERWISE)


def map_level(run: RunReport, label: str) -> Level:
    """Return the light of one map: the worst of those that speak of it, or of the whole run.

    Parameters
    ----------
    run
        The run.
    label
        What the map is called for readers, as measures of lights name it.
    """
    if run.errors:
        return Level.BAD
    levels = [check.level for check in run.checks if _concerns(check, label, run)]
    return max(levels, key=SEVERITY.__getitem__, default=Level.INFO)


def _concerns(check: Check, label: str, run: RunReport) -> bool:
    """Return whether a light speaks of a map: one that names other maps of the run does not."""
    named = {measure.of for measure in check.measures if measure.of}
    others = {figure.title for figure in run.figures if figure.overview is not None} - {label}
    if label in named:
        return True
    if named & others:
        return False
    pool = _pool(check)
    own = {each for each in map(_pool, run.checks) if each and each in label.lower()}
    # A map that is named after no pool may depend on any of them.
    return not pool or not own or pool in own


def _pool(check: Check) -> str:
    """Return the pool that a light speaks of, in small letters; empty where it speaks of the whole run."""
    pool, colon, _ = check.name.partition(": ")
    return pool.lower() if colon else ""


def _missing(run: RunReport) -> list[str]:
    """Say how much has no value, and where; nothing where no light told it."""
    shares = [
        (100.0 - measure.value, measure.of)
        for check in run.checks
        for measure in check.measures
        if measure.key == "valid_voxels" and math.isfinite(measure.value)
    ]
    if not shares:
        return []
    share, of = max(shares)
    if share < FEWEST_MISSING:
        return []
    whole = "brain" if any(check.name == "Brain mask" for check in run.checks) else "mask"
    amount = f"{share:.0f}" if share >= 1.0 else f"{share:.1f}"
    what = f" for {of}" if of else ""
    where = f", mostly {run.missing_where}" if run.missing_where else ""
    return [f"{amount} % of the {whole} has no value{what}{where}."]


def _precision(run: RunReport) -> list[str]:
    """Say how well one voxel is known; nothing where that was not told."""
    measures: list[Measure] = [each for check in run.checks for each in check.measures]
    words = precision_words([*measures, *run.measures])
    if not words:
        return []
    asks = any(check.name == "Precision" and check.level is not Level.GOOD for check in run.checks)
    beyond = f": {RELY_ON_MEANS}" if asks else ""
    return [f"{words[:1].upper()}{words[1:]}{beyond}."]


def _mixed(run: RunReport) -> list[str]:
    """Say how much may be tissue and fluid in one voxel, where that is much."""
    shares = [row.percent for row in run.quality if row.code == Status.MIXED and row.percent is not None]
    share = max(shares, default=0.0)
    if share <= MANY_MIXED:
        return []
    return [
        f"{share:.0f} % of the voxels may hold fluid beside tissue: their standard deviations are wider for it (code 9)."
    ]


def _is_value_share(check: Check) -> bool:
    return any(measure.key == "valid_voxels" for measure in check.measures)


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _shortened(text: str) -> str:
    if len(text) <= LONGEST_WARNING:
        return _sentence(text)
    return f"{text[:LONGEST_WARNING].rsplit(' ', 1)[0]} …"


def _name(run: RunReport) -> str:
    return run.name or run.title


def _names(runs: Iterable[RunReport]) -> str:
    return ", ".join(dict.fromkeys(map(_name, runs)))


def _runs(number: int) -> str:
    return f"{number} run" if number == 1 else f"{number} runs"


def kinds_of_t1(labels: Sequence[str]) -> tuple[str, ...]:
    """Return why T1 of the same tissue differs in a report, a sentence a kind; nothing where there is one kind alone.

    Parameters
    ----------
    labels
        What the maps of a participant are called.
    """
    found = tuple(text for label, text in T1_KINDS.items() if label in labels)
    return found if len(found) > 1 else ()


T1_KINDS: dict[str, str] = {
    "T1": "T1 is that of one pool of water. From pc-bSSFP it is apparent: exchange with the semisolid pool under these pulses "
    "(magnetization transfer) makes it shorter than published T1 of tissue, in white matter most.",
    "T1, MT-corrected": "T1, MT-corrected, is what an inversion recovery would see: the same scan, freed of what the pulses do to "
    "the semisolid pool. This is the one to hold against published values.",
    "T1 of free water": "T1 of free water is that of water without any exchange with the semisolid pool: the longest, and it "
    "depends on what R1 of that pool is assumed to be.",
    "T1 of water": "T1 of water was fitted along with the pools of saturated images.",
    "R1": "R1 is 1/T1, of two spoiled gradient echoes: it holds some magnetization transfer, too.",
}
"""What each T1 of a report is, by the label of its map."""
