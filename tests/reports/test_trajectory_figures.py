"""The picture of measured and fitted trajectories."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from qmri_bids.physics.saturation_presets import mrf_amide, mrf_mt, multipool_3t_001
from qmri_bids.reports.content import Section
from qmri_bids.reports.drawing.encode import DOTS_PER_INCH
from qmri_bids.reports.drawing.planes import WIDTH
from qmri_bids.reports.figure_table import trajectory_figure
from qmri_bids.reports.figures.trajectories import Trajectory, trajectories

NUMBER = 31


def signals(number: int = 50) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return measured and fitted images of two series, and the M0 of both."""
    rng = np.random.default_rng(0)
    model = np.tile(np.linspace(1.0, 0.3, 2 * NUMBER), (number, 1))
    amplitude = np.stack([rng.uniform(50, 150, number), rng.uniform(5, 15, number)], axis=1)
    fitted = model * np.repeat(amplitude, NUMBER, axis=1)
    return fitted * rng.normal(1.0, 0.01, fitted.shape), fitted, amplitude


def found() -> tuple[Trajectory, ...]:
    measured, fitted, amplitude = signals()
    series = (slice(0, NUMBER), slice(NUMBER, 2 * NUMBER))
    return trajectories(measured, fitted, amplitude=amplitude, series=series)


def test_every_series_is_relative_to_its_own_m0() -> None:
    first, second = found()
    np.testing.assert_allclose(first.fitted, np.linspace(1.0, 0.3, 2 * NUMBER)[:NUMBER])
    np.testing.assert_allclose(second.median, second.fitted, rtol=0.02)
    assert (first.lower <= first.median).all()
    assert (first.median <= first.upper).all()


def test_voxels_without_a_fit_do_not_count() -> None:
    measured, fitted, amplitude = signals()
    fitted[:10] = np.nan
    amplitude[:10] = np.nan
    measured[:10] = 1e6
    (part,) = trajectories(measured, fitted, amplitude=amplitude[:, :1], series=(slice(0, NUMBER),))
    assert part.median.max() < 1.1
    (empty,) = trajectories(measured, fitted * np.nan, amplitude=amplitude[:, :1], series=(slice(0, NUMBER),))
    assert np.isnan(empty.median).all()


def test_the_picture_has_a_panel_a_series_and_says_what_it_shows() -> None:
    protocols = {"acq-MRFMT": mrf_mt(), "acq-MRFamide": mrf_amide()}
    both = trajectory_figure(protocols, {"white matter": found(), "grey matter": found()})
    assert both.section is Section.TRAJECTORIES
    assert "with the offset of each image below" in both.caption
    assert "white matter, grey matter" in both.alternative
    one = trajectory_figure({"acq-MRFMT": mrf_mt()}, {"white matter": found()[:1]})
    tall, low = (Image.open(io.BytesIO(figure.image)).size for figure in (both, one))
    assert tall[0] == low[0] == round(WIDTH * DOTS_PER_INCH)
    assert tall[1] > 1.6 * low[1]


def test_a_long_series_is_drawn_without_labels_of_offsets() -> None:
    protocol = multipool_3t_001()
    number = protocol.number_of_images
    line = np.linspace(1.0, 0.5, number)
    bands = {"lower": line, "upper": line, "left": 0.0 * line, "left_lower": 0.0 * line, "left_upper": 0.0 * line}
    figure = trajectory_figure({"long": protocol}, {"brain": [Trajectory(median=line, fitted=line, **bands)]})
    assert "offset of each image" not in figure.caption


def test_trajectories_must_belong_to_the_protocols() -> None:
    with pytest.raises(ValueError, match="at least one, found none"):
        trajectory_figure({"acq-MRFMT": mrf_mt()}, {})
    with pytest.raises(ValueError, match=r"white matter: .* found \[31, 31\]"):
        trajectory_figure({"acq-MRFMT": mrf_mt()}, {"white matter": found()})
