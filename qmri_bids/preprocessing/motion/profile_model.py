r"""What a voxel may look like across the phase cycles, whatever tissues it mixes.

In a voxel of one off-resonance θ the signal of every tissue is :math:`e^{i\alpha}\sum_n a_n e^{in(\theta - \phi_j)}` with real
amplitudes :math:`a_n` (`physics.bssfp.configuration_amplitudes`), and so is any mixture of tissues. Over all T1, T2 and B1 these
amplitudes lie close to a space of a few dimensions, found by a singular value decomposition of what the protocol gives. A voxel
then has `components` real coefficients, α and θ: what it shows beyond is noise, motion, or a field that is not one θ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.bssfp import configuration_amplitudes
from qmri_bids.physics.protocol import BssfpProtocol

_ORDERS = 24
"""Configurations on either side; of fluid, the slowest, 1e-3 is left there."""
_TABLE = 2048
"""Points of the table over a turn; interpolated linearly, exact to 1e-5."""
_T1, _T2, _B1 = np.geomspace(0.5, 5.0, 20), np.geomspace(0.04, 2.5, 20), np.linspace(0.7, 1.3, 4)
"""What the inside of a head holds [s], and B1; wider ranges would spend components on what does not occur."""
_LARGEST_RATIO = 0.6
_LARGEST_STEP = 0.5
"""Of α and θ in one iteration [rad]."""


@dataclass(frozen=True, kw_only=True)
class ProfileFit:
    """Voxels against the model.

    Parameters
    ----------
    residual
        Real parts of all cycles, then imaginary parts: what the model leaves, shape (V, 2N).
    tangent
        Orthonormal basis of what a change of the parameters of the model does, shape (V, 2N, components + 2).
    by_theta
        What a change of θ does to the signal, parts as of `residual`, shape (V, 2N).
    angles
        α and θ [rad], shape (2, V): where a next fit of similar data may start.
    """

    residual: NDArray[np.float32]
    tangent: NDArray[np.float32]
    by_theta: NDArray[np.float32]
    angles: NDArray[np.float64]


class ProfileModel:
    """The space of profiles of a protocol.

    Parameters
    ----------
    protocol
        Evenly spaced increments; at least 4.
    components
        Dimension of the space.

    Raises
    ------
    ValueError
        If the increments are not evenly spaced, or too few to leave a residual.
    """

    def __init__(self, protocol: BssfpProtocol, *, components: int) -> None:
        if not protocol.is_evenly_spaced:
            raise ValueError("the model of profiles needs evenly spaced phase increments")
        if 2 * protocol.number_of_cycles <= components + 2:
            raise ValueError(
                f"{protocol.number_of_cycles} cycles leave no residual beside {components} components and two angles"
            )
        self.components = components
        self._increments = np.asarray(protocol.rf_phase_increment)
        t1, t2, b1 = (each.ravel() for each in np.meshgrid(_T1, _T2, _B1))
        possible = t2 < _LARGEST_RATIO * t1
        orders = np.arange(-_ORDERS, _ORDERS)
        amplitudes = configuration_amplitudes(
            t1[possible], t2[possible], b1=b1[possible], protocol=protocol, orders=orders.tolist()
        )
        amplitudes /= np.linalg.norm(amplitudes, axis=1, keepdims=True)
        space = np.linalg.svd(amplitudes, full_matrices=False)[2][:components]
        waves = np.exp(1j * np.outer(np.linspace(0.0, 2.0 * np.pi, _TABLE + 1), orders))
        self._table = np.concatenate([waves @ space.T, (1j * orders * waves) @ space.T], axis=1).astype(np.complex64)

    def fit(
        self,
        signal: NDArray[np.complexfloating],
        *,
        angles: NDArray[np.float64] | None = None,
        frequency: NDArray[np.float64] | None = None,
        iterations: int = 6,
    ) -> ProfileFit:
        """Fit voxels by Gauss-Newton steps of the two angles, the coefficients solved for in each.

        Parameters
        ----------
        signal
            Complex, shape (V, N).
        angles
            Where to start; from the two lowest configurations by default.
        frequency
            What θ of each cycle has more than that of the reference [rad], the same everywhere, shape (N,); 0 by default.
        iterations
            Number of steps.
        """
        alpha, theta = self._start(signal) if angles is None else angles
        target = _parts(signal)
        for step in range(iterations + 1):
            shapes, changes = self._at(theta, np.zeros(len(self._increments)) if frequency is None else frequency)
            turn = np.exp(1j * alpha).astype(np.complex64)[:, None, None]
            columns, slopes = _parts(shapes * turn), _parts(changes * turn)
            coefficients = _solve(columns, target)
            model = (columns @ coefficients[..., None])[..., 0]
            by_theta = (slopes @ coefficients[..., None])[..., 0]
            tangent = np.concatenate([columns, _times_i(model)[..., None], by_theta[..., None]], axis=2)
            residual = target - model
            if step == iterations:
                break
            change = _solve(tangent, residual)[:, -2:]
            change = np.clip(np.nan_to_num(change), -_LARGEST_STEP, _LARGEST_STEP)
            alpha, theta = alpha + change[:, 0], theta + change[:, 1]
        basis, _ = np.linalg.qr(tangent)
        residual = residual - (basis @ (basis.swapaxes(1, 2) @ residual[..., None]))[..., 0]
        return ProfileFit(residual=residual, tangent=basis, by_theta=by_theta, angles=np.stack([alpha, theta]))

    def _start(self, signal: NDArray[np.complexfloating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        # F_0 = a e^{iα} and F_-1 = -b e^{i(α - θ)} with positive a and b.
        zeroth = signal.mean(axis=1)
        before = (signal * np.exp(-1j * self._increments).astype(np.complex64)).mean(axis=1)
        return np.angle(zeroth).astype(float), np.angle(-zeroth * before.conj()).astype(float)

    def _at(
        self, theta: NDArray[np.float64], frequency: NDArray[np.float64]
    ) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
        """Return the components and their derivatives by θ at all increments, shape (V, N, components) each."""
        place = np.mod(theta[:, None] + frequency - self._increments, 2.0 * np.pi) * (_TABLE / (2.0 * np.pi))
        index = np.minimum(place.astype(np.int64), _TABLE - 1)
        part = (place - index).astype(np.float32)[..., None]
        found = self._table[index] * (1.0 - part) + self._table[index + 1] * part
        return found[..., : self.components], found[..., self.components :]


def _parts(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return real parts of all cycles, then imaginary parts, along axis 1."""
    return np.concatenate([values.real, values.imag], axis=1).astype(np.float32)


def _times_i(parts: NDArray[np.float32]) -> NDArray[np.float32]:
    real, imaginary = np.split(parts, 2, axis=1)
    return np.concatenate([-imaginary, real], axis=1)


def _solve(columns: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return least-squares coefficients of voxels; a small ridge keeps columns that vanish harmless."""
    gram = (columns.swapaxes(1, 2) @ columns).astype(np.float64)
    size = gram.shape[1]
    gram += (1e-7 * np.trace(gram, axis1=1, axis2=2) / size + np.finfo(float).tiny)[:, None, None] * np.eye(size)
    right = (columns.swapaxes(1, 2) @ target[..., None]).astype(np.float64)
    return np.linalg.solve(gram, right)[..., 0].astype(np.float32)
