"""A coarse head: four phase cycles of 4 mm voxels, which simulate in seconds."""

from dataclasses import dataclass

import numpy as np
import pytest

from qmri_bids.phantom.heads.template import build_head
from qmri_bids.phantom.scans.session import Session, simulate_session, simulated_protocol

CYCLES = 4


@dataclass(frozen=True, kw_only=True)
class Scan:
    session: Session

    @property
    def affine(self):
        return self.session.grid.affine

    @property
    def brain(self):
        return self.session.truth.brain > 0

    def position_error(self, transforms, truth):
        """Mean distance [mm] over the brain between where two sets of transforms put it."""
        voxels = np.argwhere(self.brain)
        points = np.column_stack([voxels, np.ones(len(voxels))]) @ self.affine.T
        difference = np.einsum("nij,pj->npi", np.asarray(transforms) - np.asarray(truth), points)
        return np.linalg.norm(difference[..., :3], axis=2).mean(axis=1)

    @property
    def poses(self):
        return np.stack([pose.matrix for pose in self.session.poses])


def _scan(motion):
    return Scan(
        session=simulate_session(
            build_head(subject=1, seed=0),
            matrix=(48, 56, 48),
            voxel_size=4.0,
            protocol=simulated_protocol(phase_cycles=CYCLES),
            snr=50.0,
            motion=motion,
            with_b1=True,
            rng=np.random.default_rng(1),
            threads=1,
        )
    )


@pytest.fixture(scope="session")
def still_scan():
    return _scan(0.0)


@pytest.fixture(scope="session")
def moved_scan():
    return _scan(1.5)
