import numpy as np
import pytest

from qmri_bids.preprocessing.tissues.statistics import COLUMNS, MapOfRegions, as_columns, tissue_statistics


def test_rows_are_those_of_every_map_and_region_over_voxels_with_a_value():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 1000).reshape(30, 10, 10)
    values = rng.normal(1.0, 0.1, labels.shape)
    values[labels == 2] += 1.0
    values[labels == 2] = np.where(np.arange(1000) < 100, np.nan, values[labels == 2])
    stdev = np.full(labels.shape, 0.05)
    stdev[15, 0, 0] = 1e6  # a voxel without signal does not rule the column
    maps = {
        "T1map": MapOfRegions(values=values, unit="s", stdev=stdev),
        "MTRmap": MapOfRegions(values=10.0 * values, unit="percent"),
    }
    rows = tissue_statistics(maps, labels=labels, names={1: "GM"})
    assert [(row.map, row.name, row.region.voxels) for row in rows] == [
        ("T1map", "GM", 1000),
        ("T1map", "2", 900),
        ("MTRmap", "GM", 1000),
        ("MTRmap", "2", 900),
    ]
    columns = as_columns(rows)
    np.testing.assert_allclose(columns["median"][:2], [1.0, 2.0], atol=0.02)
    np.testing.assert_allclose(columns["iqr"][0], 0.1349, rtol=0.1)
    np.testing.assert_allclose(columns["stated_sd"], [0.05, 0.05, np.nan, np.nan])
    assert set(columns) == set(COLUMNS)
    with pytest.raises(ValueError, match="shape of the labels"):
        tissue_statistics(maps, labels=labels[1:], names={})
