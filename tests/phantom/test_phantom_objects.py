"""Objects of known relaxation times, slices of their own, and fields of view that cut what is scanned."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pandas
import pytest
from scipy.ndimage import binary_erosion

from qmri_bids.cli.tools import main
from qmri_bids.phantom.dataset import simulate_dataset
from qmri_bids.phantom.heads.geometry import Grid, fitting_matrix
from qmri_bids.phantom.heads.objects import build_cylinder, build_spheres
from qmri_bids.phantom.heads.template import build_head
from qmri_bids.phantom.scans.acquisition import acquire
from qmri_bids.phantom.scans.b1 import coarse_slices
from qmri_bids.phantom.scans.session import simulate_session, simulated_protocol
from qmri_bids.phantom.scans.truth import true_maps
from qmri_bids.phantom.subjects import Scanned, Voxels
from qmri_bids.physics import bssfp


def _grid(shape, edges, *, planar=False) -> Grid:
    affine = np.diag([*edges, 1.0])
    affine[:3, 3] = -0.5 * (np.array(shape) - 1.0) * edges
    return Grid(shape=shape, affine=affine, planar=planar)


def test_spheres_have_the_times_they_say_and_voxels_enough():
    phantom = build_spheres()
    truth = true_maps(phantom, grid=_grid((92, 92, 14), (2.0, 2.0, 2.0)), placement=np.eye(4))
    spheres, fill = phantom.regions[:-1], phantom.regions[-1]
    t1, t2 = ([getattr(region.tissue, name) for region in spheres] for name in ("t1", "t2"))
    assert len(spheres) == 14
    assert (t1[0], t2[0], t1[-1], t2[-1]) == pytest.approx((2.0, 0.6, 0.1, 0.01))
    for times in (t1, t2):
        np.testing.assert_allclose(np.diff(np.log(times)), np.log(times[-1] / times[0]) / 13, rtol=1e-9)
    for region in spheres:
        pure = truth.fractions[region.label] == 1.0
        assert np.count_nonzero(pure) >= 500
        assert np.count_nonzero(binary_erosion(pure)) >= 200
        assert np.all(truth.segmentation[pure] == region.index)
        np.testing.assert_allclose(truth.t1[pure], region.tissue.t1, rtol=1e-5)
        np.testing.assert_allclose(truth.t2[pure], region.tissue.t2, rtol=1e-5)
    assert truth.mask_name == "object"
    assert np.count_nonzero(truth.fractions[fill.label] == 1.0) > 20_000
    assert np.nanmax(np.abs(truth.off_resonance)) < 26.0
    assert 0.87 < np.nanmin(truth.b1) < np.nanmax(truth.b1) < 1.13


def test_a_scan_of_the_cylinder_holds_the_signal_of_its_liquids():
    phantom = build_cylinder()
    protocol = simulated_protocol(phase_cycles=4)
    session = simulate_session(
        phantom,
        matrix=(40, 40, 40),
        voxel_size=4.0,
        protocol=protocol,
        snr=np.inf,
        motion=0.0,
        with_b1=False,
        rng=np.random.default_rng(0),
        threads=1,
    )
    truth = session.truth
    for region in phantom.regions:
        pure = binary_erosion(truth.fractions[region.label] == 1.0)
        assert np.count_nonzero(pure) > 30
        expected = np.abs(
            bssfp.signal(
                truth.t1[pure],
                truth.t2[pure],
                b1=truth.b1[pure],
                off_resonance=truth.off_resonance[pure],
                m0=truth.m0[pure],
                protocol=protocol,
            )
        )
        # Ringing of the walls averages out over a liquid; in a band the spread of the field within a voxel counts too.
        found, expected = np.abs(session.cycles[pure]).mean(axis=0), expected.mean(axis=0)
        clear = expected > 0.7 * expected.max()
        assert np.count_nonzero(clear) >= 2
        np.testing.assert_allclose(found[clear], expected[clear], rtol=0.02)


def test_a_slice_is_the_mean_of_thinner_ones_and_no_ringing_leaves_it():
    phantom = build_cylinder()

    def images(grid: Grid, parts: tuple[int, int, int]) -> np.ndarray:
        return acquire(
            phantom,
            grid=grid,
            placement=np.eye(4),
            signal=lambda sample, points: (sample.m0 * sample.t1)[:, None].astype(np.complex64),
            volumes=1,
            factor=parts,
            threads=1,
        )[..., 0]

    thick = images(_grid((32, 32, 3), (4.0, 4.0, 40.0), planar=True), (2, 2, 20))
    thin = images(_grid((32, 32, 60), (4.0, 4.0, 2.0), planar=True), (2, 2, 1))
    np.testing.assert_allclose(thick, thin.reshape(32, 32, 3, 20).mean(axis=3), atol=1e-6)
    outer = images(_grid((32, 32, 5), (4.0, 4.0, 40.0), planar=True), (2, 2, 20))
    assert np.abs(outer[..., [0, 4]]).max() < 1e-6
    # Encoded as a volume the ends of the cylinder ring along its axis.
    volume = images(_grid((32, 32, 5), (4.0, 4.0, 40.0)), (2, 2, 20))
    assert np.abs(volume[..., [0, 4]]).max() > 5e-3


def test_slices_of_the_transmit_field_cover_those_of_the_scan():
    grid = _grid((100, 110, 3), (2.0, 2.0, 4.0), planar=True)
    coarse = coarse_slices(grid)
    assert coarse.planar
    assert coarse.shape == (40, 44, 3)
    corners = [
        grid.affine @ (*(s * (n - 1) for s, n in zip(side, grid.shape, strict=True)), 1) for side in np.ndindex(2, 2, 2)
    ]
    assert np.all(coarse.contains(np.array(corners)[:, :3].T))
    assert coarse_slices(_grid((64, 64, 1), (3.0, 3.0, 8.0), planar=True)).shape == (39, 39, 1)


def test_the_matrix_that_is_not_given_holds_what_is_scanned():
    phantom = build_spheres()
    surface = phantom.surface_points()
    matrix = fitting_matrix(surface, edges=(3.0, 3.0, 3.0), motion=2.0, tilt=0.07)
    assert all(number % 4 == 0 and 3.0 * number > 184.0 + 2.0 * 2.0 for number in matrix)
    assert max(matrix) * 3.0 < 230.0
    template = build_head(subject=1, seed=0)
    assert Voxels().of(template, motion=0.5, is_template=True) == (96, 112, 96)
    assert Voxels(slices=3, voxel_size=3.0, slice_thickness=5.0).of(template, motion=0.5, is_template=True)[2] == 3


@pytest.fixture(scope="module")
def slice_of_all(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("slice") / "bids"
    arguments = ["simulate", folder, "--phantom", "cylinder", "--slices", 1, "--slice-thickness", 6, "--voxel-size", 4]
    scans = ["--phase-cycles", 4, "--cest", "aptw", "--mt", "mtr", "mts", "--wasabi", "--t1w", "--b1", "TB1AFI"]
    assert main([str(each) for each in [*arguments, *scans]]) == 0
    return folder


def test_one_slice_of_every_scan_can_be_simulated(slice_of_all):
    images = sorted((slice_of_all / "sub-01").glob("*/*.nii.gz"))
    flat = {path.name for path in images if nibabel.load(path).shape[2] == 1}
    assert {path.name for path in images} - flat == {"sub-01_T1w.nii.gz"}
    for path in images:
        sidecar = json.loads(Path(str(path).replace(".nii.gz", ".json")).read_text())
        if path.name in flat:
            assert (sidecar["MRAcquisitionType"], sidecar["SliceThickness"]) == ("2D", 6.0)
            assert nibabel.load(path).header.get_zooms()[2] == pytest.approx(6.0)
        else:
            assert sidecar["MRAcquisitionType"] == "3D"
        assert np.asarray(nibabel.load(path).dataobj).std() > 0.0


def test_the_truth_of_an_object_names_its_liquids(slice_of_all):
    truth = slice_of_all / "derivatives/truth/sub-01/anat"
    table = pandas.read_csv(truth / "sub-01_acq-pcbssfp_dseg.tsv", sep="\t")
    assert list(table["name"]) == ["Gel of the insert", "Doped water"]
    assert not list(truth.glob("*brain*"))
    mask = np.asarray(nibabel.load(truth / "sub-01_acq-pcbssfp_desc-object_mask.nii.gz").dataobj)
    # A circle of 50 mm in voxels of 4 mm.
    assert mask.sum() == pytest.approx(np.pi * 50.0**2 / 16.0, rel=0.05)
    readme = (slice_of_all / "README.md").read_text()
    assert "A cylinder of doped water" in readme
    assert "encoded in its plane alone" in readme
    assert "brain" not in readme.split("## CEST and MT scans")[0]


def test_a_cut_field_of_view_lies_around_the_brain(tmp_path):
    simulate_dataset(
        tmp_path / "slab", matrix=(24, 28, 6), voxel_size=8.0, slice_thickness=4.0, phase_cycles=4, cut=True, b1="none"
    )
    image = nibabel.load(tmp_path / "slab/sub-01/anat/sub-01_acq-pcbssfp_flip-1_part-mag_VFA.nii.gz")
    assert image.header.get_zooms()[:3] == pytest.approx((8.0, 8.0, 4.0))
    brain = np.asarray(nibabel.load(next(tmp_path.rglob("*pcbssfp_desc-brain_mask.nii.gz"))).dataobj)
    assert brain.any(axis=(0, 1)).all()
    assert "what lies beyond gives no signal" in (tmp_path / "slab/README.md").read_text()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"phantom": "cube"}, "phantom must be one of head, spheres, cylinder, found 'cube'"),
        ({"phantom": "spheres", "anatomy": Path(__file__)}, "give --anatomy or --phantom, not both"),
        ({"brain": Path(__file__)}, r"belong to a head from an image, and there is none; give its file \(--anatomy\)"),
        ({"anatomy": Path("nowhere.nii.gz")}, "anatomy: expected a NIfTI file, found nothing at nowhere.nii.gz"),
    ],
)
def test_what_does_not_go_together_is_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        Scanned(**setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"slices": 0}, "slices must be 1 or more, found 0"),
        ({"slice_thickness": 0.0}, r"slice_thickness must lie in \[0.1, 50\] mm, found 0.0"),
    ],
)
def test_voxels_without_meaning_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        Voxels(**setting)
