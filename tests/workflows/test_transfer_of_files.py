"""From cycles that the Bloch equations of two pools give, and maps of the pool in files, to T1 of an inversion recovery."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qmri_bids.phantom.signals.bloch.sequence import PulseSequence, RfPulse, TwoPools
from qmri_bids.phantom.signals.bloch.simulate import simulate_cycles
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.excitation.transfer import Relaxometry, line_on_resonance
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.physics.published_pools import PUBLISHED_POOLS
from qmri_bids.pipeline.maps.nodes import LoadMaps
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.sources import Take
from qmri_bids.pipeline.volumes import save_volume
from qmri_bids.scans.bssfp.workflow import EstimateRelaxation
from qmri_bids.scans.transfer.nodes import FreeOfTransfer, ReadPools
from qmri_bids.scans.transfer.run import POOLS, RELAXOMETRY, StoredPool, TransferRun
from qmri_bids.scans.transfer.workflow import TRANSFER, init_transfer_wf

SHAPE = (6, 5, 4)
FRACTION, RATE, T1 = 0.12, 29.0, 0.94
"""Of white matter: F, rate from the semisolid pool to water [1/s], and T1 that an inversion recovery finds [s]."""

LINE = 40e-6 / math.pi
PROTOCOL = BssfpProtocol.evenly_spaced(
    number_of_cycles=8, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15.0)
)
PULSE = ExcitationPulse.of("rect", 1e-3)
SHARE = StoredPool(measure="share", title="MPF", unit=0.01, stdev_unit=0.01, names=("MT_fraction",))


def freed_run(folder: Path, *, stored: StoredPool = SHARE, image: Path | None = None, **stdev: Path) -> TransferRun:
    path = folder / "sub-01_MPFmap.nii"
    return TransferRun(
        entities={"sub": "01", "acq": "pcbssfpMT"},
        relaxometry=Relaxometry(pulse=PULSE, protocol=PROTOCOL),
        scan=Take(names=("t1", "t2"), key=RELAXOMETRY, method="pcbssfp", run="sub-01_acq-pcbssfp"),
        pools=Take(
            names=(),
            key=POOLS,
            method="maps",
            files={"MT_fraction": path},
            stdev_files=stdev,
            image=image,
            sentence="x",
        ),
        line=LINE,
        line_name="Lorentzian",
        r1=None,
        images=(folder / "sub-01_acq-pcbssfp_VFA.nii",),
        b1=None,
        grid=SHAPE,
        stored=stored,
    )


@pytest.fixture(scope="module")
def apparent(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """White matter whose field grows over one period of 1/TR, fitted as one pool."""
    folder, voxels = tmp_path_factory.mktemp("scan"), math.prod(SHAPE)
    pools = TwoPools(fraction=FRACTION, exchange_rate=FRACTION * RATE, r1=None, line=LINE)
    sequence = PulseSequence(
        repetition_time=PROTOCOL.repetition_time,
        echo_time=PROTOCOL.echo_time,
        flip_angle=PROTOCOL.flip_angle,
        increments=tuple(PROTOCOL.rf_phase_increment),
        pulse=RfPulse.rect(1e-3),
    )
    field = np.repeat(np.linspace(-90.0, 90.0, SHAPE[0]), voxels // SHAPE[0])
    free = pools.free_t1(np.full(voxels, T1))
    cycles = simulate_cycles(free, 0.062, 1.0, field, np.ones(voxels, complex), sequence=sequence, pools=pools)
    rng = np.random.default_rng(1)
    cycles += 1e-4 * rng.standard_normal((*cycles.shape, 2)).view(complex)[..., 0]
    path = save_volume(folder / "cycles.nii", cycles.reshape(*SHAPE, 8).astype(np.complex64), np.eye(4))
    mask = save_volume(folder / "mask.nii", np.ones(SHAPE, dtype=bool), np.eye(4))
    node = EstimateRelaxation(protocol=PROTOCOL, estimator="ml", cycles=path, mask=mask, pulse=PULSE)
    return {"estimate": node.run(cwd=str(folder)).outputs.estimate, "series": path, "mask": mask}


def freed(apparent: dict[str, str], folder: Path, *, stored: StoredPool = SHARE, **maps: Any) -> Any:
    """Return what the nodes make of maps in files, and what they say."""
    files = {
        name: save_volume(folder / f"{name}.nii", np.asarray(each, np.float32), np.eye(4))
        for name, each in maps.items()
    }
    spread = {name.removesuffix("_stdev"): path for name, path in files.items() if name.endswith("_stdev")}
    own = {name: path for name, path in files.items() if not name.endswith("_stdev")}
    loaded = LoadMaps(files=own, stdev_files=spread).run(cwd=str(folder)).outputs
    read = ReadPools(maps=loaded.maps, stored=stored).run(cwd=str(folder)).outputs
    node = FreeOfTransfer(
        run=freed_run(folder, stored=stored),
        series=apparent["series"],
        mask=apparent["mask"],
        apparent=apparent["estimate"],
        pools=read.maps,
    )
    found = node.run(cwd=str(folder)).outputs
    return dict(np.load(found.estimate)), [*loaded.decisions, *read.decisions, *found.decisions]


def test_a_proton_fraction_in_percent_frees_t1(apparent: dict[str, str], tmp_path: Path) -> None:
    """Against the Bloch equations of two pools, which share no code with what frees T1."""
    percent = np.full(SHAPE, 100.0 * FRACTION / (1.0 + FRACTION))
    percent[0, 0, 0] = 120.0
    before = np.load(apparent["estimate"])["T1"]
    assert np.nanmedian(before) < 0.9 * T1
    maps, said = freed(apparent, tmp_path, MT_fraction=percent)
    t1, stdev = maps["mtcorrected_T1"], maps["mtcorrected_T1_stdev"]
    assert abs(np.nanmedian(t1) / T1 - 1.0) < 0.005
    assert np.isnan(t1[0, 0, 0])
    assert np.count_nonzero(np.isnan(t1)) == 1
    assert any("1 voxels hold a fraction of the semisolid pool of one and more" in each for each in said)
    # 20 % of the fraction, half of the rate and a fifth of the line: some 4 % of T1, a third of what was corrected.
    assert 0.02 < np.nanmedian(stdev) / T1 < 0.06


def test_a_standard_deviation_in_a_file_takes_the_place_of_the_assumed_one(
    apparent: dict[str, str], tmp_path: Path
) -> None:
    stored = StoredPool(
        measure="ratio", title="F", unit=1.0, stdev_unit=1.0, names=("MT_fraction", "MT_rate", "MT_correlation")
    )
    own = {
        "MT_fraction": np.full(SHAPE, FRACTION),
        "MT_rate": np.full(SHAPE, RATE),
        "MT_correlation": np.full(SHAPE, -0.5),
    }
    stdev = {}
    for name, relative in (("assumed", None), ("told", 0.02), ("wide", 0.4)):
        folder = tmp_path / name
        folder.mkdir()
        more = (
            {} if relative is None else {f"{each}_stdev": relative * own[each] for each in ("MT_fraction", "MT_rate")}
        )
        maps, _ = freed(apparent, folder, stored=stored, **own, **more)
        assert abs(np.nanmedian(maps["mtcorrected_T1"]) / T1 - 1.0) < 0.005
        stdev[name] = np.nanmedian(maps["mtcorrected_T1_stdev"])
    assert stdev["told"] < 0.9 * stdev["assumed"] < 0.9 * stdev["wide"]


def test_a_rate_that_is_wrong_by_half_hardly_matters(apparent: dict[str, str], tmp_path: Path) -> None:
    """Why a rate of the literature serves."""
    stored = StoredPool(measure="ratio", title="F", unit=1.0, stdev_unit=1.0, names=("MT_fraction", "MT_rate"))
    for wrong in (0.67, 1.5):
        maps, _ = freed(
            apparent,
            tmp_path,
            stored=stored,
            MT_fraction=np.full(SHAPE, FRACTION),
            MT_rate=np.full(SHAPE, wrong * RATE),
        )
        assert abs(np.nanmedian(maps["mtcorrected_T1"]) / T1 - 1.0) < 0.01


def test_the_line_of_files_is_that_of_the_published_pools() -> None:
    assert PUBLISHED_POOLS.mt is not None
    assert line_on_resonance(PUBLISHED_POOLS.mt) == pytest.approx(LINE)


def methods_of(run: TransferRun, options: ProcessingOptions) -> str:
    return " ".join(sentence.text.format(**sentence.values) for sentence in TRANSFER.methods([run], options))


def test_the_workflow_reads_files_and_asks_no_run_for_pools(tmp_path: Path) -> None:
    places = {"bids_dir": tmp_path, "output_dir": tmp_path / "out", "report_file": tmp_path / "report"}
    options = ProcessingOptions(estimator="ml")
    run = freed_run(tmp_path)
    workflow = init_transfer_wf(run=run, options=options, **places)
    assert workflow.get_node("load_pools").inputs.files == {"MT_fraction": str(tmp_path / "sub-01_MPFmap.nii")}
    assert workflow.get_node("read_pools").inputs.stored == SHARE
    fields = workflow.get_node("inputnode").inputs.copyable_trait_names()
    assert "pcbssfp_maps" in fields
    assert "pools_maps" not in fields
    said = methods_of(run, options)
    assert "came from sub-01_MPFmap.nii (MPF), with an exchange rate of 30 ± 15 1/s, taken from the literature" in said
    assert "by the coordinates of the scanner" in said
    image = tmp_path / "sub-01_desc-preproc_T1w.nii"
    said = methods_of(freed_run(tmp_path, image=image), options)
    assert "it was rigidly registered to sub-01_acq-pcbssfp" in said
