import math

import numpy as np
import pytest
import torch

from qmri_bids.estimation.base import KnownMaps, ProtocolNotSupported, Status
from qmri_bids.estimation.bssfp.planet import Planet, _nearest_ellipse, solve_natural
from qmri_bids.physics.bssfp import natural_coordinates, profile, signal
from qmri_bids.physics.protocol import BssfpProtocol

UNEVEN = tuple(np.radians((0.0, 40.0, 109.0, 143.0, 223.0, 252.0, 321.0)))


def make_protocol(increments, *, degrees=15.0, tr=4.8e-3):
    if isinstance(increments, int):
        return BssfpProtocol.evenly_spaced(
            number_of_cycles=increments, repetition_time=tr, echo_time=tr / 2, flip_angle=math.radians(degrees)
        )
    return BssfpProtocol(
        repetition_time=tr, echo_time=tr / 2, flip_angle=math.radians(degrees), rf_phase_increment=increments
    )


def draw(number, protocol, *, seed=0, noise=0.0):
    rng = np.random.default_rng(seed)
    t1 = np.exp(rng.uniform(math.log(0.1), math.log(5.0), number))
    t2 = np.minimum(t1, np.exp(rng.uniform(math.log(0.01), math.log(2.5), number)))
    b1, theta = rng.uniform(0.7, 1.3, number), rng.uniform(-math.pi, math.pi, number)
    receiver = np.exp(1j * rng.uniform(-math.pi, math.pi, number))
    off_resonance = theta / (2 * math.pi * protocol.repetition_time)
    cycles = signal(t1, t2, b1=b1, off_resonance=off_resonance, m0=receiver, protocol=protocol)
    cycles = cycles + noise * rng.standard_normal((*cycles.shape, 2)).view(complex)[..., 0]
    return t1, t2, b1, theta, cycles


def flatness(t1, t2, b1, protocol):
    """Ratio of the semi-axis along the centre to that across it: below one the ellipse stands, above it lies."""
    e2, b = natural_coordinates(t1, t2, b1=b1, protocol=protocol)
    return e2, b, np.abs(e2 - b) / (e2 * np.sqrt(1 - b**2))


@pytest.mark.parametrize(
    ("increments", "degrees"),
    [(12, 15.0), (6, 15.0), (UNEVEN, 15.0), (7, 35.0), (6, 70.0), (8, 3.0)],
)
def test_exact_without_noise_wherever_there_is_an_ellipse(increments, degrees):
    protocol = make_protocol(increments, degrees=degrees)
    t1, t2, b1, theta, cycles = draw(4000, protocol)
    e2, b, flat = flatness(t1, t2, b1, protocol)
    found = Planet().natural(cycles, b1=b1, protocol=protocol)
    missing = np.isnan(found.e2)
    assert np.array_equal(missing, np.isnan(found.b))
    assert not missing[flat > 2e-3].any()
    np.testing.assert_allclose(found.e2[~missing], e2[~missing], rtol=1e-6)
    np.testing.assert_allclose(found.b[~missing], b[~missing], rtol=1e-6)
    assert np.max(np.abs(np.angle(np.exp(1j * (found.theta - theta))[~missing]))) < 1e-3


def test_standing_and_lying_ellipses_on_both_sides_of_the_ernst_angle_are_told_apart():
    """The geometry alone has two solutions; the sense in which the points run about the ellipse decides.

    A lying ellipse needs T1 near TR and a small flip angle, so the grid is one of natural coordinates.
    """
    protocol = make_protocol(8)
    e2, b = (each.ravel() for each in np.meshgrid(np.linspace(0.05, 0.98, 40), np.linspace(0.02, 0.98, 43)))
    flat = np.abs(e2 - b) / (e2 * np.sqrt(1 - b**2))
    theta = np.linspace(-3.1, 3.1, e2.size)
    cycles = 3j * profile(e2, b, theta, rf_phase_increment=protocol.rf_phase_increment)
    found = Planet().natural(cycles, b1=np.ones(e2.size), protocol=protocol)
    clear = flat > 1e-3
    for name, truth in (("e2", e2), ("b", b), ("theta", theta)):
        np.testing.assert_allclose(getattr(found, name)[clear], truth[clear], rtol=1e-6, atol=1e-7)
    kinds = set(zip((flat > 1)[clear].tolist(), (b > e2)[clear].tolist(), strict=True))
    # Above the Ernst angle the ellipse always stands.
    assert kinds == {(False, False), (False, True), (True, True)}


def test_a_line_has_no_solution():
    """At the Ernst angle E2 = b and all points lie on a line: NaN and a status, never a number."""
    protocol = make_protocol(8)
    e2 = torch.tensor([0.93, 0.5])
    increments = torch.tensor(protocol.rf_phase_increment)
    psi = 0.3 - increments
    cycles = (1 - e2[:, None] * torch.exp(-1j * psi)) / (1 - e2[:, None] * torch.cos(psi))
    for values in solve_natural(cycles.to(torch.complex128), protocol):
        assert torch.isnan(values).all()
    found = Planet().estimate(cycles.numpy(), protocol=protocol, known=KnownMaps(b1=np.ones(2)))
    assert (found.status == Status.NO_ROOT).all()
    assert np.isnan(found.values["T1"]).all()


@pytest.mark.parametrize(("noise", "fewest"), [(1e-4, 25), (2e-3, 20)])
def test_solution_has_the_derivative_of_finite_differences(noise, fewest):
    """However far the points lie from the ellipse: the derivative is that of the minimum, not of a step towards it."""
    protocol = make_protocol(7)
    *_, cycles = draw(30, protocol, noise=noise)
    signal_tensor = torch.as_tensor(cycles).requires_grad_()
    e2, b, theta = solve_natural(signal_tensor, protocol)
    direction = torch.as_tensor(np.random.default_rng(2).standard_normal((*cycles.shape, 2)).view(complex)[..., 0])
    step = 1e-7
    ahead, behind = (solve_natural(torch.as_tensor(cycles) + sign * step * direction, protocol) for sign in (1.0, -1.0))
    for value, up, down in zip((e2, b, theta), ahead, behind, strict=True):
        gradient = torch.autograd.grad(value.sum(), signal_tensor, retain_graph=True)[0]
        analytic = (gradient.conj() * direction).real.sum(dim=1)
        numeric = (up - down) / (2 * step)
        solved = torch.isfinite(numeric)
        assert solved.sum() > fewest
        torch.testing.assert_close(analytic[solved], numeric[solved], rtol=1e-3, atol=1e-3)


def test_stated_deviation_covers_at_high_signal_to_noise():
    protocol = make_protocol(12, degrees=25.0)
    rng = np.random.default_rng(5)
    number = 4000
    ones = np.ones(number)
    off_resonance = rng.uniform(-100, 100, number)
    cycles = signal(0.9 * ones, 0.07 * ones, b1=ones, off_resonance=off_resonance, protocol=protocol)
    cycles = cycles + 2e-4 * rng.standard_normal((number, 12, 2)).view(complex)[..., 0]
    found = Planet().estimate(cycles, protocol=protocol, known=KnownMaps(b1=ones))
    for name, truth in (("T1", 0.9), ("T2", 0.07), ("off_resonance", off_resonance)):
        covered = np.abs(found.values[name] - truth) < found.stdev[name]
        assert 0.65 < covered.mean() < 0.71


def test_no_ellipse_near_by_is_nearer_to_the_points():
    """Distances by their definition, F/|∇F|, of ellipses with one axis through the origin; the derivative by differences."""
    protocol = make_protocol(12)
    number = 200
    ones = np.ones(number)
    rng = np.random.default_rng(6)
    theta = rng.uniform(-math.pi, math.pi, number)
    e2, b = natural_coordinates(0.939 * ones, 0.062 * ones, b1=ones, protocol=protocol)
    clean = profile(e2, b, theta, rf_phase_increment=protocol.rf_phase_increment) * np.exp(1j)
    noisy = clean + 0.02 * np.abs(clean).max() * rng.standard_normal((number, 12, 2)).view(complex)[..., 0]

    def sum_of_squares(centre, along, across):
        from_centre = noisy * np.exp(-1j * np.angle(centre))[:, None] - np.abs(centre)[:, None]

        def level(point):
            return (point.real / along[:, None]) ** 2 + (point.imag / across[:, None]) ** 2 - 1.0

        step = 1e-6
        slope = [(level(from_centre + step * way) - level(from_centre - step * way)) / (2 * step) for way in (1, 1j)]
        return np.sum((level(from_centre) / np.hypot(*slope)) ** 2, axis=1)

    found = [part.numpy() for part in _nearest_ellipse(torch.as_tensor(noisy))]
    assert found.pop().all()
    least = sum_of_squares(*found)
    for unknown, factor in ((0, 0.005), (0, 0.005j), (1, 0.01), (2, 0.01)):
        for sign in (1.0, -1.0):
            moved = list(found)
            moved[unknown] = moved[unknown] * np.exp(sign * factor)
            assert (sum_of_squares(*moved) > least).all()
    # The truth fits worse than what was fitted to the noise, by about one noise variance for each of four unknowns.
    true = (
        np.exp(1j) * (1 - e2 * b) / (1 - b**2),
        np.abs(e2 - b) / (1 - b**2),
        e2 / np.sqrt(1 - b**2),
    )
    gain = (sum_of_squares(*true) - least) / (0.02 * np.abs(clean).max()) ** 2
    assert (gain > 0).all()
    assert 3.5 < gain.mean() < 4.5


def test_scale_and_receiver_phase_do_not_matter():
    protocol = make_protocol(UNEVEN)
    *_, b1, _, cycles = draw(200, protocol, noise=1e-3)
    plain = Planet().natural(cycles, b1=b1, protocol=protocol)
    turned = Planet().natural(1e3 * np.exp(2j) * cycles, b1=b1, protocol=protocol)
    np.testing.assert_allclose(turned.e2, plain.e2, rtol=1e-7)
    np.testing.assert_allclose(turned.b, plain.b, rtol=1e-7)


@pytest.mark.parametrize("increments", [4, 5, (0.0, 1.0, 2.0, 3.0, 4.0, 2 * math.pi)])
def test_fewer_than_six_different_increments_are_refused(increments):
    with pytest.raises(
        ProtocolNotSupported, match=r"6 or more different .*estimator planet.* found [45].*five unknowns"
    ):
        Planet().check(make_protocol(increments))
