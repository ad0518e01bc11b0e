"""The node by which two pc-bSSFP runs whose pulses saturate the semisolid pool differently tell its fraction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec, traits
from numpy.typing import NDArray

from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.estimation.base import has_value
from qmri_bids.estimation.one_model.given_pools import RATE, RATE_STDEV
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.pipeline.results.estimate_file import arrays_of
from qmri_bids.pipeline.volumes import load_volume
from qmri_bids.quantity import STDEV
from qmri_bids.scans.transfer.nodes import gain_names
from qmri_bids.units import metres_to_millimetres, millimetres_to_metres

OTHER = "other_run"
"""Input that holds the maps of the other run, and what sentences and figures call them."""

OTHER_MAPS = ("T1", "T2", "M0")
"""Maps of the other run that are brought here. Its off-resonance is known up to multiples of 1/TR and cannot be interpolated."""

WIDTH_IN_VOXELS = 4.0
"""Least width of a neighbourhood over the edge of a voxel: with less, most of a folded cortex has too few that are alike."""

LEAST_NOISE = 0.01
"""Share of the variance of T1 that noise must have beside B1: below it the difference of both is no noise."""

SHOWN = {"rate": "exchange rate", "line": "line", "r1m": "R1", "B1": "B1", "receiver": "receiver", "duration": "pulses"}
"""What the parts of the standard deviation are called."""

Values = NDArray[np.float64]


class _TakeLogsInput(BaseInterfaceInputSpec):
    maps = File(exists=True, mandatory=True, desc="estimate of the other run (npz)")


class _TakeLogsOutput(TraitedSpec):
    maps = File(
        exists=True, desc="logarithms of `OTHER_MAPS` and of their standard deviations, by the names of the maps (npz)"
    )


class TakeLogs(SimpleInterface):
    """Take the logarithms of the maps of the other run, so that interpolation means them as neighbourhoods do.

    T1 of single voxels is skewed by noise and by tissues that meet: its mean lies above that of its logarithm, which only the run
    that is interpolated would have, and F with it.
    """

    input_spec = _TakeLogsInput
    output_spec = _TakeLogsOutput
    needs = NodeMemory(fixed=200e6, per_voxel=100)

    def _run_interface(self, runtime: Any) -> Any:
        stored = arrays_of(Path(self.inputs.maps))
        names = [f"{name}{end}" for name in OTHER_MAPS for end in ("", STDEV) if f"{name}{end}" in stored]
        with np.errstate(all="ignore"):
            logs = {name: np.where(stored[name] > 0.0, np.log(stored[name]), np.nan) for name in names}
        path = Path(runtime.cwd) / "logs.npz"
        np.savez(path, **dict[str, Any](logs))
        self._results["maps"] = str(path)
        return runtime


class _PoolsOfTwoRunsInput(BaseInterfaceInputSpec):
    run = traits.Any(mandatory=True, desc="TransferRun with `other`")
    apparent = File(exists=True, mandatory=True, desc="estimate of the run that is freed (npz)")
    other_run = File(exists=True, mandatory=True, desc="logarithms of maps of the other run on the same grid (npz)")
    mask = File(exists=True, mandatory=True, desc="where to estimate")


class _PoolsOfTwoRunsOutput(TraitedSpec):
    maps = File(
        exists=True, desc="fraction F and rate [1/s] with standard deviations and what they go with, by name (npz)"
    )
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")
    warnings = traits.List(traits.Str, desc="what a reader must know, as sentences")


class PoolsOfTwoRuns(SimpleInterface):
    """Estimate the fraction of the semisolid pool; its rate is that of the literature, with its standard deviation.

    The fraction is a mean of neighbours, so that noise of a single voxel hardly moves it: noise counts in apparent T1, and in the
    fraction as that of the mean. B1, rate, line and R1 of the pool move the fraction and what is freed by it together, and the
    maps say how.
    """

    input_spec = _PoolsOfTwoRunsInput
    output_spec = _PoolsOfTwoRunsOutput
    needs = NodeMemory(fixed=300e6, per_voxel=1500)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.estimation.one_model.transfer import LINE_STDEV, R1_STDEV
        from qmri_bids.estimation.one_model.two_runs import FEWEST_VOXELS, Literature, RunOfWater, two_run_pools

        run = self.inputs.run
        mask, affine = load_volume(self.inputs.mask)
        inside = mask > 0
        seen = arrays_of(Path(self.inputs.apparent))
        other = {name: np.exp(logs) for name, logs in arrays_of(Path(self.inputs.other_run)).items()}
        valued = has_value(seen["status"])
        b1 = seen["b1"].astype(np.float64)
        b1_stdev = seen[f"b1{STDEV}"].astype(np.float64) if f"b1{STDEV}" in seen else np.zeros_like(b1)
        # It only enters the bound of noise, for which that of the other run is as good.
        off_resonance = seen["off_resonance"].astype(np.float64)
        runs, noisy = [], inside & valued
        for maps, scan in ((seen, run.relaxometry), (other, run.other)):
            t1, t2, m0 = (np.where(valued, maps[name], np.nan).astype(np.float64) for name in OTHER_MAPS)
            noise = noise_of_t1(
                maps[f"T1{STDEV}"].astype(np.float64),
                t1=t1,
                t2=t2,
                m0=m0,
                b1=b1,
                b1_stdev=b1_stdev,
                protocol=scan.protocol,
            )
            noisy = noisy & ~(np.isfinite(t1) & ~np.isfinite(noise))
            runs.append(
                RunOfWater(
                    t1=t1,
                    t2=t2,
                    m0=m0,
                    off_resonance=off_resonance,
                    t1_stdev=noise,
                    pulse=scan.pulse,
                    protocol=scan.protocol,
                )
            )
        width = neighbourhood_width(affine)
        found = two_run_pools(
            runs[0],
            runs[1],
            b1=b1,
            b1_stdev=b1_stdev,
            mask=inside,
            voxel_size=_edges(affine),
            width=width,
            literature=Literature(
                line=run.line,
                rate=RATE,
                rate_stdev=RATE_STDEV,
                r1m=run.r1,
                r1m_stdev=R1_STDEV,
                line_stdev=LINE_STDEV * run.line,
            ),
        )
        fraction, stdev = found.fraction, found.stdev
        told = np.isfinite(fraction)
        kept = {
            "MT_fraction": fraction,
            f"MT_fraction{STDEV}": stdev,
            "MT_rate": np.where(told, RATE, np.nan),
            f"MT_rate{STDEV}": np.where(told, RATE_STDEV, np.nan),
            "MT_voxels": found.voxels,
        }
        with np.errstate(all="ignore"):
            kept["MT_correlation"] = np.clip(found.slopes["rate"] / stdev, -1.0, 1.0)
            steps: dict[str, tuple[str, Any]] = {
                "b1": ("B1", b1_stdev),
                "line": ("line", LINE_STDEV),
                "r1": ("r1m", R1_STDEV),
            }
            for known, (name, step) in steps.items():
                if name in found.slopes:
                    of_fraction, of_rate = gain_names(known)
                    kept[of_fraction] = np.where(told, found.slopes[name] / (step * fraction), np.nan)
                    kept[of_rate] = np.zeros_like(fraction)
        path = Path(runtime.cwd) / "pools.npz"
        np.savez(path, **dict[str, Any](kept), affine=affine)
        self._results["maps"] = str(path)
        said = []
        lost = int(np.count_nonzero(inside & valued & ~noisy))
        if lost:
            said.append(
                f"{lost:,} voxels have a standard deviation of T1 that is that of B1 nearly alone, which tells no noise: they "
                "do not enter the semisolid pool."
            )
        if told.any():
            of_mean = ", ".join(
                f"{shown} {float(np.median(part[told])):.4f}"
                for shown, part in (
                    ("noise", found.noise_stdev),
                    *((SHOWN[name], part) for name, part in found.parts.items() if np.any(part[told])),
                )
            )
            said += [
                "The fraction of the semisolid pool is that of regions, not of single voxels: each value is a mean over neighbours "
                f"within {metres_to_millimetres(width):.3g} mm that are alike in T1 and T2, worth "
                f"{np.median(found.voxels[told]):.0f} voxels in the median; where they are worth fewer than {FEWEST_VOXELS} there "
                "is none.",
                f"Its exchange rate ({RATE:g} ± {RATE_STDEV:g} 1/s), R1 ({run.r1:g} ± {R1_STDEV:g} 1/s) and line (G(0) = "
                f"{1e6 * run.line:.3g} µs ± {100.0 * LINE_STDEV:.0f} %) are those of the literature. The standard deviation "
                f"of the fraction holds, in medians: {of_mean}.",
                f"The receiver of the other run was {_gain(found.receiver[told])} times that of this one (median), which was "
                "measured by both and taken out. Off-resonance is that of this run alone; it only weighs the noise.",
                "Noise of the other run and of neighbours enters freed T1 through F; that of the voxel itself counts in its "
                "apparent T1, and its share of F is passed over. Errors of B1, rate, line and R1 move F and what is freed by it "
                "together.",
            ]
        self._results["decisions"] = said
        self._results["warnings"] = (
            [] if told.any() else ["The semisolid pool has no value anywhere: both runs have too few voxels in common."]
        )
        return runtime


def noise_of_t1(
    stdev: Values, *, t1: Values, t2: Values, m0: Values, b1: Values, b1_stdev: Values, protocol: BssfpProtocol
) -> Values:
    """Return the standard deviation of T1 [s] by noise alone, of that by noise and B1; NaN where B1 is all of it."""
    from qmri_bids.estimation.one_model.transfer import apparent_by_b1

    with np.errstate(all="ignore"):
        slope, _ = apparent_by_b1(t1, t2, m0=m0, b1=b1, protocol=protocol)
        left = np.square(stdev) - np.square(slope * b1_stdev)
        return np.sqrt(np.where(left > LEAST_NOISE * np.square(stdev), left, np.nan))


def neighbourhood_width(affine: NDArray[np.floating]) -> float:
    """Return the full width at half maximum of the neighbourhood of a grid [m]: wider where voxels are large.

    Examples
    --------
    >>> neighbourhood_width(np.diag([2.0, 2.0, 2.0, 1.0])), neighbourhood_width(np.diag([4.0, 4.0, 4.0, 1.0]))
    (0.008, 0.016)
    """
    from qmri_bids.estimation.one_model.two_runs import WIDTH

    return max(WIDTH, WIDTH_IN_VOXELS * float(np.cbrt(np.prod(_edges(affine)))))


def _edges(affine: NDArray[np.floating]) -> tuple[float, float, float]:
    """Return the edges of a voxel [m]."""
    x, y, z = (millimetres_to_metres(float(np.linalg.norm(affine[:3, axis]))) for axis in range(3))
    return x, y, z


def _gain(receiver: Values) -> str:
    return f"{float(np.median(receiver)):.3f}"
