import json
import math

import pytest
import torch

from qmri_bids.cli.tools import main
from qmri_bids.networks.architecture import ComplexNetwork
from qmri_bids.networks.checkpoint import load_checkpoint, save_checkpoint, shipped_weights
from qmri_bids.networks.features import signal_features
from qmri_bids.networks.names import LOSS_NAMES, PRIOR_NAMES
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.training.loop import network_config, train
from qmri_bids.training.losses import LOSSES, physics_loss
from qmri_bids.training.priors import PRIORS
from qmri_bids.training.simulation import TrainingSpec, simulate

PROTOCOL = BssfpProtocol.evenly_spaced(
    number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15)
)


def spec(**changes):
    return TrainingSpec(
        **{"name": "small", "protocol": PROTOCOL, "epochs": 3, "samples": 20_000, "warm_up": 0} | changes
    )


def test_the_command_line_offers_the_tables():
    assert tuple(PRIORS) == PRIOR_NAMES
    assert tuple(LOSSES) == LOSS_NAMES


@pytest.mark.parametrize("name", sorted(PRIORS))
def test_priors_fill_their_box_with_t1_above_t2(name):
    prior = PRIORS[name]
    t1, t2 = prior.draw(20_000, generator=torch.Generator().manual_seed(0))
    assert (t1 >= t2).all()
    for values, bounds in ((t1, prior.t1), (t2, prior.t2)):
        assert bounds[0] <= values.min() < bounds[0] * 1.2
        assert bounds[1] * 0.8 < values.max() <= bounds[1]


def test_features_know_neither_receiver_phase_nor_scale():
    off_resonance = torch.linspace(-100, 100, 9, dtype=torch.float64)
    ones = torch.ones(9, dtype=torch.float64)
    cycles = signal(0.9 * ones, 0.06 * ones, b1=ones, off_resonance=off_resonance, protocol=PROTOCOL)
    plain = signal_features(cycles, rf_phase_increment=PROTOCOL.rf_phase_increment)
    turned = signal_features(7 * torch.exp(torch.tensor(2j)) * cycles, rf_phase_increment=PROTOCOL.rf_phase_increment)
    torch.testing.assert_close(turned, plain)
    torch.testing.assert_close(plain.square().sum(-1), ones)


def test_nothing_happens_at_the_seam_of_the_circle():
    """A quarter of a hertz across ±1/(2TR) moves features and decoded features by a quarter of a hertz, not by a turn."""
    network, _ = load_checkpoint(shipped_weights("pinn_complex_n12"))
    edge = 1 / (2 * PROTOCOL.repetition_time)
    off_resonance = torch.tensor([edge - 0.125, edge + 0.125])
    ones = torch.ones(2)
    cycles = signal(0.9 * ones, 0.06 * ones, b1=ones, off_resonance=off_resonance, protocol=PROTOCOL)
    features = signal_features(cycles, rf_phase_increment=PROTOCOL.rf_phase_increment)
    with torch.no_grad():
        log_t1, log_t2, theta = network(features, ones * PROTOCOL.flip_angle)
    assert abs(log_t1[0] - log_t1[1]) < 2e-3
    assert abs(log_t2[0] - log_t2[1]) < 2e-3
    assert torch.cos(theta[0] - theta[1]) > 1 - 1e-3
    assert torch.cos(theta[0] - math.pi) > 0.999


def test_physics_loss_of_the_truth_is_zero_and_has_a_gradient():
    data = simulate(spec(snr=None), 100, generator=torch.Generator().manual_seed(0))

    class Oracle(torch.nn.Module):
        def forward(self, features, flip_angle):
            tr = PROTOCOL.repetition_time
            return torch.log(data.t1 / tr), torch.log(data.t2 / tr), data.theta

    assert physics_loss(Oracle(), data, PROTOCOL) < 1e-9
    network = ComplexNetwork(network_config(spec()))
    physics_loss(network, data, PROTOCOL).backward()
    gradients = [parameter.grad.abs().max() for parameter in network.parameters()]
    assert all(0 < gradient < math.inf for gradient in gradients)


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_training_learns_and_repeats_itself(loss):
    torch.set_num_threads(1)
    first = train(spec(loss=loss))
    again = train(spec(loss=loss))
    assert first.losses[-1] < first.losses[0] / 2
    assert first.losses == again.losses
    assert first.card.training["seed"] == 0
    assert first.card.metrics["theta_mean_absolute_error_rad"] < 0.2


def test_checkpoint_round_trip_and_a_card_that_does_not_match(tmp_path):
    result = train(spec(epochs=1, samples=2000))
    path = save_checkpoint(result.network, result.card, tmp_path)
    network, card = load_checkpoint(path)
    features, angle = torch.rand(5, 5), torch.full((5,), 0.26)
    for mine, theirs in zip(result.network(features, angle), network(features, angle), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert card.training == json.loads(json.dumps(result.card.training))
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ValueError, match=r"the weights .* are not those of the model card"):
        load_checkpoint(path)


def test_shipped_weights_are_within_their_card_and_small():
    path = shipped_weights("pinn_complex_n12")
    _, card = load_checkpoint(path)
    assert card.metrics["T1_mean_absolute_error_percent"] < 1.2
    assert card.metrics["T2_mean_absolute_error_percent"] < 1.2
    assert card.training["command"].startswith("qmri-tools train")
    assert sum(each.stat().st_size for each in path.parent.iterdir()) < 5e6
    with pytest.raises(FileNotFoundError, match=r"shipped: .*pinn_complex_n12"):
        shipped_weights("none")


def test_train_from_the_command_line(tmp_path, capsys):
    arguments = [
        "train",
        "--output",
        str(tmp_path),
        "--epochs",
        "1",
        "--samples",
        "4000",
        "--phase-cycles",
        "6",
    ]
    assert main(arguments) == 0
    _, card = load_checkpoint(tmp_path / "pinn_complex_n6.safetensors")
    assert card.number_of_cycles == 6
    assert card.training["command"].startswith("qmri-tools train --output")
    assert "Weights:" in capsys.readouterr().out
    assert main([*arguments, "--tr", "5000"]) == 2
    assert "repetition_time must lie in (0, 1) s" in capsys.readouterr().err
