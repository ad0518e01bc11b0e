"""The pools of fingerprints: the published ones, or those of a file that the user names."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from qmri_bids.bids.files.keyed import KeyedFile
from qmri_bids.bids.metadata.values import describe
from qmri_bids.bids.refusal import RefusedError, ValueSource, refuse, relative_name
from qmri_bids.physics.pools import (
    LARGEST_SHIFT,
    LONGEST_T2,
    PROTONS_OF_WATER,
    CestPool,
    Lineshape,
    MtForm,
    MtPool,
    PoolModel,
    Water,
)
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
        if None in pools:
            raise self.bad("cest_pool", "a name for every pool", "a pool without a name (~ or null)")
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
PUBLISHED_AMIDE = PUBLISHED_POOLS.cest[0]
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
    warnings, decisions
        What of the file was passed over, and how it was read, as sentences.
    from_file
        Whether the user chose the pools: any of them is estimated then where a series sees it.
    """

    model: PoolModel
    origin: str
    warnings: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    from_file: bool = False

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
    if not model.exchanging:
        raise refuse(
            file=str(path),
            key="cest_pool",
            expected="a pool beside water: a cest_pool, an mt_pool or both",
            found="water alone",
            advice=_Reader.advice,
        )
    amide = [pool.name for pool in model.cest if pool.name.lower() == AMIDE.lower()]
    if len(amide) > 1:
        raise refuse(
            file=str(path),
            key="cest_pool",
            expected="one pool named amide",
            found=", ".join(amide),
            advice="Rename the others.",
        )
    labels = {pool.name: AMIDE if pool.name in amide else pool_label(pool.name, path=path) for pool in model.cest}
    _check_labels(labels, path)
    # The format has no T1 that follows water: equal numbers are how it is written.
    follow = [pool.name for pool in model.cest if pool.t1 == model.water.t1]
    cest = tuple(
        replace(pool, name=labels[pool.name], t1=None if pool.name in follow else pool.t1) for pool in model.cest
    )
    mt = None if model.mt is None else replace(model.mt, name=MT)
    renamed = [f"{name} is {label}" for name, label in labels.items() if name.lower() != label.lower()]
    said = (
        (f"Names of pools become labels of files, which hold letters and digits alone: {', '.join(renamed)}.",)
        if renamed
        else ()
    )
    return PoolChoice(
        model=replace(model, cest=cest, mt=mt),
        origin=str(path),
        warnings=(*reading.warnings, *said),
        decisions=(
            f"T1 of {', '.join(labels[name] for name in follow)} is that of water in the file ({model.water.t1:g} s) and follows "
            "it in every voxel.",
        )
        if follow
        else (),
        from_file=True,
    )


TAKEN = ("water", MT, "fluid", "solute")
"""Labels that other maps have, or that say nothing."""


def pool_label(name: str, *, path: Path) -> str:
    """Return the label of files that the name of a pool becomes: its letters and digits, accents left out.

    Parameters
    ----------
    name
        As in the file.
    path
        The file, for messages.

    Raises
    ------
    RefusedError
        If nothing is left, or other maps have that label.

    Examples
    --------
    >>> pool_label("L-arginine (pH 5)", path=Path("pools.yaml"))
    'LargininepH5'
    """
    label = _label_of(name)
    wrong = ""
    if not label:
        wrong = "which has neither"
    elif label.lower() in (each.lower() for each in TAKEN):
        wrong = f"and '{label}' means something else"
    elif len(label) > LONGEST_NAME:
        wrong = f"whose {len(label)} letters are more than the {LONGEST_NAME} that names of files have room for"
    elif label.lower().endswith("std") or "posterior" in label.lower():
        wrong = f"and '{label}' would be taken for a standard deviation or a posterior"
    if wrong:
        raise refuse(
            file=str(path),
            key="cest_pool",
            expected="a name of letters and digits, which becomes the label of maps",
            found=f"{name!r}, {wrong}",
            advice="Rename the pool in the file.",
        )
    return label


def _check_labels(labels: Mapping[str, str], path: Path) -> None:
    """Refuse two pools whose maps would have one name, small and capital letters being the same to some file systems.

    Raises
    ------
    RefusedError
        If there are such.
    """
    first: dict[str, str] = {}
    for name, label in labels.items():
        other = first.setdefault(label.lower(), name)
        if other != name:
            raise refuse(
                file=str(path),
                key="cest_pool",
                expected="names that differ in letters and digits, since they become labels of maps",
                found=f"{other!r} and {name!r}",
                advice="Rename one of them.",
            )


LARGEST_RATE = 1e5
"""Of exchange [1/s]; faster pools are one with water."""

NEAREST_SHIFTS = 0.05
"""Solutes whose shifts are closer [ppm] have one line: no offset tells them apart."""

LONGEST_NAME = 40
"""Letters of a label: names of files become too long with more."""


def _check_units(pool: CestPool, path: Path) -> None:
    """Refuse a pool whose numbers are in other units, or are none of a pool that can be seen.

    Raises
    ------
    RefusedError
        If a shift, T2, fraction or rate is beyond that of any such pool.
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
    if pool.shift == 0.0 and not isinstance(pool, MtPool):
        raise refuse(
            file=str(path),
            key=f"dw of {pool.name}",
            expected="a shift from water: a solute that resonates with it cannot be seen",
            found="0",
            advice="State its shift in ppm, or leave it out.",
        )
    if not 0.0 < pool.fraction <= 1.0:
        raise refuse(
            file=str(path),
            key=f"f of {pool.name}",
            expected="a fraction of water above 0, at most 1",
            found=f"{pool.fraction:g}" + (": is it in percent or mmol/L?" if pool.fraction else ", which is no pool"),
            advice="State its protons over those of water, or leave it out.",
        )
    if pool.rate > LARGEST_RATE:
        raise refuse(
            file=str(path),
            key=f"k of {pool.name}",
            expected=f"an exchange rate of at most {LARGEST_RATE:g} 1/s",
            found=f"{pool.rate:g} 1/s",
            advice="State k in 1/s, from the pool to water.",
        )


def check_pools(choice: PoolChoice, pools: Sequence[str], *, label: str) -> None:
    """Check that a model has the pools that a run estimates, and that they can be told apart.

    Raises
    ------
    RefusedError
        If one is missing, or two solutes have one shift.
    """
    for pool in pools:
        if pool not in choice.model.names:
            raise _missing(choice, pool, label)
    solutes = sorted((pool for pool in choice.model.cest if pool.name in pools), key=lambda pool: pool.shift)
    for one, other in pairwise(solutes):
        if other.shift - one.shift < NEAREST_SHIFTS:
            raise refuse(
                file=choice.origin,
                key="cest_pool",
                expected=f"shifts {NEAREST_SHIFTS:g} ppm or more apart of pools that {label} estimates",
                found=f"{one.name} at {one.shift:+g} and {other.name} at {other.shift:+g} ppm, which no offset tells apart",
                advice="Leave one of them out: the other stands for both.",
            )


PROTONS_OPTION = "--cest-protons"


def check_protons(choice: PoolChoice, protons: Mapping[str, float]) -> dict[str, float]:
    """Return the protons of one molecule by the name that the pool has in maps.

    Parameters
    ----------
    choice
        The pool model.
    protons
        By the name that the user gave: that of the file, or its letters and digits, small or capital.

    Raises
    ------
    RefusedError
        If the model has no such solute.
    """
    solutes = {pool.name.lower(): pool.name for pool in choice.model.cest}
    found = {}
    for name, number in protons.items():
        label = _label_of(name)
        if label.lower() not in solutes:
            raise refuse(
                file=choice.origin,
                key=PROTONS_OPTION,
                expected=f"a solute of the model ({', '.join(solutes.values()) or 'it has none'})",
                found=name,
                advice=f"Name it as the file does, or add it to the file of {OPTION}.",
            )
        found[solutes[label.lower()]] = number
    return found


def concentration_sentences(protons: Mapping[str, float], *, pools: Sequence[str]) -> tuple[str, ...]:
    """Say how concentrations follow from fractions, and of which pools there are none.

    Parameters
    ----------
    protons
        From `check_protons`.
    pools
        Names of the pools that are estimated.
    """
    mapped = [f"{name} {number:g}" for name, number in protons.items() if name in pools]
    unseen = [name for name in protons if name not in pools]
    said = []
    if mapped:
        said.append(
            f"Concentrations are fractions times {PROTONS_OF_WATER:g} mmol/L of protons of water over the protons of one molecule "
            f"({', '.join(mapped)}): in the water of the pool, not corrected for how much of a voxel is water."
        )
    if unseen:
        said.append(f"{PROTONS_OPTION}: {', '.join(unseen)} is not estimated here, so that it has no concentration.")
    return tuple(said)


def _label_of(name: str) -> str:
    """Return letters and digits of a name, accents left out."""
    plain = unicodedata.normalize("NFKD", name)
    return "".join(letter for letter in plain if letter.isascii() and letter.isalnum())


def _missing(choice: PoolChoice, pool: str, label: str) -> RefusedError:
    return refuse(
        file=choice.origin,
        key={MT: "mt_pool"}.get(pool, "cest_pool"),
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
    if choice.from_file:
        chosen = [pool for pool in choice.model.exchanging if pool.name in pools]
        shown = ", ".join(f"{pool.name} ({pool.shift:+g} ppm)" for pool in chosen)
        sentences.append(f"Fraction and rate are estimated of the pools of {choice.origin} that offsets see: {shown}.")
    kept = [f"{pool.name} ({pool.fraction:.3g}, {pool.rate:g} 1/s)" for pool in choice.model.exchanging]
    fixed = [text for text, pool in zip(kept, choice.model.names, strict=True) if pool not in pools]
    if fixed:
        sentences.append(f"Pools that are not estimated keep fraction and rate of {choice.origin}: {', '.join(fixed)}.")
    return (*sentences, *choice.decisions)


def _line(pool: MtPool) -> str:
    if pool.lineshape is None:
        return "x, y and z with a Lorentzian line"
    return f"z alone with a {pool.lineshape.value} line"
