"""A small simulated head, its maps and a report made from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from protocol_presets import aptw_3t_000
from written_sentences import said

from qmri_bids.estimation.base import Estimate, Status
from qmri_bids.estimation.estimators import ESTIMATORS
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.physics.saturation_presets import mrf_mt
from qmri_bids.physics.zspectrum import lorentzian_spectrum
from qmri_bids.reports import figure_table as figures
from qmri_bids.reports.content import (
    Check,
    ErrorEntry,
    Figure,
    Level,
    ProtocolRow,
    RunReport,
    Section,
    SubjectReport,
)
from qmri_bids.reports.drawing.spectra import mean_spectrum
from qmri_bids.reports.figures.regions import StatedPanel
from qmri_bids.reports.figures.trajectories import Trajectory
from qmri_bids.reports.methods import methods_text
from qmri_bids.reports.tables import convergence_check, motion_check, quality_rows, statistics_rows


@dataclass(frozen=True, kw_only=True)
class Head:
    """A simulated acquisition of a ball of white matter with a core of CSF."""

    affine: NDArray[np.float64]
    mask: NDArray[np.bool_]
    labels: NDArray[np.int64]
    b1: NDArray[np.float64]
    cycles: NDArray[np.complex128]
    protocol: BssfpProtocol
    estimate: Estimate


@pytest.fixture(scope="session")
def head() -> Head:
    shape = (36, 44, 30)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = [-70.0, -86.0, -58.0]
    x, y, z = np.meshgrid(*[np.linspace(-1.1, 1.1, size) for size in shape], indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    mask = radius < 1.0
    labels = np.where(radius < 0.3, 2, np.where(mask, 1, 0))
    t1, t2 = np.where(labels == 2, 3.5, 0.939), np.where(labels == 2, 1.2, 0.062)
    b1, off_resonance = 1.1 - 0.3 * radius**2, 40.0 * x + 30.0 * y
    protocol = BssfpProtocol.evenly_spaced(
        number_of_cycles=6, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=np.deg2rad(15)
    )
    clean = signal(
        t1,
        t2,
        b1=b1,
        off_resonance=off_resonance,
        m0=np.where(mask, 100.0, 0.0) * np.exp(0.7j),
        protocol=protocol,
    )
    status = np.where(mask, Status.CONVERGED, Status.OUTSIDE).astype(np.uint8)
    status[mask & (z < -0.7)] = Status.LOW_SIGNAL
    values = {"T1": t1, "T2": t2, "M0": np.where(mask, 100.0, 0.0), "off_resonance": off_resonance}
    values = {name: np.where(status == Status.CONVERGED, value, np.nan) for name, value in values.items()}
    estimate = Estimate(
        values=values,
        stdev={name: 0.05 * np.abs(value) for name, value in values.items()},
        residual=np.where(status == Status.CONVERGED, 0.02, np.nan),
        status=status,
    )
    return Head(affine=affine, mask=mask, labels=labels, b1=b1, cycles=clean, protocol=protocol, estimate=estimate)


@pytest.fixture(scope="session")
def all_figures(head: Head) -> tuple[Figure, ...]:
    magnitude = np.abs(head.cycles)
    geometry = {"affine": head.affine, "mask": head.mask}
    motion = np.zeros((6, 6))
    motion[3:, 0] = 0.4e-3
    limit = 1.0 / (2.0 * head.protocol.repetition_time)
    maps = [
        figures.map_figure(values, name=name, window=(-limit, limit) if name == "off_resonance" else None, **geometry)
        for name, values in head.estimate.values.items()
    ]
    maps += [
        figures.map_figure(values, name=f"{name}_stdev", **geometry) for name, values in head.estimate.stdev.items()
    ]
    maps.append(
        figures.map_figure(
            head.estimate.values["T1"],
            name="posterior_T1",
            remark="Prior: uniform.",
            **geometry,
        )
    )
    offsets = np.linspace(-4.0, 4.0, 33)
    shape = {"amplitude": np.array([[0.8, 0.1]]), "width": np.array([[1.5, 2.0]]), "position": np.array([[0.0, 3.5]])}
    spectra = {"white matter": mean_spectrum(lorentzian_spectrum(offsets, **shape))}
    course = np.linspace(1.0, 0.4, mrf_mt().number_of_images)
    stated = StatedPanel(
        title="iohexol, concentration",
        unit="mmol/L",
        column="concentration_mM",
        stated=np.array([20.0, 40.0, 80.0]),
        mean=np.array([21.0, 39.0, np.nan]),
        spread=np.array([1.0, np.nan, np.nan]),
        told=np.array([1.0, 0.3, 0.0]),
        comparable=True,
    )
    none = np.zeros_like(course)
    trajectory = Trajectory(
        median=course,
        lower=course - 0.02,
        upper=course + 0.02,
        fitted=course,
        left=none,
        left_lower=none - 0.02,
        left_upper=none + 0.02,
    )
    profile = figures.profile_figure(head.cycles, estimate=head.estimate, b1=head.b1, protocol=head.protocol)
    assert profile is not None
    return (
        figures.cycles_figure(magnitude, increments=head.protocol.rf_phase_increment, reference=3, **geometry),
        figures.mask_figure(magnitude.mean(axis=-1), **geometry),
        figures.motion_figure(motion, np.array([np.nan, 0, 0, 0.4e-3, 0, 0]), reference=3),
        figures.registration_figure(magnitude.mean(axis=-1), magnitude[..., 0], **geometry),
        figures.registration_figure(
            magnitude.mean(axis=-1),
            magnitude[..., 0],
            moving_name="anatomical image of the T1 scan",
            key="registration-t1",
            title="Registration of the T1 map",
            section=Section.REGISTRATION,
            **geometry,
        ),
        figures.saturation_figure(aptw_3t_000()),
        figures.series_figure(magnitude, labels=[f"{number} ppm" for number in range(6)], **geometry),
        figures.spectrum_figure(offsets, spectra),
        figures.trajectory_figure({"MT": mrf_mt()}, {"white matter": (trajectory,)}),
        figures.stated_figure([stated], source="tubes.tsv"),
        figures.map_figure(head.b1, name="b1", **geometry),
        *maps,
        figures.map_figure(head.estimate.residual, name="residual", **geometry),
        figures.histogram_figure(
            head.estimate.values,
            mask=head.mask,
            labels=head.labels,
            label_names={1: "white matter", 2: "CSF"},
        ),
        figures.quality_figure(head.estimate.status, affine=head.affine),
        profile,
    )


@pytest.fixture(scope="session")
def report(head: Head, all_figures: tuple[Figure, ...]) -> SubjectReport:
    quality = quality_rows(head.estimate.status)
    text, references = methods_text(
        [
            said("Results in this report come from", version="0.1.0"),
            said("steady state of a single pool"),
            *ESTIMATORS["linear"].methods[:1],
            said("Voxels without a valid estimate"),
        ]
    )
    run = RunReport(
        title="pc-bSSFP relaxometry",
        session="1",
        entities={"acq": "pcbssfp"},
        checks=(
            convergence_check(quality),
            motion_check(np.array([0.0, 0.4e-3]), voxel_size=4e-3, remaining=np.zeros(2)),
            Check(name="Phase", value="absolute", level=Level.INFO),
        ),
        protocol=(ProtocolRow(key="Echo time", value="2.40", unit="ms", source="sub-01_VFA.json: EchoTime"),),
        decisions=("The phase was read as radians.",),
        warnings=("EchoTime is missing: TR/2 was taken.",),
        figures=all_figures,
        quality=quality,
        statistics=statistics_rows(head.estimate.values, mask=head.mask, labels=head.labels),
        outputs=("sub-01/ses-1/anat/sub-01_ses-1_acq-pcbssfp_T1map.nii.gz",),
    )
    return SubjectReport(
        participant="01",
        version="0.1.0",
        command="qmri_bids /data /out participant",
        created="2025-11-21T10:20:00+00:00",
        software={"numpy": "2.3.5"},
        runs=(run,),
        refusals=("sub-01_run-2: RFPhaseIncrement: expected 6 values, found 5; add the missing one.",),
        errors=(ErrorEntry(title="B1", message="sub-01_TB1TFL.nii.gz is empty", advice="Copy it again."),),
        methods=text,
        references=references,
        duration=605.0,
        exit_status=0,
    )
