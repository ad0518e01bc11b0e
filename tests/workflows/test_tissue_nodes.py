from types import SimpleNamespace

import numpy as np
import pytest

from qmri_bids.pipeline.anatomy.nodes import TissueByAnatomy
from qmri_bids.pipeline.motion.series_nodes import ClassifyTissue
from qmri_bids.pipeline.tissues.nodes import NO_BRAIN, SegmentTissues
from qmri_bids.pipeline.volumes import load_volume, save_volume
from qmri_bids.reports.tables import statistics_rows
from qmri_bids.tissue_labels import FLUID, GREY, NAMES, WHITE

SHAPE = (40, 24, 24)
TIMES = {FLUID: (4.0, 1.5), GREY: (1.4, 0.085), WHITE: (0.94, 0.062)}


@pytest.fixture
def files(tmp_path):
    """Layers of fluid, grey and white matter: maps (npz), mask, and their labels."""
    labels = np.full(SHAPE, WHITE, dtype=np.uint8)
    labels[:22], labels[:8] = GREY, FLUID
    rng = np.random.default_rng(0)
    times = np.choose(labels[..., None], [np.zeros(2), *(np.array(TIMES[label]) for label in sorted(TIMES))])
    noisy = times * (1.0 + 0.05 * rng.standard_normal(times.shape))
    maps = {
        "T1": noisy[..., 0],
        "T2": noisy[..., 1],
        "T1_stdev": 0.05 * times[..., 0],
        "T2_stdev": 0.05 * times[..., 1],
    }
    np.savez(tmp_path / "maps.npz", **maps)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    return SimpleNamespace(
        folder=tmp_path,
        maps=str(tmp_path / "maps.npz"),
        mask=save_volume(tmp_path / "mask.nii", np.ones(SHAPE, dtype=np.uint8), affine),
        given=save_volume(tmp_path / "given.nii", labels, affine),
        labels=labels,
        t1=noisy[..., 0],
    )


def run(node, files):
    return node.run(cwd=str(files.folder)).outputs


def test_tissues_of_a_brain_and_how_many_voxels_are_pure(files):
    found = run(SegmentTissues(estimate=files.maps, mask=files.mask), files)
    assert np.mean(load_volume(found.tissue)[0] == files.labels) > 0.98
    assert any("voxels of grey matter are pure" in each for each in found.decisions)
    given = run(SegmentTissues(estimate=files.maps, mask=files.mask, given=files.given), files)
    assert given.tissue == files.given
    assert any("voxels of white matter are pure" in each for each in given.decisions)


@pytest.mark.parametrize("kind", ["object", "all"])
def test_an_object_has_no_tissues_and_a_sentence_says_so(files, kind):
    for node in (
        SegmentTissues(estimate=files.maps, mask=files.mask, kind=kind, given=files.given),
        ClassifyTissue(maps=files.maps, mask=files.mask, kind=kind),
        TissueByAnatomy(maps=files.maps, mask=files.mask, kind=kind, given=files.given),
    ):
        found = run(node, files)
        assert found.tissue is None
        assert found.decisions == [NO_BRAIN]


def test_the_table_of_a_report_shows_pure_tissue_first(files):
    pure = files.labels.copy()
    pure[18:24] = 0
    mask = np.ones(SHAPE, dtype=bool)
    rows = statistics_rows(
        {"T1": files.t1}, mask=mask, labels=files.labels, label_names=NAMES, pure=pure * (pure != FLUID)
    )
    assert [row.region for row in rows] == [
        "brain mask",
        "pure grey matter",
        "pure white matter",
        "grey matter",
        "white matter",
        "fluid",
    ]
    assert rows[1].voxels == np.count_nonzero(pure == GREY)
    assert rows[1].median == pytest.approx(1400.0, rel=0.01)
