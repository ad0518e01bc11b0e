"""The nodes that free T1 and M0 of magnetisation transfer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec, traits
from numpy.typing import NDArray

from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.estimation.base import PAIRS, Status, has_value
from qmri_bids.physics.excitation.transfer import LONGEST_T1
from qmri_bids.physics.published_pools import MT
from qmri_bids.pipeline.results.estimate_file import CONSTANT, JOINT, arrays_of, save_estimate
from qmri_bids.pipeline.volumes import load_volume, save_volume
from qmri_bids.pipeline.voxels import Voxels
from qmri_bids.quantity import STDEV
from qmri_bids.scans.pools.estimates import GAINS
from qmri_bids.scans.saturation.estimates import EstimateInput, EstimateOutput

POOL_MAPS = ("MT_fraction", "MT_rate", "MT_correlation", *GAINS)
"""What is taken of the pools where it is there, with the standard deviations of the first two."""


def gain_names(known: str) -> tuple[str, str]:
    """Return the names of maps that say how the logarithms of fraction and rate of the pool change with something known."""
    return f"{MT}_fraction_by_{known}", f"{MT}_rate_by_{known}"


class _LoadApparentInput(BaseInterfaceInputSpec):
    magnitude = File(exists=True, mandatory=True, desc="mean magnitude of the pc-bSSFP run")


class _LoadApparentOutput(TraitedSpec):
    series = File(exists=True, desc="the same as a series of one volume")
    noise = traits.Either(traits.Float, None, desc="None: the maps bring their own standard deviations")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")
    warnings = traits.List(traits.Str, desc="what a reader must know, as sentences")


class LoadApparent(SimpleInterface):
    """Take the image in which the head of a pc-bSSFP run is found."""

    input_spec = _LoadApparentInput
    output_spec = _LoadApparentOutput
    needs = NodeMemory(fixed=220e6, per_voxel=16)

    def _run_interface(self, runtime: Any) -> Any:
        image, affine = load_volume(self.inputs.magnitude)
        path = save_volume(Path(runtime.cwd) / "image.nii", np.asarray(image, np.float32)[..., np.newaxis], affine)
        self._results["series"] = path
        self._results["noise"] = None
        self._results["decisions"], self._results["warnings"] = [], []
        return runtime


class _ReadPoolsInput(BaseInterfaceInputSpec):
    maps = File(exists=True, mandatory=True, desc="maps of the semisolid pool as stored, by name (npz) with `affine`")
    stored = traits.Any(mandatory=True, desc="what their values mean: `run.StoredPool`")


class _ReadPoolsOutput(TraitedSpec):
    maps = File(exists=True, desc="fraction F and rate [1/s] with standard deviations by name (npz) with `affine`")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")


class ReadPools(SimpleInterface):
    """Make fraction and rate of the semisolid pool of maps in files."""

    input_spec = _ReadPoolsInput
    output_spec = _ReadPoolsOutput
    needs = NodeMemory(fixed=200e6, per_voxel=100)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.estimation.one_model.given_pools import given_pools

        meant = self.inputs.stored
        with np.load(self.inputs.maps) as file:
            maps = {name: file[name] for name in file.files}
        spread = maps.get(f"MT_fraction{STDEV}")
        found = given_pools(
            meant.unit * maps["MT_fraction"],
            measure=meant.measure,
            stdev=None if spread is None else meant.stdev_unit * spread,
            rate=maps.get("MT_rate"),
            rate_stdev=maps.get(f"MT_rate{STDEV}"),
        )
        kept = {
            "MT_fraction": found.fraction,
            f"MT_fraction{STDEV}": found.fraction_stdev,
            "MT_rate": found.rate,
            f"MT_rate{STDEV}": found.rate_stdev,
        }
        if "MT_correlation" in maps:
            kept["MT_correlation"] = maps["MT_correlation"]
        path = Path(runtime.cwd) / "pools.npz"
        np.savez(path, **dict[str, Any](kept), affine=maps["affine"])
        self._results["maps"] = str(path)
        self._results["decisions"] = (
            [f"{found.impossible:,} voxels hold a fraction of the semisolid pool of one and more: they have no value."]
            if found.impossible
            else []
        )
        return runtime


class _FreeOfTransferInput(EstimateInput):
    apparent = File(exists=True, mandatory=True, desc="estimate of the pc-bSSFP run (npz)")
    pools = File(exists=True, mandatory=True, desc="semisolid pool on the grid of that run (npz)")


class FreeOfTransfer(SimpleInterface):
    """Free T1 and M0 of magnetisation transfer in every voxel of the mask that has both."""

    input_spec = _FreeOfTransferInput
    output_spec = EstimateOutput
    needs = NodeMemory(fixed=300e6, per_voxel=400)

    def _run_interface(self, runtime: Any) -> Any:
        from qmri_bids.estimation.one_model.transfer import ApparentMaps, SemisolidPool, freed_of_transfer

        run = self.inputs.run
        voxels = Voxels(self.inputs.mask)
        seen, pools = arrays_of(Path(self.inputs.apparent)), arrays_of(Path(self.inputs.pools))
        voxels.keep(seen["status"] != Status.OUTSIDE, "lie outside of where the cycles were estimated")

        def of(stored: dict[str, NDArray[Any]], name: str) -> NDArray[np.float64]:
            return stored[name][voxels.inside].astype(np.float64)

        def gain(known: str) -> NDArray[np.float64] | None:
            names = [name for name in gain_names(known) if name in pools]
            return np.stack([np.nan_to_num(of(pools, name)) for name in names]) if names else None

        def known(name: str) -> NDArray[np.float64] | None:
            return of(seen, name) if name in seen else None

        b1_stdev = known(f"b1{STDEV}")
        t2_stdev = known(f"T2{STDEV}")
        with_t2 = [pair for pair in PAIRS[:3] if "T2" in pair and f"{JOINT}{'_'.join(pair)}" in seen]
        correlation = (
            of(pools, "MT_correlation") if "MT_correlation" in pools else np.zeros(np.count_nonzero(voxels.inside))
        )
        found = freed_of_transfer(
            ApparentMaps(
                t1=of(seen, "T1"),
                t1_stdev=of(seen, f"T1{STDEV}"),
                t2=of(seen, "T2"),
                m0=of(seen, "M0"),
                m0_stdev=of(seen, f"M0{STDEV}"),
                b1=of(seen, "b1"),
                b1_stdev=b1_stdev,
                t2_stdev=t2_stdev,
                correlation={pair: of(seen, f"{JOINT}{'_'.join(pair)}") for pair in with_t2},
            ),
            pool=SemisolidPool(
                fraction=of(pools, "MT_fraction"),
                fraction_stdev=of(pools, f"MT_fraction{STDEV}"),
                rate=of(pools, "MT_rate"),
                rate_stdev=of(pools, f"MT_rate{STDEV}"),
                correlation=correlation,
                line=run.line,
                r1=run.r1,
                by_t1=gain("t1"),
                by_b1=gain("b1"),
                by_line=gain("line"),
                by_r1=gain("r1"),
            ),
            pulse=run.relaxometry.pulse,
            protocol=run.relaxometry.protocol,
        )
        apparent = of(seen, "status").astype(np.uint8)
        status = np.where(np.isfinite(found.recovery_t1), apparent, Status.NO_ROOT).astype(np.uint8)
        needed = ("MT_fraction", f"MT_fraction{STDEV}", "MT_rate", f"MT_rate{STDEV}")
        told = np.all([np.isfinite(of(pools, name)) for name in needed], axis=0)
        # A pool that nearly contradicts the apparent T1 leaves next to no recovery of water itself.
        status[found.free_t1 > LONGEST_T1] = Status.OUT_OF_RANGE
        status[~told] = Status.NOT_IDENTIFIABLE
        status[~has_value(apparent)] = Status.INVALID_INPUT
        good = has_value(status)

        def kept(values: NDArray[np.float64]) -> NDArray[np.float32]:
            return np.where(good, values, np.nan).astype(np.float32)

        constants: dict[str, Any] = {name: value for name, value in seen.items() if name.startswith(CONSTANT)}
        # Two runs of relaxation have told it here; a map of another run or of a file is that one's.
        own_fraction = (kept(of(pools, "MT_fraction")), kept(of(pools, f"MT_fraction{STDEV}")))
        self._results["estimate"] = save_estimate(
            Path(runtime.cwd) / "estimate.npz",
            voxels,
            maps={
                "mtcorrected_T1": (kept(found.recovery_t1), kept(found.recovery_t1_stdev)),
                "free_T1": (kept(found.free_t1), kept(found.free_t1_stdev)),
                "free_M0": (kept(found.free_m0), kept(found.free_m0_stdev)),
            }
            | ({"MT_fraction": own_fraction} if run.other is not None else {}),
            known={
                "T1": (of(seen, "T1").astype(np.float32), of(seen, f"T1{STDEV}").astype(np.float32)),
                "T2": (of(seen, "T2").astype(np.float32), t2_stdev),
                "M0": (of(seen, "M0").astype(np.float32), of(seen, f"M0{STDEV}").astype(np.float32)),
            }
            | ({"MT_fraction": (of(pools, "MT_fraction").astype(np.float32), None)} if run.other is None else {}),
            residual=np.full(len(status), np.nan, dtype=np.float32),
            status={"": status},
            # Fluid beside tissue is that of the apparent maps; errors go together anew.
            volumes={name: of(seen, name) for name in seen if name.startswith(JOINT)}
            | ({} if not with_t2 else _together(seen, found.correlation, inside=voxels.inside)),
            **constants,
        )
        without = int(np.count_nonzero(has_value(apparent) & ~told))
        said = list(voxels.decisions)
        if without:
            share = 100.0 * without / len(status)
            why = (
                "fluid, or its fraction and rate cannot be told apart"
                if run.other is None
                else "too few neighbours are alike, or the other run has no value"
            )
            said.append(
                f"{without:,} voxels ({share:.1f} %) have an apparent T1, but no value of the semisolid pool there ({why}): they "
                "have no freed T1."
            )
        change = _changes(
            of(seen, "T1"), np.where(good, found.recovery_t1, np.nan), np.where(good, found.free_t1, np.nan)
        )
        self._results["decisions"] = [*said, *change]
        self._results["warnings"] = [] if good.any() else ["No voxel has both an apparent T1 and a semisolid pool."]
        return runtime


def _together(
    seen: dict[str, NDArray[Any]],
    freed: Mapping[tuple[str, str], NDArray[np.float64]],
    *,
    inside: NDArray[np.bool_],
) -> dict[str, NDArray[np.float64]]:
    """Return correlations by their names in the estimate: those of the apparent maps where there is no freed T1."""
    found = {}
    for pair, each in freed.items():
        name = f"{JOINT}{'_'.join(pair)}"
        found[name] = np.where(np.isfinite(each), each, seen[name][inside])
    return found


def _changes(apparent: NDArray[np.float64], recovery: NDArray[np.float64], free: NDArray[np.float64]) -> list[str]:
    both = np.isfinite(apparent) & np.isfinite(recovery)
    if not both.any():
        return []
    higher, free_higher = (100.0 * float(np.median(each[both] / apparent[both] - 1.0)) for each in (recovery, free))
    return [
        f"T1 as an inversion recovery sees it is {higher:.1f} % above the apparent T1 of bSSFP, that of free water "
        f"{free_higher:.1f} % "
        "(medians)."
    ]
