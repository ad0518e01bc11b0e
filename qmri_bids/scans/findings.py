"""What is collected while a session is looked through, and what finders of all kinds of runs share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qmri_bids.bids.layout import strip_label
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.metadata.sidecar import Sidecar, read_sidecar
from qmri_bids.bids.names import ENTITY_ORDER, derivative_entities
from qmri_bids.bids.refusal import Refusal, refusal_of, refuse, relative_name
from qmri_bids.pipeline.run import Run
from qmri_bids.scans.find_options import FindOptions

MAGNITUDES = ("", "mag")
"""Labels of `part` under which a magnitude image is stored."""


@dataclass(kw_only=True)
class Findings:
    """Refusals and notes of a session, in the order in which they came up.

    Parameters
    ----------
    root
        The dataset.
    options
        What the user asked for.
    refusals, notes
        As in `SessionPlan`.
    """

    root: Path
    options: FindOptions
    refusals: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def sidecar(self, path: Path) -> Sidecar:
        """Return the metadata of an image, with what the user states of the whole dataset.

        Raises
        ------
        RefusedError
            If a sidecar that applies is not readable or is no JSON object.
        """
        return read_sidecar(path, root=self.root, added=self.options.metadata)


@dataclass(frozen=True, kw_only=True)
class Series:
    """A magnitude image and its metadata.

    Parameters
    ----------
    entities
        Short names and labels of the file, without `part`.
    suffix
        Suffix of the file.
    path
        The image.
    sidecar
        Its metadata.
    """

    entities: Mapping[str, str]
    suffix: str
    path: Path
    sidecar: Sidecar

    @property
    def session(self) -> str | None:
        """Label of the session, None outside of sessions."""
        return self.entities.get("ses")


def run_is_wanted(path: Path, options: FindOptions) -> bool:
    """Whether a file belongs to the runs asked for; `run` is an index in BIDS: 1 and 01 are the same."""
    if not options.run_label:
        return True
    labels = (options.run_label,) if isinstance(options.run_label, str) else options.run_label
    wanted = {strip_label(label, entity="run").lstrip("0") for label in labels}
    return parse_name(path).entities.get("run", "").lstrip("0") in wanted


def collect_series(paths: Sequence[Path], findings: Findings) -> list[Series]:
    """Return the magnitude image of every series; phase images beside it are noted, alone they are refused."""
    collected: dict[tuple[object, ...], list[Path]] = {}
    for path in paths:
        name = parse_name(path)
        labels = tuple(f"{entity}-{label}" for entity, label in name.entities.items() if entity != "part")
        collected.setdefault((path.parent, name.suffix, *labels), []).append(path)
    found = []
    for same in collected.values():
        try:
            path = _magnitude(same, findings)
            name = parse_name(path)
            found.append(
                Series(
                    entities={key: label for key, label in name.entities.items() if key != "part"},
                    suffix=name.suffix,
                    path=path,
                    sidecar=findings.sidecar(path),
                )
            )
        except Exception as error:
            findings.refusals.append(refusal_of(error, file=relative_name(same[0], findings.root)))
    return found


def _magnitude(paths: Sequence[Path], findings: Findings) -> Path:
    parts = {path: parse_name(path).entities.get("part", "") for path in paths}
    magnitudes = [path for path, part in parts.items() if part in MAGNITUDES]
    others = [path for path in paths if path not in magnitudes]
    if not magnitudes:
        raise refuse(
            file=relative_name(paths[0], findings.root),
            key="part",
            expected="a magnitude image (part-mag, or no part in the name)",
            found=" and ".join(f"part-{parts[path]} alone" for path in others),
            advice="Saturation is read from magnitudes: export them too.",
        )
    if len(magnitudes) > 1:
        raise refuse(
            file=relative_name(magnitudes[0], findings.root),
            key="file",
            expected="one magnitude image of this name",
            found=", ".join(path.name for path in magnitudes),
            advice="Keep one of them.",
        )
    for path in others:
        findings.notes.append(
            f"{relative_name(path, findings.root)}: saturation is read from the magnitude; left alone."
        )
    return magnitudes[0]


def with_acquisition(entities: Mapping[str, str], *, default: str, without: Sequence[str] = ()) -> dict[str, str]:
    """Return entities with an `acq` in its place, `default` where there is none.

    Examples
    --------
    >>> with_acquisition({"sub": "01", "run": "1", "mt": "on"}, default="MTR", without=("mt",))
    {'sub': '01', 'acq': 'MTR', 'run': '1'}
    """
    return in_order({"acq": default} | {key: label for key, label in entities.items() if key not in without})


def in_order(entities: Mapping[str, str]) -> dict[str, str]:
    """Return entities in the order of the file name."""
    order = [key for key in ENTITY_ORDER if key in entities] + [key for key in entities if key not in ENTITY_ORDER]
    return {key: entities[key] for key in order}


def check_unique(run: Run, others: Sequence[Run]) -> None:
    """Refuse a run whose maps would be written over those of another.

    Raises
    ------
    RefusedError
        If another run has the same entities in its derivatives.
    """
    for other in others:
        if derivative_entities(run.entities) == derivative_entities(other.entities):
            raise refuse(
                file=run.paths[0].name,
                key="file name",
                expected="entities that no other run of the session has",
                found=f"maps of the same name as those of {other.paths[0].name}",
                advice="Give the runs different acq- labels, or select one with --bids-filter-file.",
            )
