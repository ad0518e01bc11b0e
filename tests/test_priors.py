import math

import numpy as np
import pytest
import torch

from qmri_bids.networks.names import PRIOR_NAMES
from qmri_bids.priors.relaxation import PRIORS, LogNormal, MixturePrior


def edges(bounds, number):
    return np.geomspace(*bounds, number + 1)


def cell_masses(prior, t1_edges, t2_edges, *, fine=24):
    """Integral of the density over every cell of a grid, by the midpoint rule in the logarithms."""

    def midpoints(values):
        logs = np.log(values)
        share = (np.arange(fine) + 0.5) / fine
        return np.exp(logs[:-1, None] + np.diff(logs)[:, None] * share)

    t1, t2 = midpoints(t1_edges), midpoints(t2_edges)
    density = prior.density(t1[:, None, :, None], t2[None, :, None, :])
    volume = t1[:, None, :, None] * t2[None, :, None, :]
    volume = volume * np.diff(np.log(t1_edges))[:, None, None, None] * np.diff(np.log(t2_edges))[None, :, None, None]
    return (density * volume).mean(axis=(2, 3))


def test_the_command_line_offers_the_table():
    assert tuple(PRIORS) == PRIOR_NAMES


@pytest.mark.parametrize("name", sorted(PRIORS))
def test_draws_follow_the_density(name):
    prior = PRIORS[name]
    number = 200_000
    t1, t2 = (each.numpy() for each in prior.draw(number, generator=torch.Generator().manual_seed(0)))
    grid = edges((prior.t1[0] * 0.999, prior.t1[1] * 1.001), 14), edges((prior.t2[0] * 0.999, prior.t2[1] * 1.001), 14)
    found, _, _ = np.histogram2d(t1, t2, bins=grid)
    masses = cell_masses(prior, *grid)
    expected = number * masses / masses.sum()
    full = expected > 25
    assert expected[full].sum() > 0.98 * number
    # The midpoint rule misses a little of a cell that an edge of the support cuts; allow for 2 % besides the counting noise.
    excess = (found - expected)[full] / np.sqrt(expected[full] + (0.02 * expected[full]) ** 2)
    assert np.mean(excess**2) < 1.5
    assert np.max(np.abs(excess)) < 5.0
    assert found[expected == 0].sum() == 0


@pytest.mark.parametrize("name", sorted(PRIORS))
def test_priors_hold_their_support_with_t1_above_t2(name):
    prior = PRIORS[name]
    t1, t2 = prior.draw(20_000, generator=torch.Generator().manual_seed(0))
    assert len(t1) == len(t2) == 20_000
    assert (t1 >= t2).all()
    for values, bounds in ((t1, prior.t1), (t2, prior.t2)):
        assert bounds[0] * (1 - 1e-6) <= values.min()
        assert values.max() <= bounds[1] * (1 + 1e-6)
    inside = math.sqrt(prior.t2[0] * prior.t2[1])
    outside = [
        (prior.t1[0] * 0.99, inside),
        (prior.t1[1] * 1.01, inside),
        (1.0, prior.t2[0] * 0.9),
        (1.0, 2.6),
        (0.4, 0.5),
    ]
    assert prior.density(1.0, 0.08) > 0
    for point in outside:
        assert prior.density(*point) == 0
    assert len(prior.source) > 20


@pytest.mark.parametrize("name", ["uniform", "uniform-extended", "log-uniform"])
def test_boxes_are_filled_to_their_edges(name):
    prior = PRIORS[name]
    t1, t2 = prior.draw(20_000, generator=torch.Generator().manual_seed(0))
    for values, bounds in ((t1, prior.t1), (t2, prior.t2)):
        assert values.min() < bounds[0] * 1.2
        assert values.max() > bounds[1] * 0.8


def test_the_brain_is_white_and_grey_matter_before_all():
    """Density per area of the logarithms peaks in white and grey matter and lesions keep some of it."""
    prior = PRIORS["in-vivo"]

    def density(t1, t2):
        return float(prior.density(t1, t2) * t1 * t2)

    white, grey, lesion, fluid = (density(*each) for each in ((0.939, 0.062), (1.4, 0.085), (1.8, 0.11), (4.0, 1.5)))
    assert min(white, grey) > 10 * lesion > 100 * fluid > 0
    t1, t2 = prior.draw(100_000, generator=torch.Generator().manual_seed(1))
    assert 0.85 < ((t1 < 2.08) & (t2 < 0.12)).float().mean() < 0.99


def test_weights_of_a_mixture_add_up_to_one():
    with pytest.raises(ValueError, match=r"must add up to 1, found 0\.5"):
        MixturePrior(
            t1=(0.1, 1.0),
            t2=(0.01, 0.1),
            source="test",
            components=(LogNormal(t1=0.5, t2=0.05, spread=(0.1, 0.1), weight=0.5),),
        )
