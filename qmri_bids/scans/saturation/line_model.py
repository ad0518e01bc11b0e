"""A set of lines for the Lorentzian fit that the user states in a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qmri_bids.bids.files.keyed import KeyedFile
from qmri_bids.bids.metadata.values import describe
from qmri_bids.bids.refusal import Refusal, refusal_of
from qmri_bids.estimation.spectra.lorentzian.pools import WATER, LineModel, PoolRow, Range
from qmri_bids.scans.findings import Findings
from qmri_bids.scans.saturation.run import CestRun

LINES = ("auto", "lorentzian", "super-lorentzian")
"""Lines of the semisolid pool."""

KEYS = ("position", "within", "amplitude", "start", "width", "line", "t2")

FARTHEST = 30.0
"""Of a line [ppm]; hertz are larger."""

WIDEST = 1000.0
"""Full width of the line of a semisolid pool [ppm]."""

WIDTHS = (0.05, 20.0)
"""Full widths of any other line [ppm]: narrower ones fall between offsets, wider ones are those of a semisolid pool."""

WATER_WITHIN = 1.0
"""Distance of the centre of water from 0 [ppm]: offsets are relative to it."""

LONGEST_T2 = 1e-3
"""Of a semisolid pool [s]; microseconds and milliseconds are larger numbers."""

HIGHEST = 2.0
"""Height of a line; percent are larger. With MT on top water is best described by a line somewhat above 1."""

FIELDS = (0.05, 30.0)
"""Field strengths [T]."""

START = 1.0 / 16.0
"""How far between the bounds of its height the fit of a line begins, where the file does not say."""

NAME = re.compile(r"[0-9A-Za-z]{1,30}")


def read_line_model(path: Path) -> LineModel:
    """Read a set of lines.

    Parameters
    ----------
    path
        YAML with `pools`: under each name `position`, `within` [ppm], `amplitude` and `width` [ppm]; for a semisolid pool `line`
        and, where that is super-Lorentzian, `t2` [s]; docs/cest_mt.md has the set of the package in this form.

    Raises
    ------
    RefusedError
        If the file cannot be read, something is missing, unknown, no number, or beyond what a line can have.
    """
    reader = _Reader(str(path))
    content = reader.load(path)
    unknown = sorted(str(key) for key in content if key != "pools")
    if unknown:
        raise reader.bad(unknown[0], "the one key pools", "an unknown key")
    pools = content.get("pools")
    if not isinstance(pools, dict) or not pools:
        raise reader.bad("pools", "pools by name", "nothing" if pools is None else describe(pools))
    reader.check_names(list(pools))
    rows = {str(name): reader.row(str(name), pool) for name, pool in pools.items()}
    broad = [name for name, row in rows.items() if row.semisolid]
    if len(broad) > 1:
        raise reader.bad("pools", "one semisolid pool (a pool with the key line)", ", ".join(broad))
    reader.check_twins(rows)
    return LineModel(rows=rows, origin=path.name)


class _Reader(KeyedFile):
    advice = "Correct the file; docs/cest_mt.md shows its form."

    def check_names(self, names: Sequence[object]) -> None:
        """Check that names can stand in names of files, and are different there."""
        seen: dict[str, str] = {}
        for name in map(str, names):
            if not NAME.fullmatch(name):
                raise self.bad(f"pools: {name}", "a name of letters and digits, which names of files hold", repr(name))
            if name.lower().endswith("std"):
                raise self.bad(
                    f"pools: {name}", "a name that does not end in std, as those of standard deviations do", name
                )
            if name.lower() in seen:
                raise self.bad(
                    f"pools: {name}", "names that differ by more than capital letters", f"{seen[name.lower()]} too"
                )
            seen[name.lower()] = name
        if WATER not in names:
            raise self.bad("pools", f"the pool {WATER}, whose line all others stand on", ", ".join(map(str, names)))

    def check_twins(self, rows: Mapping[str, PoolRow]) -> None:
        """Check that no two pools have one position and one set of bounds: a fit cannot tell them apart."""
        names = list(rows)
        for place, name in enumerate(names):
            for other in names[:place]:
                if replace(rows[name], start=rows[other].start) == rows[other]:
                    found = f"those of {other}"
                    raise self.bad(f"pools: {name}", "a position or bounds of its own, by which a fit tells it", found)

    def row(self, name: str, pool: Any) -> PoolRow:
        """Return a pool."""
        shown = f"pools: {name}"
        if not isinstance(pool, dict):
            raise self.bad(shown, f"values of {', '.join(KEYS)}", "nothing" if pool is None else describe(pool))
        unknown = [str(key) for key in pool if key not in KEYS]
        if unknown:
            raise self.bad(f"{shown}: {unknown[0]}", f"one of {', '.join(KEYS)}", "an unknown key")
        line = self._line(name, pool)
        farthest, doubt = FARTHEST, "is it in Hz?"
        if name == WATER:
            farthest, doubt = WATER_WITHIN, "offsets are relative to water (is it 4.7 ppm from TMS?)"
        position = self._within(pool, shown, "position", -farthest, farthest, doubt=doubt)
        within = self._within(pool, shown, "within", 0.0, FARTHEST, doubt="is it in Hz?")
        heights = self._range(pool.get("amplitude"), f"{shown}: amplitude", 0.0, HIGHEST, doubt="is it in percent?")
        start = heights[0] + START * (heights[1] - heights[0])
        if "start" in pool:
            start = self._within(pool, shown, "start", *heights, doubt="it must lie within amplitude")
        return PoolRow(
            position=position,
            within=within,
            heights=heights,
            start=start,
            widths=None
            if line == "super-lorentzian"
            else self._widths(pool, f"{shown}: width", broad=line is not None),
            t2=self._t2(pool, f"{shown}: t2") if line in ("auto", "super-lorentzian") else None,
            semisolid=line is not None,
        )

    def _line(self, name: str, pool: Mapping[str, Any]) -> str | None:
        """Return the line of a semisolid pool, None for any other."""
        shown, line = f"pools: {name}", pool.get("line")
        if "line" in pool and line not in LINES:
            raise self.bad(f"{shown}: line", f"one of {', '.join(LINES)}", describe(line))
        if line is not None and name == WATER:
            raise self.bad(f"{shown}: line", "no line: that of water is Lorentzian", describe(line))
        without = {"auto": "", "super-lorentzian": "width"}.get(str(line), "t2")
        if without and without in pool:
            what = "a pool without line" if line is None else f"the line {line}"
            raise self.bad(f"{shown}: {without}", f"no {without} for {what}", describe(pool[without]))
        return line

    def _within(self, pool: Mapping[str, Any], shown: str, key: str, low: float, high: float, *, doubt: str) -> float:
        value = self.number(pool.get(key), f"{shown}: {key}")
        if not low <= value <= high:
            raise self.bad(f"{shown}: {key}", f"a number from {low:g} to {high:g}", f"{value:g}: {doubt}")
        return value

    def _range(self, value: Any, key: str, low: float, high: float, *, doubt: str, open_low: bool = False) -> Range:
        """Return two numbers within limits that increase: a fit moves between them."""
        expected = f"[smallest, largest], {'above' if open_low else 'from'} {low:g} to {high:g}"
        if not isinstance(value, list) or len(value) != 2:
            raise self.bad(key, expected, "nothing" if value is None else describe(value))
        first, second = (self.number(each, key) for each in value)
        if not (low <= first < second <= high) or (open_low and first <= low):
            wrong = doubt
            if second <= first:
                wrong = "the larger first" if second < first else "equal, so that nothing is left to fit"
            raise self.bad(key, expected, f"{describe(value)}: {wrong}")
        return first, second

    def _widths(self, pool: Mapping[str, Any], key: str, *, broad: bool) -> Range | Mapping[float, Range]:
        """Return the range of widths [ppm], for all fields or by field [T]."""
        low, high = (WIDTHS[0], WIDEST) if broad else WIDTHS
        limits: dict[str, Any] = {
            "low": low,
            "high": high,
            "doubt": f"full widths of a line{'' if broad else ' that is not semisolid'} in ppm",
        }
        value = pool.get("width")
        if not isinstance(value, dict):
            return self._range(value, key, **limits)
        if not value:
            raise self.bad(key, "ranges by field strength in T", "nothing")
        found = {}
        for field, stated in value.items():
            strength = self.number(field, f"{key}: {field}")
            if not FIELDS[0] <= strength <= FIELDS[1]:
                raise self.bad(f"{key}: {field}", "a field strength in T", f"{strength:g}")
            found[strength] = self._range(stated, f"{key}: {field}", **limits)
        if len(found) < len(value):
            raise self.bad(key, "each field strength once", ", ".join(map(str, value)))
        return found

    def _t2(self, pool: Mapping[str, Any], key: str) -> Range:
        doubt = "is it in ms or µs? It is stated in seconds"
        return self._range(pool.get("t2"), key, 0.0, LONGEST_T2, doubt=doubt, open_low=True)


def with_line_model(runs: Sequence[CestRun], *, findings: Findings) -> tuple[CestRun, ...]:
    """Return the runs, each Z-spectrum with the lines of `--lorentzian-model`; those are refused where it cannot be read.

    Parameters
    ----------
    runs
        CEST runs of the subject.
    findings
        Says what the user asked for, and takes the refusal.
    """
    path = findings.options.lorentzian_model
    if path is None or not any(_is_fitted(run) for run in runs):
        return tuple(runs)
    try:
        model = read_line_model(path)
    except Exception as error:
        findings.refusals.append(refusal_of(error, file=str(path)))
        return tuple(run for run in runs if not _is_fitted(run))
    return tuple(
        replace(run, line_model=model) if _is_fitted(run) else run
        for run in runs
        if not _is_fitted(run) or _told(run, model, path=path, findings=findings)
    )


def _told(run: CestRun, model: LineModel, *, path: Path, findings: Findings) -> bool:
    """Return whether a run has more offsets than the set has parameters; it is refused where it has not."""
    roles = zip(run.protocol.offsets, run.roles, strict=True)
    number = len({offset for offset, role in roles if role == "cest" and offset is not None})
    parameters = model.free_parameters(model.names)
    if number > parameters:
        return True
    findings.refusals.append(
        Refusal(
            file=str(path),
            key="pools",
            expected=f"fewer free parameters than the {number} different offsets of {run.label}",
            found=f"{parameters} parameters of {', '.join(model.names)}",
            advice="State fewer pools, or within: 0 for positions that are known.",
        )
    )
    return False


def _is_fitted(run: CestRun) -> bool:
    return run.kind == "z-spectrum"
