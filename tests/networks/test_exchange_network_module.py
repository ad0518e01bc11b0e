import pytest
import torch

from qmri_bids.networks.checkpoint import ModelCard, load_checkpoint, save_checkpoint
from qmri_bids.networks.pools import ExchangeNetwork, ExchangeNetworkConfig, normalised

CONFIG = ExchangeNetworkConfig(series=(10, 8), parameters=("MT.fraction", "MT.rate"), hidden=16, depth=2)


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = ExchangeNetwork(CONFIG)
    shapes = torch.rand(3, 18)
    clean = 0.5 + torch.rand(400, 3) @ shapes
    known = torch.randn(400, 4)
    network.bound_by(torch.tensor([-3.0, 1.0]), torch.tensor([-1.0, 4.0]))
    network.scale_by(
        clean + 0.01 * torch.randn(400, 18),
        known,
        clean=clean,
        centre=torch.tensor([-2.0, 2.5]),
        mixing=torch.eye(2),
    )
    return network.eval(), clean, known


def test_a_voxel_does_not_depend_on_the_others(network):
    module, clean, known = network
    together = module(clean, known)[0]
    alone = torch.cat([module(clean[i : i + 1], known[i : i + 1])[0] for i in range(20)])
    torch.testing.assert_close(alone, together[:20])


def test_the_scale_of_a_series_does_not_matter(network):
    module, clean, known = network
    scales = torch.tensor([1000.0] * 10 + [0.02] * 8)
    torch.testing.assert_close(module(clean * scales, known)[0], module(clean, known)[0], rtol=1e-4, atol=1e-4)
    parts = normalised(clean, CONFIG.series)
    torch.testing.assert_close(parts[:, :10].norm(dim=1), torch.ones(400))


def test_outputs_stay_within_their_bounds_however_strange_the_input(network):
    module, _, _ = network
    logs = module(1e3 * torch.randn(50, 18), 100.0 * torch.randn(50, 4))[0]
    assert ((logs >= torch.tensor([-3.0, 1.0])) & (logs <= torch.tensor([-1.0, 4.0]))).all()


def test_the_network_sees_the_noise(network):
    module, clean, known = network
    quiet = module.features(clean, known)[:, -1]
    loud = module.features(clean + 0.1 * torch.randn(400, 18), known)[:, -1]
    assert (quiet >= module.quietest).all()
    assert (loud > quiet + 1.0).float().mean() > 0.95


def test_weights_come_back_as_they_were(network, tmp_path):
    module, clean, known = network
    card = ModelCard(
        name="n", kind="exchange", description="", architecture=CONFIG.to_dict(), coverage={}, training={}, metrics={}
    )
    again, _ = load_checkpoint(save_checkpoint(module, card, tmp_path))
    torch.testing.assert_close(again(clean, known)[0], module(clean, known)[0])
    assert again.config == CONFIG
