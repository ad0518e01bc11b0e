"""The pools of fingerprints: the published ones, or those of a file that the user names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qmri_bids.bids.refusal import RefusedError, ValueSource, refuse
from qmri_bids.physics.pools import CestPool, MtPool, PoolModel
from qmri_bids.physics.published_pools import AMIDE, MT, PUBLISHED_POOLS
from qmri_bids.scans.pools.pool_file import read_pool_file
from qmri_bids.units import seconds_to_milliseconds

PUBLISHED = "Finkelstein et al. 2025"
OPTION = "--cest-pools"


@dataclass(frozen=True, kw_only=True)
class PoolChoice:
    """A pool model and where it comes from.

    Parameters
    ----------
    model
        The pools, under the names that maps have.
    origin
        The paper, or the file.
    warnings
        What of the file was passed over.
    """

    model: PoolModel
    origin: str
    warnings: tuple[str, ...] = ()

    @property
    def amide_shift(self) -> float:
        """Shift of amide [ppm], the published one where the model has no such pool."""
        pools = (*self.model.cest, *PUBLISHED_POOLS.cest)
        return next(pool.shift for pool in pools if pool.name == AMIDE)

    @property
    def sources(self) -> tuple[ValueSource, ...]:
        """The values of each pool that are not estimated."""
        return tuple(
            ValueSource(
                key=f"pool {pool.name}",
                value=f"{pool.shift:+g} ppm, T2 {seconds_to_milliseconds(pool.t2):g} ms"
                + (f", {_line(pool)}" if isinstance(pool, MtPool) else ""),
                unit="",
                source=self.origin,
            )
            for pool in self.model.exchanging
        )


def choose_pools(path: Path | None) -> PoolChoice:
    """Return the published pools, or those of a file.

    Parameters
    ----------
    path
        YAML of pulseq-CEST; None for the published model.

    Raises
    ------
    RefusedError
        If the file cannot be read or names amide twice.
    """
    if path is None:
        return PoolChoice(model=PUBLISHED_POOLS, origin=PUBLISHED)
    reading = read_pool_file(path)
    model = reading.model
    for pool in model.exchanging:
        _check_units(pool, path)
    amide = [pool.name for pool in model.cest if pool.name.lower() == AMIDE.lower()]
    if len(amide) > 1:
        raise refuse(
            file=str(path),
            key="cest_pool",
            expected="one pool named amide",
            found=", ".join(amide),
            advice="Rename the others.",
        )
    cest = tuple(replace(pool, name=AMIDE) if pool.name in amide else pool for pool in model.cest)
    mt = None if model.mt is None else replace(model.mt, name=MT)
    return PoolChoice(model=replace(model, cest=cest, mt=mt), origin=str(path), warnings=reading.warnings)


LARGEST_SHIFT = 20.0
"""Of a pool [ppm]; hertz are larger."""

LONGEST_T2 = {MtPool: 1e-3, CestPool: 1.0}
"""Of a semisolid pool and of any other [s]; milliseconds and microseconds are larger numbers."""


def _check_units(pool: CestPool, path: Path) -> None:
    """Refuse a pool whose numbers are in other units.

    Raises
    ------
    RefusedError
        If a shift or T2 is larger than that of any such pool.
    """
    longest = LONGEST_T2[type(pool)]
    if abs(pool.shift) > LARGEST_SHIFT:
        raise refuse(
            file=str(path),
            key=f"dw of {pool.name}",
            expected=f"a shift within {LARGEST_SHIFT:g} ppm of water",
            found=f"{pool.shift:g}: is it in Hz?",
            advice="State shifts in ppm.",
        )
    if pool.t2 > longest:
        raise refuse(
            file=str(path),
            key=f"t2 of {pool.name}",
            expected=f"a time of at most {longest:g} s",
            found=f"{pool.t2:g} s: is it in ms or µs?",
            advice="State t2 in seconds, or r2 in 1/s.",
        )


def check_pools(choice: PoolChoice, pools: Sequence[str], *, label: str) -> None:
    """Check that a model has the pools that a run estimates.

    Raises
    ------
    RefusedError
        If one is missing.
    """
    for pool in pools:
        if pool not in choice.model.names:
            raise _missing(choice, pool, label)


def _missing(choice: PoolChoice, pool: str, label: str) -> RefusedError:
    return refuse(
        file=choice.origin,
        key={MT: "mt_pool", AMIDE: "cest_pool"}[pool],
        expected=f"the pool {pool}, which {label} is to estimate",
        found=", ".join(choice.model.names) or "water alone",
        advice=f"Add it to the file, or leave out {OPTION} for the pools of {PUBLISHED}.",
    )


def pool_sentences(choice: PoolChoice, pools: Sequence[str]) -> tuple[str, ...]:
    """Return which pools and lineshape were chosen: maps under another line are not comparable.

    Parameters
    ----------
    choice
        The model.
    pools
        Names of the pools that are estimated.
    """
    sentences = []
    if choice.model.mt is not None:
        sentences.append(
            f"The semisolid pool has {_line(choice.model.mt)}, as in {choice.origin}: under another line its fraction comes out up "
            f"to 30 % and its rate 50 % or more different ({OPTION} chooses)."
        )
    kept = [f"{pool.name} ({pool.fraction:.3g}, {pool.rate:g} 1/s)" for pool in choice.model.exchanging]
    fixed = [text for text, pool in zip(kept, choice.model.names, strict=True) if pool not in pools]
    if fixed:
        sentences.append(f"Pools that are not estimated keep fraction and rate of {choice.origin}: {', '.join(fixed)}.")
    return tuple(sentences)


def _line(pool: MtPool) -> str:
    if pool.lineshape is None:
        return "x, y and z with a Lorentzian line"
    return f"z alone with a {pool.lineshape.value} line"
