"""What the user asked for of the runs of a session, and the files from which they may take maps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qmri_bids.bids.metadata.added import AddedMetadata
from qmri_bids.choices import PULSE_SHAPES, ArexT1, B0Choice, PowerCorrectionChoice


@dataclass(frozen=True, kw_only=True)
class FindOptions:
    """What the user asked for.

    Parameters
    ----------
    no_b1
        Work without a B1 map: B1 = 1 is assumed.
    b1_nominal_flip_angle
        Nominal flip angle of the B1 scan [rad], instead of FlipAngle in its sidecar.
    b1_scale
        Relative B1 per stored value, instead of the scale of the method: B1 = stored value × b1_scale.
    b1_afi_repetition_times
        TR1 and TR2 of actual flip-angle imaging [s], instead of those in the sidecars.
    run_label
        Runs to use, with or without `run-`; empty for all.
    excitation_pulse
        Shape, of `PULSE_SHAPES`, and duration [s] of the excitation pulse of all pc-bSSFP runs, instead of what files state.
    cest_b0
        Where the shift of water of Z-spectra and fingerprints comes from; `auto` for the best that there is.
    lorentzian_model
        Set of lines of the Lorentzian fit, YAML; None for those of the package.
    cest_pools
        Pool model of fingerprints, YAML of pulseq-CEST; None for the published one.
    cest_protons
        Exchanging protons in one molecule by the name of the pool; None where no concentration is wanted.
    cest_t1, cest_t2, cest_off_resonance
        T1 [s], T2 [s] and off-resonance [Hz] of every voxel of fingerprints that have no map of it, T1 of Z-spectra too; None
        to have fingerprints refused.
    cest_fit_water
        Which of `t1` and `t2` of water are fitted along with the pools of fingerprints that have neither map nor number of it; None
        to have them refused.
    arex_t1
        Where the T1 of AREX comes from; `auto` for the best that there is.
    cest_b1_correction
        How Z-spectra are taken to their nominal B1.
    derivatives
        Folders in which maps for fingerprints, and of the semisolid pool, are looked for, by name.
    metadata
        What the user states of the whole dataset where sidecars lack it.
    filters
        Content of a BIDS filter file, from `load_filter_file`.
    """

    no_b1: bool = False
    b1_nominal_flip_angle: float | None = None
    b1_scale: float | None = None
    b1_afi_repetition_times: tuple[float, float] | None = None
    excitation_pulse: tuple[str, float] | None = None
    cest_b0: B0Choice = "auto"
    lorentzian_model: Path | None = None
    cest_pools: Path | None = None
    cest_protons: Mapping[str, float] | None = None
    cest_t1: float | None = None
    cest_t2: float | None = None
    cest_off_resonance: float | None = None
    cest_fit_water: tuple[str, ...] | None = None
    arex_t1: ArexT1 = "auto"
    cest_b1_correction: PowerCorrectionChoice = "none"
    derivatives: Mapping[str, Path] = field(default_factory=dict)
    run_label: str | tuple[str, ...] | None = None
    metadata: AddedMetadata | None = None
    filters: Mapping[str, Mapping[str, Any]] | None = None

    @property
    def filters_b1(self) -> bool:
        """Whether the filter file has a say in which B1 scans count."""
        return "b1" in (self.filters or {})

    def __post_init__(self) -> None:
        for name in ("b1_nominal_flip_angle", "b1_scale", "cest_t1", "cest_t2"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < math.inf:
                raise ValueError(f"{name} must be a number above zero, found {value}")
        if self.b1_afi_repetition_times is not None:
            first, second = self.b1_afi_repetition_times
            if not min(first, second) > 0.0 or not max(first, second) < math.inf or first == second:
                raise ValueError(
                    f"b1_afi_repetition_times must be two different numbers above zero, found {first} and {second}"
                )
        if self.excitation_pulse is not None:
            shape, duration = self.excitation_pulse
            if shape not in PULSE_SHAPES or not 0.0 < duration < 1.0:
                raise ValueError(
                    f"excitation_pulse must be one of {', '.join(PULSE_SHAPES)} and a duration in (0, 1) s, found "
                    f"{shape!r} and {duration}"
                )
        if self.cest_off_resonance is not None and not math.isfinite(self.cest_off_resonance):
            raise ValueError(f"cest_off_resonance must be a finite number, found {self.cest_off_resonance}")


@dataclass(frozen=True, kw_only=True)
class SessionFiles:
    """Files from which runs may take maps; none of them has been read.

    Parameters
    ----------
    root
        The dataset.
    b1, fieldmaps
        Images of B1 scans and field maps.
    passed_over
        Sessions of which a filter leaves out all scans of some other kind, one of which may be what the fields are for.
    """

    root: Path = Path()
    b1: tuple[Path, ...] = ()
    fieldmaps: tuple[Path, ...] = ()
    passed_over: frozenset[str | None] = frozenset()
