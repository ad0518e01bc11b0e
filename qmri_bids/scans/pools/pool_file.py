"""Pool models in the YAML of pulseq-CEST (Herz et al., MRM 86:1845, 2021).

Fractions are relative to water (f = 1), times in s or rates in 1/s, exchange rates towards water, shifts in ppm. The semisolid pool
states its form through `lineshape`: a named line is z alone with that absorption, `None` is the full x, y, z of a Lorentzian.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qmri_bids.bids.refusal import RefusedError, refuse, relative_name
from qmri_bids.bids.values import describe
from qmri_bids.physics.pools import CestPool, Lineshape, MtForm, MtPool, PoolModel, Water

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
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_FACTORS = re.compile(rf"\s*{_NUMBER}(?:\s*[*/]\s*{_NUMBER})*\s*")
_ADVICE = "Correct the file; its form is that of the sim-library of pulseq-CEST."


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


class _Reader:
    def __init__(self, shown: str) -> None:
        self.shown = shown

    def bad(self, key: str, expected: str, found: str) -> RefusedError:
        return refuse(file=self.shown, key=key, expected=expected, found=found, advice=_ADVICE)

    def load(self, path: Path) -> Mapping[str, Any]:
        import yaml

        try:
            text = path.read_text(encoding="utf-8")
            self._no_key_twice(yaml.compose(text, Loader=yaml.SafeLoader))
            content = yaml.safe_load(text)
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise self.bad("file", "a YAML file", " ".join(str(error).split())) from error
        if not isinstance(content, dict):
            raise self.bad("file", "a YAML file of keys and values", describe(content))
        return content

    def _no_key_twice(self, node: Any) -> None:
        """YAML keeps the last of two equal keys: a pool would vanish."""
        if node is None or isinstance(node.value, str):
            return
        pairs = node.value if node.id == "mapping" else [(None, each) for each in node.value]
        keys = [key.value for key, _ in pairs if key is not None]
        for key in keys:
            if isinstance(key, str) and keys.count(key) > 1:
                raise self.bad(key, "each key once", f"{keys.count(key)} of them")
        for _, value in pairs:
            self._no_key_twice(value)

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
        value = pool.get(key)
        number = math.nan
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = float(value)
        elif isinstance(value, str) and _FACTORS.fullmatch(value):
            number = _product(value)
        if not math.isfinite(number):
            raise self.bad(f"{shown}: {key}", "a number", "nothing" if value is None else describe(value))
        return number

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


def _product(text: str) -> float:
    """Return numbers joined by * and /, from left to right; NaN for a quotient by zero.

    Examples
    --------
    >>> _product("3 * 1.0/4.0")
    0.75
    """
    number, divided = 1.0, False
    for word in re.findall(rf"{_NUMBER}|[*/]", text):
        if word in "*/":
            divided = word == "/"
        elif not divided:
            number *= float(word)
        elif float(word) == 0.0:
            return math.nan
        else:
            number /= float(word)
    return number
