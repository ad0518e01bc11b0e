"""Networks of pools: a small one trained here, and those that ship."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from exchange_cases import GREY_MATTER, MT_ALONE, PLAYED_PAIR, SHORT, WHITE_MATTER, box, seen, tissue

from qmri_bids.estimation.base import ProtocolNotSupported, Status
from qmri_bids.estimation.pool_estimators import DEFAULT_EXCHANGE_ESTIMATOR, EXCHANGE_ESTIMATORS
from qmri_bids.estimation.pools.estimate import ExchangeOptions
from qmri_bids.estimation.pools.likelihood import ExchangeLikelihood
from qmri_bids.estimation.pools.network import BareExchangeNetwork, RefinedExchangeNetwork, predict
from qmri_bids.estimation.pools.posterior import exchange_posterior
from qmri_bids.estimation.pools.train_by_fit import TrainByFit
from qmri_bids.networks.checkpoint import save_checkpoint
from qmri_bids.training.pools.card import exchange_card
from qmri_bids.training.pools.specification import ExchangeTrainingSpec, draw_samples, train_exchange
from qmri_bids.training.pools.subject import SubjectTrainingSpec

SMALL = ExchangeTrainingSpec(
    name="small", scan=MT_ALONE, samples=3000, steps=600, expansions=2, batch_size=256, hidden=48
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a physics-informed and a supervised network for a short semisolid stage."""
    place = tmp_path_factory.mktemp("weights")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    for loss in ("physics", "supervised"):
        spec = replace(SMALL, name=f"small_{loss}", loss=loss)
        result = train_exchange(spec)
        card = exchange_card(result.network, spec, losses=result.losses, seconds=result.seconds, command="")
        save_checkpoint(result.network, card, place)
    torch.set_num_threads(before)
    return place


def test_refinement_ends_where_maximum_likelihood_does(folder):
    values, known = tissue(60)
    data = seen(values[:, :2], known, scan=MT_ALONE, noise=0.003)
    refined = RefinedExchangeNetwork(weights_folder=folder)
    assert refined.remarks(MT_ALONE) == ()
    one = refined.estimate(data, scan=MT_ALONE, known=known)
    two = ExchangeLikelihood().estimate(data, scan=MT_ALONE, known=known)
    assert refined.model["name"] == "small_physics"
    both = (one.status["MT"] == Status.CONVERGED) & (two.status["MT"] == Status.CONVERGED)
    assert both.mean() > 0.95
    difference = (one.values["MT.fraction"] - two.values["MT.fraction"])[both] / one.stdev["MT.fraction"][both]
    assert np.abs(difference).max() < 0.1


def test_the_bare_network_states_the_size_of_its_errors(folder):
    samples = draw_samples(MT_ALONE, 800, noise=(0.01, 0.01), seed=4, threads=1, logarithmic=0.5)
    values, known = samples.values, samples.known
    data = samples.clean + 0.01 * np.random.default_rng(2).standard_normal(samples.clean.shape)
    bare = BareExchangeNetwork(weights_folder=folder)
    found = bare.estimate(data, scan=MT_ALONE, known=known)
    logs, spread = predict(bare.network(MT_ALONE), data, known)
    error = np.abs(logs - np.log(values))
    inside = (error < 0.9945 * np.exp(spread)).mean(axis=0)
    assert ((inside > 0.6) & (inside < 0.78)).all(), inside
    told = found.status["MT"] == Status.CONVERGED
    assert told.mean() > 0.3
    np.testing.assert_allclose(found.stdev["MT.rate"][told], (np.exp(spread) * np.exp(logs))[told, 1], rtol=1e-5)
    assert "network alone" in bare.remarks(MT_ALONE)[0]
    point = bare.point(data, scan=MT_ALONE, known=known)[told, 0]
    np.testing.assert_allclose(point, found.values["MT.fraction"][told], rtol=1e-5)


def test_maps_beyond_the_training_are_out_of_range(folder):
    values, known = tissue(5)
    data = seen(values[:, :2], known, scan=MT_ALONE)
    found = BareExchangeNetwork(weights_folder=folder).estimate(
        data, scan=MT_ALONE, known=replace(known, t1=np.full(5, 4.5))
    )
    assert (found.status["MT"] == Status.OUT_OF_RANGE).all()
    assert np.isnan(found.values["MT.rate"]).all()


def test_a_scan_without_network_is_refused_bare_and_said_when_refined(folder):
    bare = BareExchangeNetwork(weights_folder=folder)
    with pytest.raises(ProtocolNotSupported, match=r"32|16 \+ 16 images for MT, amide.*--train-missing"):
        bare.check(SHORT)
    refined = RefinedExchangeNetwork(weights_folder=folder)
    refined.check(SHORT)
    assert "No network was trained for this protocol" in refined.remarks(SHORT)[0]
    assert dict(refined.model) == {}
    values, known = tissue(10)
    found = refined.estimate(seen(values, known, noise=0.002), scan=SHORT, known=known)
    assert np.isfinite(found.values["MT.fraction"]).all()


def test_the_posterior_names_its_prior_and_is_calibrated_over_it(folder):
    values, known = box(800, scan=MT_ALONE, seed=9)
    data = seen(values, known, scan=MT_ALONE, noise=0.01)
    found = exchange_posterior(data, scan=MT_ALONE, known=known, weights_folder=folder)
    assert "prior 'uniform' (MT.fraction 0.02 to 0.3" in found.sentence()
    error = np.abs(found.values["MT.fraction"] - values[:, 0])
    assert 0.55 < np.mean(error < 0.9945 * found.stdev["MT.fraction"]) < 0.8
    outside = exchange_posterior(
        data[:3], scan=MT_ALONE, known=replace(known[slice(0, 3)], t1=np.full(3, 4.5)), weights_folder=folder
    )
    assert np.isnan(outside.values["MT.fraction"]).all()


def test_the_networks_that_ship_serve_the_published_protocol():
    for name in ("pinn", "pinn-bare", "supervised"):
        estimator = EXCHANGE_ESTIMATORS[name].create(ExchangeOptions(threads=2))
        estimator.check(PLAYED_PAIR)
        for truth in (WHITE_MATTER, GREY_MATTER):
            values, known = tissue(200, truth, field=10.0)
            data = seen(values, known, scan=PLAYED_PAIR, noise=0.005)
            found = estimator.point(data, scan=PLAYED_PAIR, known=known)
            assert (np.abs(np.median(found / values, axis=0) - 1.0)[:2] < 0.15).all(), name
    assert DEFAULT_EXCHANGE_ESTIMATOR == "pinn"


def test_train_by_fit_learns_the_subject_keeps_the_network_and_uses_it_again(tmp_path):
    values, known = tissue(1500)
    values = values[:, :2] * np.random.default_rng(0).uniform(0.7, 1.3, (1500, 2))
    data = 40.0 * seen(values, known, scan=MT_ALONE, noise=0.005)
    spec = SubjectTrainingSpec(samples=1500, warm_up=300, steps=300, expansions=3, batch_size=256, hidden=48)
    estimator = TrainByFit(weights_folder=tmp_path / "subject", spec=spec)
    found = estimator.estimate(data, scan=MT_ALONE, known=known)
    likelihood = ExchangeLikelihood().point(data, scan=MT_ALONE, known=known)
    good = np.isfinite(found.values["MT.fraction"])
    assert good.mean() > 0.98
    mine = np.abs(found.values["MT.fraction"] / values[:, 0] - 1.0)[good].mean()
    assert mine < 1.1 * np.abs(likelihood[:, 0] / values[:, 0] - 1.0).mean()
    assert (found.stdev["MT.fraction"][good] > 0.0).all()
    assert "trained on this subject" in " ".join(estimator.remarks(MT_ALONE))
    weights = list((tmp_path / "subject").glob("*.safetensors"))
    assert len(weights) == 1
    before = weights[0].read_bytes()
    again = TrainByFit(weights_folder=tmp_path / "subject", spec=spec)
    np.testing.assert_allclose(
        again.estimate(data, scan=MT_ALONE, known=known).values["MT.fraction"], found.values["MT.fraction"], rtol=1e-5
    )
    assert "earlier subject" in again.remarks(MT_ALONE)[0]
    assert weights[0].read_bytes() == before
    # Each voxel by itself: a part of the subject has the maps of the whole.
    part = again.point(data[:100], scan=MT_ALONE, known=known[slice(0, 100)])
    whole = again.point(data, scan=MT_ALONE, known=known)
    np.testing.assert_allclose(part, whole[:100], rtol=1e-4)


def test_too_few_voxels_are_no_subject(tmp_path):
    values, known = tissue(20)
    with pytest.raises(ValueError, match="at least 1000 voxels"):
        TrainByFit().estimate(seen(values, known), scan=SHORT, known=known)
