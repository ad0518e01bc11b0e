"""Training the protocol-free network: samples from every protocol, the same weights again, a loss that falls."""

import math
from dataclasses import replace

import pytest
import torch

from qmri_bids.networks.checkpoint import load_checkpoint, save_checkpoint
from qmri_bids.training.profile import (
    NaturalTrainingSpec,
    draw_natural,
    physics_loss,
    simulate_natural,
    train_natural,
)
from qmri_bids.training.profile_card import natural_card

SMALL = NaturalTrainingSpec(name="small", steps=2000, warm_up=500, batch_size=256, hidden=32, depth=2)


@pytest.fixture(scope="module")
def trained():
    return train_natural(SMALL)


def test_draws_stay_in_the_natural_domain_and_hold_fluid_and_tissue():
    e2, b = draw_natural(SMALL, 20_000, generator=torch.Generator().manual_seed(0))
    assert bool(((e2 > 0) & (e2 < 1) & (b > 0) & (b < 1)).all())
    assert float(e2.max()) > 0.995
    assert float(e2.min()) < 0.1


def test_the_loss_of_the_truth_is_zero_and_weights_follow_the_precision():
    batch = simulate_natural(SMALL, (4, 12), generator=torch.Generator().manual_seed(0), samples=400)

    def truth(seen, number_of_cycles):
        return torch.log(-torch.log(batch.e2)), torch.logit(batch.b), batch.theta

    assert float(physics_loss(truth, batch)) < 1e-9
    assert float(batch.weight.mean()) == pytest.approx(1.0, abs=1e-5)
    assert batch.weight.max() / batch.weight.min() > 100.0


def test_training_improves_on_the_closed_form(trained):
    batch = simulate_natural(
        replace(SMALL, snr=(299.0, 300.0)), (4,), generator=torch.Generator().manual_seed(5), samples=4000
    )

    def closed_form(seen, number_of_cycles):
        return seen[:, -2], seen[:, -1], batch.theta

    with torch.no_grad():
        assert float(physics_loss(trained.network, batch)) < 0.5 * float(physics_loss(closed_form, batch))
    assert len(trained.losses) == 2


def test_the_same_seed_gives_the_same_weights():
    spec = replace(SMALL, steps=20, warm_up=5)
    one, other = train_natural(spec).network, train_natural(spec).network
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_card_goes_with_the_weights(trained, tmp_path):
    card = natural_card(trained.network, SMALL, losses=trained.losses, seconds=trained.seconds, command="test")
    network, read = load_checkpoint(save_checkpoint(trained.network, card, tmp_path))
    assert read.kind == "natural"
    assert read.coverage["flip_angle"] == pytest.approx([math.radians(4), math.radians(75)])
    assert read.coverage["t1_over_tr"] == pytest.approx([0.05 / 12e-3, 6.0 / 3e-3])
    seen = torch.randn(5, 15)
    for a, b in zip(network(seen, torch.tensor(6)), trained.network(seen, torch.tensor(6)), strict=True):
        assert torch.equal(a, b)
