"""The pools of fingerprints: the published ones, or those of a file that the user names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qmri_bids.bids.files.keyed import KeyedFile
from qmri_bids.bids.metadata.values import describe
from qmri_bids.bids.refusal import RefusedError, ValueSource, refuse, relative_name
from qmri_bids.physics.pools import CestPool, Lineshape, MtForm, MtPool, PoolModel, Water
from qmri_bids.physics.published_pools import AMIDE, MT, PUBLISHED_POOLS
from qmri_bids.units import seconds_to_milliseconds

LINESHAPES = {
    "SuperLorentzian": Lineshape.SUPER_LORENTZIAN,
    "Lorentzian": Lineshape.LORENTZIAN,
    "Gaussian": Lineshape.GAUSSIAN,
}
"""Lines of a semisolid pool of z alone; the last is an addition to pulseq-CEST."""

FULL = "None"
"""The lineshape of the full form."""

MT_NAME = "mt"

# What simulators do with the model, the value without effect, and what another one would do. None: no effect at all.
_SETTINGS: dict[str, tuple[Any, str]] = {
    "b0": (None, ""),
    "gamma": (267.5153, "another nucleus or unit"),
    "b0_inhom": (0.0, "a shift of all pools"),
    "b0_inhomogeneity": (0.0, "a shift of all pools"),
    "rel_b1": (1.0, "a scale of B1"),
    "relb1": (1.0, "a scale of B1"),
    "scale": (1.0, "a state before saturation that is not relaxed"),
    "reset_init_mag": (True, "images that begin where the one before ended"),
    "verbose": (None, ""),
    "max_pulse_samples": (None, ""),
    "max_samples": (None, ""),
}
_POOLS = ("water_pool", "cest_pool", "mt_pool")


@dataclass(frozen=True, kw_only=True)
class PoolReading:
    """A pool model and what of its file was passed over.

    Parameters
    ----------
    model
        The pools.
    warnings
        Settings that would change a simulation and are not part of the model, as sentences.
    """

    model: PoolModel
    warnings: tuple[str, ...]


def read_pool_file(path: Path, *, root: Path | None = None) -> PoolReading:
    """Read a pool model.

    Numbers may be written as products and quotients of numbers, such as 1.0/3.0. The semisolid pool of the file is named "mt".

    Parameters
    ----------
    path
        YAML with `water_pool`, `cest_pool` and `mt_pool`; `t1` and `t2` may be `r1` and `r2`.
    root
        Of the dataset, for messages.

    Raises
    ------
    RefusedError
        If the file cannot be read, something is missing, unknown or no number, or a value has no physical meaning.
    """
    reader = _Reader(str(path) if root is None else relative_name(path, root))
    content = reader.load(path)
    unknown = sorted(str(key) for key in content if key not in _POOLS and key not in _SETTINGS)
    if unknown:
        raise reader.bad(unknown[0], f"one of {', '.join((*_POOLS, *_SETTINGS))}", "an unknown key")
    return PoolReading(model=reader.model(content), warnings=reader.passed_over(content))


class _Reader(KeyedFile):
    advice = "Correct the file; its form is that of the sim-library of pulseq-CEST."

    def model(self, content: Mapping[str, Any]) -> PoolModel:
        water = self._mapping(content, "water_pool", ("f", "t1", "t2"))
        if self._number(water, "water_pool", "f") != 1.0:
            raise self.bad("water_pool: f", "1, to which all fractions are relative", describe(water["f"]))
        pools = content.get("cest_pool") or {}
        if not isinstance(pools, dict):
            raise self.bad("cest_pool", "pools by name", describe(pools))
        try:
            cest = tuple(
                CestPool(name=str(name), **self._pool(pools, name, f"cest_pool: {name}", ())) for name in pools
            )
            mt = None
            if content.get("mt_pool") is not None:
                stated = content["mt_pool"]
                line = self._lineshape(stated)
                mt = MtPool(
                    name=MT_NAME,
                    form=MtForm.FULL if line is None else MtForm.Z_ONLY,
                    lineshape=line,
                    **self._pool(content, "mt_pool", "mt_pool", ("lineshape",)),
                )
            return PoolModel(
                water=Water(t1=self._time(water, "water_pool", 1), t2=self._time(water, "water_pool", 2)),
                cest=cest,
                mt=mt,
            )
        except ValueError as error:
            raise self.bad("pools", "values with a physical meaning", str(error)) from error

    def _lineshape(self, pool: Any) -> Lineshape | None:
        expected = f"one of {', '.join((*LINESHAPES, FULL))}: the form of the semisolid pool has no default"
        if not isinstance(pool, dict) or "lineshape" not in pool:
            raise self.bad("mt_pool: lineshape", expected, "nothing")
        name = FULL if pool["lineshape"] is None else pool["lineshape"]
        # Simulators take any case, and write small letters.
        known = {FULL.lower(): None} | {each.lower(): line for each, line in LINESHAPES.items()}
        if str(name).lower() not in known:
            raise self.bad("mt_pool: lineshape", expected, describe(name))
        return known[str(name).lower()]

    def _pool(self, parent: Mapping[str, Any], key: str, shown: str, more: tuple[str, ...]) -> dict[str, float]:
        pool = self._mapping(parent, key, ("f", "t1", "t2", "k", "dw", *more), shown=shown)
        return {
            "fraction": self._number(pool, shown, "f"),
            "rate": self._number(pool, shown, "k"),
            "shift": self._number(pool, shown, "dw"),
            "t1": self._time(pool, shown, 1),
            "t2": self._time(pool, shown, 2),
        }

    def _mapping(
        self, parent: Mapping[str, Any], key: str, names: tuple[str, ...], *, shown: str | None = None
    ) -> Mapping[str, Any]:
        shown = shown or key
        pool = parent.get(key)
        if not isinstance(pool, dict):
            raise self.bad(shown, f"values of {', '.join(names)}", "nothing" if pool is None else describe(pool))
        unknown = [str(name) for name in pool if name not in (*names, "r1", "r2")]
        if unknown:
            raise self.bad(f"{shown}: {unknown[0]}", f"one of {', '.join(names)}", "an unknown key")
        return pool

    def _time(self, pool: Mapping[str, Any], shown: str, kind: int) -> float:
        time, rate = f"t{kind}", f"r{kind}"
        if (time in pool) == (rate in pool):
            raise self.bad(f"{shown}: {time}", f"either {time} or {rate}", "both" if time in pool else "nothing")
        if time in pool:
            return self._number(pool, shown, time)
        value = self._number(pool, shown, rate)
        if not value > 0.0:
            raise self.bad(f"{shown}: {rate}", "a positive rate", describe(pool[rate]))
        return 1.0 / value

    def _number(self, pool: Mapping[str, Any], shown: str, key: str) -> float:
        return self.number(pool.get(key), f"{shown}: {key}")

    def passed_over(self, content: Mapping[str, Any]) -> tuple[str, ...]:
        """Return a sentence for every setting that would change a simulation."""
        found = []
        for key, (plain, effect) in _SETTINGS.items():
            if plain is None or content.get(key) is None:
                continue
            value = content[key] if isinstance(plain, bool) else self._number(content, "setting", key)
            same = (
                value == plain if isinstance(plain, bool) else math.isclose(value, plain, rel_tol=1e-4, abs_tol=1e-12)
            )
            if not same:
                found.append(
                    f"{self.shown}: {key} {content[key]} means {effect}: it is no part of the pools and is not used."
                )
        return tuple(found)


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
