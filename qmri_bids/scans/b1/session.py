"""The B1 maps of a subject, read once and only for sessions in which a run needs one: scans of B1, else WASABI runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.metadata.sidecar import Sidecar
from qmri_bids.bids.refusal import Refusal, refusal_of, relative_name
from qmri_bids.pipeline.sources import B1Run
from qmri_bids.scans.b1.find import UNSUPPORTED_METHODS, choose_b1, group_b1_files, read_b1
from qmri_bids.scans.findings import Findings
from qmri_bids.scans.nearest import run_index
from qmri_bids.scans.saturation.run import CestRun


class SessionB1:
    """B1 maps by session.

    Parameters
    ----------
    paths
        All files in `fmap/` whose suffix is that of a B1 scan.
    findings
        Takes what is wrong with maps: as refusals where a session has no good one, as notes otherwise.
    cest
        CEST runs that are processed: those of WASABI stand in for a B1 scan.

    Attributes
    ----------
    runs
        Maps read so far.
    """

    def __init__(self, paths: Sequence[Path], *, findings: Findings, cest: Sequence[CestRun] = ()) -> None:
        self.runs: list[B1Run] = []
        self._wasabi = [run for run in cest if "b1" in run.use.gives]
        self._paths = paths
        self._findings = findings
        self._by_session: dict[str | None, tuple[list[B1Run], list[Refusal]]] = {}

    def read(self, session: str | None) -> tuple[list[B1Run], list[Refusal]]:
        """Return the maps of a session and the refusals of its other B1 scans, none of both where the user wants none."""
        if self._findings.options.no_b1:
            return [], []
        if session not in self._by_session:
            paths = [path for path in self._paths if parse_name(path).entities.get("ses") == session]
            runs, refusals = self._read_all(paths)
            self._by_session[session] = runs, refusals
            self.runs += runs
            # A broken map beside a good one, or beside a WASABI run, stops nothing.
            alone = not runs and not self._of_session(session)
            grave = [refusal for refusal in refusals if alone and not _is_unsupported(refusal)]
            self._findings.refusals += grave
            self._findings.notes += [str(refusal) for refusal in refusals if refusal not in grave]
        return self._by_session[session]

    def left_alone(self, session: str | None) -> str:
        """Return a sentence on the B1 files that are there where the user wants none, nothing where there are none."""
        names = [path.name for path in self._paths if parse_name(path).entities.get("ses") == session]
        return f" Left alone, as asked: {', '.join(names)}." if names else ""

    def choose_scan(
        self, session: str | None, *, images: Sequence[Path], sidecars: Sequence[Sidecar], label: str
    ) -> tuple[B1Run | None, tuple[str, ...]]:
        """Return the B1 scan of a run, None if there is none, and sentences for the run.

        Raises
        ------
        RefusedError
            If several scans could be meant.
        """
        runs, _ = self.read(session)
        chosen, sentences = choose_b1(runs, images=images, sidecars=sidecars, root=self._findings.root, label=label)
        return chosen, (*(chosen.warnings if chosen is not None else ()), *sentences)

    def choose(
        self, session: str | None, *, images: Sequence[Path], sidecars: Sequence[Sidecar], label: str
    ) -> tuple[B1Run | None, tuple[str, ...]]:
        """Return the B1 scan of a run or else a WASABI run of the session, None if there is neither, and sentences for the run.

        Raises
        ------
        RefusedError
            If several scans could be meant.
        """
        chosen, sentences = self.choose_scan(session, images=images, sidecars=sidecars, label=label)
        wasabi = self._of_session(session)
        if chosen is not None or not wasabi:
            return chosen, sentences
        index = run_index_of(images)
        first, *others = sorted(wasabi, key=lambda run: (abs(run_index(run) - index), run.label))
        refused = "; ".join(f"{each.file}: {each.found}" for each in self.read(session)[1])
        why = f"none of its B1 scans can be used ({refused})" if refused else "the session has no B1 scan"
        passed = f" (the others: {', '.join(run.label for run in others)})" if others else ""
        return _from_wasabi(first), (f"B1 comes from the WASABI run {first.label}{passed}: {why}.",)

    def _of_session(self, session: str | None) -> list[CestRun]:
        return [run for run in self._wasabi if run.entities.get("ses") == session]

    def _read_all(self, paths: Sequence[Path]) -> tuple[list[B1Run], list[Refusal]]:
        runs: list[B1Run] = []
        refusals: list[Refusal] = []
        for same in group_b1_files(paths).values():
            try:
                runs.append(read_b1(same, root=self._findings.root, options=self._findings.options))
            except Exception as error:
                refusals.append(refusal_of(error, file=relative_name(same[0], self._findings.root)))
        return runs, refusals


def _is_unsupported(refusal: Refusal) -> bool:
    return refusal.found.startswith(UNSUPPORTED_METHODS)


def run_index_of(images: Sequence[Path]) -> int:
    """Return the index of `run` of the first image, 1 where the name has none."""
    label = parse_name(images[0]).entities.get("run", "1") if images else "1"
    return int(label) if label.isdigit() else 1


def _from_wasabi(run: CestRun) -> B1Run:
    """Return the B1 map that a WASABI run will give."""
    return B1Run(entities=run.entities, method="WASABI", anatomical=None, map=run.image, run=run.label)
