"""What was found in a session and what can be done with it, as frozen data that can be pickled."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from qmri_bids.bids.refusal import Refusal
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.sources import B1Run
from qmri_bids.scans.bssfp.run import PcBssfpRun
from qmri_bids.scans.fields.run import B0ScanRun, B1ScanRun
from qmri_bids.scans.find_options import SessionFiles
from qmri_bids.scans.pools.run import ExchangeRun
from qmri_bids.scans.saturation.run import CestRun, MtrRun, MtsRun


@dataclass(frozen=True, kw_only=True)
class SessionPlan:
    """Runs of one subject and session.

    Parameters
    ----------
    subject, session
        Bare labels; session None for all sessions of the subject.
    pcbssfp, cest, mtr, mts
        Runs that can be computed.
    exchange
        Fingerprints that can be computed; until `with_exchange` makes them, they are among `cest`.
    transfer
        pc-bSSFP runs whose T1 and M0 are freed of magnetisation transfer, from `with_transfer`.
    field_b1, field_b0
        B1 scans and field maps that are runs of their own, from `find_fields`.
    b1
        B1 maps that can be used.
    files
        What else may serve a run.
    refusals
        Runs that were meant to be used and cannot.
    notes
        Scans that were looked at and left alone, as sentences.
    """

    subject: str
    session: str | None
    pcbssfp: tuple[PcBssfpRun, ...] = ()
    cest: tuple[CestRun, ...] = ()
    mtr: tuple[MtrRun, ...] = ()
    mts: tuple[MtsRun, ...] = ()
    exchange: tuple[ExchangeRun, ...] = ()
    transfer: tuple[Run, ...] = ()
    field_b1: tuple[B1ScanRun, ...] = ()
    field_b0: tuple[B0ScanRun, ...] = ()
    b1: tuple[B1Run, ...] = ()
    files: SessionFiles = field(default_factory=SessionFiles)
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def runs(
        self,
    ) -> tuple[Run, ...]:
        """All runs that can be computed."""
        own = (*self.pcbssfp, *self.mtr, *self.mts, *self.cest, *self.exchange)
        return (*own, *self.transfer, *self.field_b1, *self.field_b0)

    def without(self, refusals: Mapping[str, Refusal]) -> SessionPlan:
        """Return the plan without runs that are refused, and those that cannot do without a map of one of them.

        Parameters
        ----------
        refusals
            By the label of the run.
        """
        refused = dict(refusals)
        for run in self.runs:
            lost = [take for take in run.takes if take.run in refused and take.without is None]
            if lost and run.label not in refused:
                refused[run.label] = replace(refused[str(lost[0].run)], file=f"{run.label}, which takes a map of it")
        said = dict.fromkeys([*self.refusals, *refused.values()])
        left = self._each(lambda run: None if run.label in refused else run)
        return replace(left, refusals=tuple(said))

    def with_warnings(self, said: Mapping[str, tuple[str, ...]]) -> SessionPlan:
        """Return the plan with further warnings of its runs, by their labels."""
        return self._each(
            lambda run: replace(run, warnings=tuple(dict.fromkeys([*run.warnings, *said.get(run.label, ())])))
        )

    def freed(self, keys: Mapping[str, Collection[str]]) -> SessionPlan:
        """Return the plan with runs that do without some of the maps that they take: keys of `takes` by the label of the run."""
        return self._each(lambda run: run.freed_of(keys[run.label]) if run.label in keys else run)

    def _each(self, change: Callable[[Any], Any]) -> SessionPlan:
        """Return the plan with every run changed, and without those of which nothing is left."""
        kinds = ("pcbssfp", "cest", "mtr", "mts", "exchange", "transfer", "field_b1", "field_b0")
        changed: dict[str, Any] = {
            kind: tuple(run for run in map(change, getattr(self, kind)) if run is not None) for kind in kinds
        }
        return replace(self, **changed)

    @property
    def label(self) -> str:
        """`sub-01` or `sub-01_ses-1`."""
        return f"sub-{self.subject}" + (f"_ses-{self.session}" if self.session else "")
