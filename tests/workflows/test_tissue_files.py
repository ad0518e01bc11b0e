import json

import numpy as np

from qmri_bids.bids.names import output_path
from qmri_bids.bids.provenance import map_metadata
from qmri_bids.bids.write import write_map
from qmri_bids.pipeline.tissues.files import write_tissue_statistics

RUN = {"sub": "01", "acq": "pcbssfp", "flip": "1"}


def test_maps_meet_their_standard_deviation_and_only_good_voxels_count(tmp_path):
    files = []
    mask = np.ones((4, 4, 4), dtype=bool)
    tissue = np.where(np.arange(64).reshape(4, 4, 4) < 32, 1, 2).astype(np.uint8)
    for output, value in (("T1map", 1.0), ("T1map_std", 0.1), ("T1map_posterior_uniform", 1.2), ("fieldmap", 5.0)):
        path = output_path(tmp_path, entities=RUN, output=output)
        array = np.full(mask.shape, value, dtype=np.float32)
        array[0, 0, 0] = np.nan
        files.append(write_map(path, array, affine=np.eye(4), metadata=map_metadata(output, sources=["bids:raw:x"])))
    path = output_path(tmp_path, entities=RUN, output="brain_mask")
    files.append(write_map(path, mask, affine=np.eye(4), metadata=map_metadata("brain_mask", sources=["bids:raw:x"])))
    path = output_path(tmp_path, entities=RUN, output="quality_mask")
    status = np.ones(mask.shape, dtype=np.uint8)
    status[3, 3, 3] = 2
    content = map_metadata("quality_mask", sources=["bids:raw:x"])
    files.append(write_map(path, status, affine=np.eye(4), metadata=content))
    pure = np.where(np.arange(64).reshape(4, 4, 4) % 32 < 8, tissue, 0)
    where = {"mask": mask, "entities": RUN, "output_dir": tmp_path}
    lookup, table = write_tissue_statistics(files, tissue=tissue, pure=pure, **where)
    assert lookup.name.endswith("_dseg.tsv")
    assert "2\tWhite Matter\tWM" in lookup.read_text()
    lines = [line.split("\t") for line in table.read_text().splitlines()]
    assert lines[0] == ["map", "unit", "index", "tissue", "n", "median", "iqr", "stated_sd", "mean", "sd"]
    assert [line[:5] for line in lines[1:6]] == [
        ["T1map", "s", "n/a", "brain", "62"],
        ["T1map", "s", "1", "GM_pure", "7"],
        ["T1map", "s", "2", "WM_pure", "8"],
        ["T1map", "s", "1", "GM", "31"],
        ["T1map", "s", "2", "WM", "31"],
    ]
    assert lines[1][7] == "0.1"
    assert {line[0] for line in lines[1:]} == {"T1map", "desc-posteriorUniform_T1map", "fieldmap"}
    described = json.loads(table.with_suffix(".json").read_text())
    assert set(described) == set(lines[0])
    alone = write_tissue_statistics(files, tissue=None, **where)
    assert [path.name for path in alone] == [table.name]
