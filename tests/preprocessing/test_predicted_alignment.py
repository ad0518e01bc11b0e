import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from qmri_bids.phantom.heads.geometry import Pose
from qmri_bids.phantom.heads.template import build_head
from qmri_bids.phantom.scans.session import simulate_session, simulated_protocol
from qmri_bids.preprocessing.gibbs.apodization import apodize
from qmri_bids.preprocessing.masks import head_mask
from qmri_bids.preprocessing.motion import predicted as predicted_alignment
from qmri_bids.preprocessing.motion.phase_cycles import _predict
from qmri_bids.preprocessing.motion.predicted import align_to_prediction

PROTOCOL = simulated_protocol(phase_cycles=8)
REFERENCE = 4


@pytest.fixture(scope="module")
def still():
    session = simulate_session(
        build_head(subject=1, seed=0),
        matrix=(48, 56, 48),
        voxel_size=4.0,
        protocol=PROTOCOL,
        snr=25.0,
        motion=0.0,
        with_b1=False,
        rng=np.random.default_rng(1),
        threads=1,
    )
    return session, apodize(session.cycles).volumes


@pytest.fixture(scope="module")
def inside(still):
    head = head_mask(np.abs(still[1]).mean(axis=3))
    return distance_transform_edt(np.pad(head, 1))[1:-1, 1:-1, 1:-1] > 3.0


def starts():
    """Return transforms that are off by up to half a millimetre, all of them to one side: a common offset."""
    rng = np.random.default_rng(2)
    off = rng.uniform(-0.3, 0.3, (8, 6)) + 0.2
    poses = [Pose(translation=tuple(row[:3]), rotation=tuple(np.deg2rad(row[3:]))) for row in off]
    matrices = np.stack([pose.matrix for pose in poses])
    matrices[REFERENCE] = np.eye(4)
    return matrices


def offsets(transforms, brain, affine):
    voxels = np.argwhere(brain)[::20]
    points = np.column_stack([voxels, np.ones(len(voxels))]) @ affine.T
    return np.linalg.norm(np.einsum("nij,pj->npi", transforms - np.eye(4), points)[..., :3], axis=2).mean(axis=1)


def test_common_and_single_offsets_of_cycles_are_found(still, inside, monkeypatch):
    session, cycles = still
    monkeypatch.setattr(predicted_alignment, "SAMPLES", 8000)
    found = align_to_prediction(
        cycles, affine=session.grid.affine, start=starts(), reference=REFERENCE, samples=inside, protocol=PROTOCOL
    )
    before = offsets(starts(), session.truth.brain, session.grid.affine)
    after = offsets(found.transforms, session.truth.brain, session.grid.affine)
    moving = np.arange(8) != REFERENCE
    np.testing.assert_array_equal(found.transforms[REFERENCE], np.eye(4))
    assert before[moving].mean() > 0.35
    # At voxels of 2 mm 0.01 mm; errors grow with the voxel.
    assert after[moving].mean() < 0.1
    assert found.residual[1] < found.residual[0]
    assert 0.3 * after[moving].mean() < found.remaining[moving].mean() < 0.25 * 4.0


def test_what_the_model_cannot_serve_keeps_the_motion_of_the_edges_and_says_why(still):
    session, cycles = still
    head = head_mask(np.abs(cycles).mean(axis=3))

    def predict(some, protocol):
        start = np.tile(np.eye(4), (some.shape[3], 1, 1))
        transforms, remaining, sentence = _predict(
            some,
            affine=session.grid.affine,
            start=start,
            reference=0,
            head=head,
            brain=None,
            protocol=protocol,
            threads=1,
        )
        np.testing.assert_array_equal(transforms, start)
        assert np.isnan(remaining).all()
        return sentence

    assert "4 cycles leave too little" in predict(cycles[..., :4], simulated_protocol(phase_cycles=4))
    assert "there is no phase" in predict(np.abs(cycles).astype(np.complex64), PROTOCOL)
    assert "no protocol was given" in predict(cycles, None)
    uneven = PROTOCOL.__class__(
        repetition_time=4.8e-3,
        echo_time=2.4e-3,
        flip_angle=0.26,
        rf_phase_increment=(*PROTOCOL.rf_phase_increment[:7], 6.1),
    )
    assert "not evenly spaced" in predict(cycles, uneven)


def test_frequency_that_drifts_is_no_motion(monkeypatch):
    drift = np.linspace(0.0, 4.0, 8)  # [Hz]
    turned = PROTOCOL.__class__(
        repetition_time=PROTOCOL.repetition_time,
        echo_time=PROTOCOL.echo_time,
        flip_angle=PROTOCOL.flip_angle,
        rf_phase_increment=tuple(np.array(PROTOCOL.rf_phase_increment) - 2 * np.pi * PROTOCOL.repetition_time * drift),
    )
    session = simulate_session(
        build_head(subject=1, seed=0),
        matrix=(48, 56, 48),
        voxel_size=4.0,
        protocol=turned,
        snr=25.0,
        motion=0.0,
        with_b1=False,
        rng=np.random.default_rng(1),
        threads=1,
    )
    cycles = apodize(session.cycles).volumes
    head = head_mask(np.abs(cycles).mean(axis=3))
    monkeypatch.setattr(predicted_alignment, "SAMPLES", 8000)
    found = align_to_prediction(
        cycles,
        affine=session.grid.affine,
        start=np.tile(np.eye(4), (8, 1, 1)),
        reference=REFERENCE,
        samples=distance_transform_edt(np.pad(head, 1))[1:-1, 1:-1, 1:-1] > 3.0,
        protocol=PROTOCOL,
    )
    found_off = offsets(found.transforms, session.truth.brain, session.grid.affine).mean()
    assert found_off < 0.1, found_off
