"""Laws of the table of maps: what a row must hold, and what follows from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qmri_bids.bids.names import output_path, outputs
from qmri_bids.bids.provenance import map_metadata
from qmri_bids.cli.parsing.parser import build_parser
from qmri_bids.estimation.b0_maps import wasabi_maps, wassr_maps
from qmri_bids.estimation.base import EstimatorOptions, KnownMaps
from qmri_bids.estimation.bssfp.posterior.maps import POSTERIOR_MAPS
from qmri_bids.estimation.estimators import ESTIMATORS
from qmri_bids.estimation.mt.maps import SpoiledProtocol, mtr, mtsat
from qmri_bids.estimation.pools.posterior import EXCHANGE_PRIORS
from qmri_bids.estimation.spectra.lorentzian.fit import POOLS
from qmri_bids.estimation.spectra.maps import ZSpectrumOptions, zspectrum_maps
from qmri_bids.physics import fingerprint as exchange_scan
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.physics.published_pools import AMIDE, MT
from qmri_bids.physics.saturation_presets import multipool_3t_001, wasabi_3t_001
from qmri_bids.physics.sequences import PRESETS
from qmri_bids.pipeline.options import BANDING_FREE, EXCHANGE_POSTERIOR_PRIORS, POSTERIOR_PRIORS
from qmri_bids.priors.relaxation import PRIORS
from qmri_bids.quantities import (
    KNOWN_QUANTITIES,
    QUANTITIES,
    ROWS,
    all_files,
    find_quantity,
    get_quantity,
)
from qmri_bids.quantity import KNOWN, POSTERIOR, STDEV, Quantity, at_offset, known, posterior, posterior_stdev, stdev
from qmri_bids.reports.content import Section
from qmri_bids.reports.drawing.colormaps import color_table
from qmri_bids.reports.references import REFERENCES
from qmri_bids.scans.pools.offers import CHECKS

every = pytest.mark.parametrize("quantity", ROWS, ids=lambda quantity: quantity.name)
spread = pytest.mark.parametrize("quantity", [row for row in ROWS if row.spread], ids=lambda quantity: quantity.name)
with_posterior = pytest.mark.parametrize(
    "quantity", [row for row in ROWS if row.posterior], ids=lambda quantity: quantity.name
)
taken = pytest.mark.parametrize("quantity", KNOWN_QUANTITIES.values(), ids=lambda quantity: quantity.name)

SHOWN_FACTOR = {"ms": 1e3, "%": 1e2}
"""Units on display that are not those inside the package."""


def check_file_and_display(quantity: Quantity) -> None:
    """Check that a map can be written and shown."""
    file, display = quantity.written, quantity.display
    assert quantity.label
    assert quantity.symbol
    assert file.description.endswith(".")
    assert file.convert(0.5) == pytest.approx(50.0 if file.unit == "percent" else 0.5)
    assert display.convert(0.5) == pytest.approx(0.5 * SHOWN_FACTOR.get(display.unit, 1.0))
    assert display.section in set(Section)
    assert display.window is None or display.window[0] < display.window[1]
    assert output_path(Path(), entities={"sub": "01"}, output=file.key, desc=file.desc).name.endswith(
        f"_{file.suffix}.nii.gz"
    )
    assert map_metadata(file.key, sources=[])["Units"] == file.unit


def test_names_are_unique_and_say_no_more_than_the_map() -> None:
    assert len(QUANTITIES) == len(ROWS)
    assert len({quantity.argument for quantity in ROWS}) == len(ROWS)
    for name in QUANTITIES:
        assert name.isidentifier()
        assert not name.startswith((POSTERIOR, KNOWN))
        assert not name.endswith(STDEV)


def test_no_two_files_share_a_name() -> None:
    files = {file.key: file for file in all_files()}
    # The amplitude of two spoiled echoes is an M0, and the residual is shown in two ways.
    assert all(files[file.key] == file for file in all_files())
    assert len({(file.folder, file.suffix, file.desc) for file in files.values()}) == len(files)
    assert set(files) <= set(outputs())


def test_suffixes_and_units_are_those_of_bids() -> None:
    from bidsschematools.schema import load_schema

    suffixes = load_schema().objects.suffixes
    for file in all_files():
        assert (file.suffix in suffixes) == file.in_bids, file.key
        stated = suffixes[file.suffix].get("unit") if file.in_bids else None
        if stated is not None:
            # Where BIDS leaves the unit open, a ratio is written in percent.
            assert file.unit == stated or (stated, file.unit) == ("arbitrary", "percent"), file.key
        assert file.unit in {"s", "1/s", "Hz", "percent", "1", "arbitrary", "mmol/L"}, file.key


@every
def test_every_map_has_what_its_file_and_its_display_need(quantity: Quantity) -> None:
    check_file_and_display(quantity)
    assert color_table(quantity.display.colormap).shape == (256, 3)
    assert set(quantity.references) <= set(REFERENCES)
    assert (quantity.algorithm is None) == (not quantity.references)
    assert find_quantity(quantity.name) is quantity


@spread
def test_a_standard_deviation_has_the_place_and_the_units_of_its_map(quantity: Quantity) -> None:
    found = stdev(quantity)
    check_file_and_display(found)
    assert found.name == f"{quantity.name}{STDEV}"
    assert find_quantity(found.name) == found
    own, other = quantity.written, found.written
    assert (own.suffix, own.folder, own.unit, own.convert) == (other.suffix, other.folder, other.unit, other.convert)
    assert (quantity.display.unit, "uncertainty") == (found.display.unit, found.display.section)
    assert (found.display.window is None) == (quantity.display.window is None)


@with_posterior
def test_a_posterior_can_be_had_under_every_prior_of_its_map(quantity: Quantity) -> None:
    assert quantity.posterior is not None
    pool = quantity.name not in POSTERIOR_MAPS
    assert set(quantity.posterior.priors) <= set(EXCHANGE_PRIORS if pool else PRIORS)
    assert quantity.posterior.priors == (EXCHANGE_POSTERIOR_PRIORS if pool else POSTERIOR_PRIORS)
    for prior in quantity.posterior.priors:
        for found, base in (
            (posterior(quantity, prior=prior), quantity),
            (posterior_stdev(quantity, prior=prior), stdev(quantity)),
        ):
            check_file_and_display(found)
            assert found.name == f"{POSTERIOR}{base.name}"
            assert find_quantity(found.name, prior=prior) == found
            assert f"'{prior}'" in found.written.description
            assert (found.display.window, found.display.colormap) == (base.display.window, base.display.colormap)
    shown = find_quantity(f"{POSTERIOR}{quantity.name}")
    assert shown is not None
    with pytest.raises(ValueError, match="expected a map with a file, found one that is only shown"):
        _ = shown.written
    with pytest.raises(ValueError, match=r"expected a posterior under one of its priors \(uniform.*found flat"):
        posterior(quantity, prior="flat")


def test_the_maps_that_estimations_take_are_those_of_the_physics() -> None:
    assert tuple(KNOWN_QUANTITIES) == exchange_scan.KNOWN
    assert set(CHECKS) == set(exchange_scan.KNOWN)


@taken
def test_a_known_map_has_a_transform_and_its_option_exists(quantity: Quantity) -> None:
    found = known(quantity)
    check_file_and_display(found)
    assert outputs()[quantity.taken.transform].kind == "transform"
    options = {name for action in build_parser()._actions for name in action.option_strings}
    assert quantity.taken.option is None or quantity.taken.option in options
    assert quantity.bare_phrase in quantity.in_sentence


def test_the_asymmetry_says_its_offset() -> None:
    asymmetry = QUANTITIES["MTRasym"]
    assert find_quantity("MTRasym_2") == at_offset(asymmetry, 2.0)
    labels = {offset: at_offset(asymmetry, offset).written.desc for offset in (3.5, 2.0, 1.25)}
    assert labels == {3.5: "asymAPT", 2.0: "asym2p0", 1.25: "asym1p25"}
    assert stdev(at_offset(asymmetry, 2.0)).written.desc == "asym2p0std"
    check_file_and_display(stdev(at_offset(asymmetry, 2.0)))


def test_what_is_no_map_is_not_found() -> None:
    for name in ("", "T3", "T1_stdev_stdev", "posterior_R1", "residual_stdev", "MTRasym_x", "MTRasym_", "known_T1"):
        assert find_quantity(name) is None, name
    with pytest.raises(ValueError, match=r"expected a map that has a row in qmri_bids.quantities, found 'T3'"):
        get_quantity("T3")
    with pytest.raises(ValueError, match="residual: expected a map with a standard deviation, found one without"):
        stdev(QUANTITIES["residual"])
    with pytest.raises(ValueError, match="MTR: expected a map that estimations take, found one that none takes"):
        known(QUANTITIES["MTR"])


def returned_maps() -> dict[str, bool]:
    """Return the maps that the estimators return by their names: whether each comes with a standard deviation."""
    one = np.ones(40)
    bssfp = BssfpProtocol.evenly_spaced(number_of_cycles=8, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=0.26)
    cycles = signal(1.0 * one, 0.08 * one, b1=one, off_resonance=10.0 * one, protocol=bssfp, m0=one)
    known_b1 = KnownMaps(b1=one)
    # Fluid is accounted for where the noise can be told.
    noisy = np.concatenate([cycles, cycles]) + 1e-3 * np.random.default_rng(0).normal(size=(80, 8))
    placed = KnownMaps(b1=np.ones(80), inside=np.ones((5, 4, 4), dtype=bool))
    estimates = [
        *(
            ESTIMATORS[name].create(EstimatorOptions()).estimate(cycles, protocol=bssfp, known=known_b1)
            for name in ("linear", "ml")
        ),
        ESTIMATORS["ml"].create(EstimatorOptions()).estimate(noisy, protocol=bssfp, known=placed),
        mtr(0.6 * one[:, None], one[:, None], noise=0.01),
        mtsat(
            *(0.05 * one, 0.03 * one, 0.04 * one),
            protocols=tuple(SpoiledProtocol(flip_angle=angle, repetition_time=0.025) for angle in (0.1, 0.37, 0.1)),
            known=known_b1,
            noise=1e-4,
        ),
    ]
    found = {name: name in estimate.stdev for estimate in estimates for name in estimate.values}
    wasabi, spectrum = wasabi_3t_001(), multipool_3t_001()
    roles = {
        protocol: tuple("m0" if image.is_m0 else "cest" for image in protocol.images) for protocol in (wasabi, spectrum)
    }
    offsets = np.array([0.0 if image.is_m0 else image.offset for image in spectrum.images])
    water = 1000.0 * (1.0 - np.array([not image.is_m0 for image in spectrum.images]) * 0.8 / (1.0 + offsets**2))
    series = water + np.random.default_rng(0).normal(size=(40, len(water)))
    for maps in (
        wasabi_maps(1000.0 + np.zeros((40, len(wasabi.images))), protocol=wasabi, roles=roles[wasabi], noise=10.0).maps,
        wassr_maps(series, protocol=spectrum, roles=roles[spectrum], noise=1.0).maps,
        zspectrum_maps(
            series,
            protocol=spectrum,
            roles=roles[spectrum],
            t1=one,
            noise=1.0,
            options=ZSpectrumOptions(
                asymmetry=(3.5, 2.0),
                ranges=((3.0, 4.0),),
                pools=tuple(POOLS),
                measures=("three-offset", "lda", "rex", "emr"),
            ),
        ).maps,
        zspectrum_maps(
            series,
            protocol=spectrum,
            roles=roles[spectrum],
            noise=1.0,
            options=ZSpectrumOptions(pools=(), measures=("rex",)),
        ).maps,
    ):
        found |= {name: spread is not None for name, (_, spread) in maps.items()}
    return found


def test_every_map_that_an_estimator_returns_has_a_row() -> None:
    found = returned_maps()
    for name, has_stdev in found.items():
        assert not has_stdev or get_quantity(name).spread is not None, name
        check_file_and_display(get_quantity(name))
    pools = {f"{pool}_{what}" for pool in (AMIDE, MT) for what in (*exchange_scan.QUANTITIES, "correlation")}
    solutes = {f"solute_{what}" for what in (*exchange_scan.QUANTITIES, "correlation", "concentration")}
    solutes |= {"water_T1", "water_T2"}  # fitted along with pools
    made_elsewhere = {"off_resonance_unwrapped", "residual", "residual_spectrum", "MTRasym", "noise", "misfit"}
    freed = {"mtcorrected_T1", "free_T1", "free_M0"}  # of magnetisation transfer, from maps of two runs
    assert all(get_quantity(name).spread is not None for name in freed)
    names = {"MTRasym" if name.startswith("MTRasym") else "rex_" if name.startswith("rex_") else name for name in found}
    of_any_pool = {"amplitude_", "arex_"}
    images = {f"synthetic_{name}" for name in PRESETS} | {f"bandfree_{way}" for way in BANDING_FREE}
    assert all(get_quantity(name).spread is not None for name in images)
    assert names | pools | solutes | of_any_pool | freed | made_elsewhere | images == set(QUANTITIES)


def test_the_command_line_loads_no_numpy_with_the_table() -> None:
    code = "import sys, qmri_bids.quantities; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
