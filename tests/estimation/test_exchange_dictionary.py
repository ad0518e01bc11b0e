import numpy as np
import pytest
import torch
from exchange_cases import MT_ALONE, SHORT, WHITE_MATTER, box, seen, tissue

from qmri_bids.estimation.base import ProtocolNotSupported, Status
from qmri_bids.estimation.pools.dictionary import (
    _MEMORY,
    ENTRIES,
    KEPT,
    VOXELS,
    ExchangeDictionary,
    exchange_entries,
    nearest,
)
from qmri_bids.physics.fingerprint import KNOWN, KnownVoxels
from qmri_bids.physics.saturation_bound import exchange_bound
from qmri_bids.priors.pools import EXCHANGE_PRIOR, ExchangePrior

NUMBER = 3000


class PlainExchangeDictionary(ExchangeDictionary):
    """Published matching: by the images alone, whatever T1, T2, B1 and off-resonance the entry has."""

    name = "dictionary-plain"
    known_weight = 0.0


def make(kind=ExchangeDictionary, **changes):
    return kind(**{"number": NUMBER} | changes)


def entries_of(scan=SHORT, **changes):
    return exchange_entries(scan, **{"number": NUMBER, "prior": EXCHANGE_PRIOR, "seed": 2025} | changes)


def test_nearest_is_that_of_the_whole_product():
    generator = torch.Generator().manual_seed(0)
    voxels = torch.randn(VOXELS + 40, 5, generator=generator)
    entries = torch.randn(3 * ENTRIES + 7, 5, generator=generator)
    np.testing.assert_array_equal(nearest(voxels, entries), (voxels @ entries.T).argmax(dim=1).numpy())


@pytest.mark.parametrize("kind", [ExchangeDictionary, PlainExchangeDictionary])
def test_an_entry_is_its_own_match_whatever_the_scale(kind):
    entries = entries_of()
    chosen = np.arange(0, NUMBER, 60)
    known = KnownVoxels(**dict(zip(KNOWN, entries.known[chosen].T, strict=True)))
    data = seen(entries.values[chosen], known) * np.repeat([300.0, 40.0], 16)
    estimator = make(kind)
    np.testing.assert_array_equal(estimator.point(data, scan=SHORT, known=known), entries.values[chosen])
    found = estimator.estimate(data, scan=SHORT, known=known)
    np.testing.assert_allclose(found.amplitude, np.tile([300.0, 40.0], (len(chosen), 1)), rtol=1e-5)
    assert found.residual.max() < 1e-6
    np.testing.assert_allclose(found.fitted, data, rtol=1e-5)


def test_known_maps_help_and_are_what_tells_the_variants_apart():
    values, known = box(300, seed=3)
    data = seen(values, known, noise=0.003)
    errors = {}
    for kind in (ExchangeDictionary, PlainExchangeDictionary):
        point = make(kind, number=20_000).point(data, scan=SHORT, known=known)
        errors[kind.name] = np.mean(np.abs(point[:, 0] / values[:, 0] - 1.0))
    assert errors["dictionary"] < 0.8 * errors["dictionary-plain"]


def test_stated_deviation_is_that_of_the_noise_at_the_match():
    # On an entry itself there is nothing but noise.
    entries = entries_of()
    inside = np.flatnonzero(np.abs(entries.values / WHITE_MATTER - 1.0)[:, :2].max(axis=1) < 0.3)[:1]
    values, maps = np.repeat(entries.values[inside], 400, axis=0), np.repeat(entries.known[inside], 400, axis=0)
    known = KnownVoxels(**dict(zip(KNOWN, maps.T, strict=True)))
    found = make().estimate(seen(values, known, noise=1e-3), scan=SHORT, known=known)
    on_entry = found.values["MT.fraction"] == values[:, 0]
    assert on_entry.mean() > 0.9
    assert np.median(found.noise) == pytest.approx(1e-3, rel=0.1)
    bound = exchange_bound(SHORT, values[:1], known[:1], noise_stdev=1e-3)[0]
    for place, name in enumerate(SHORT.parameters):
        assert np.median(found.stdev[name][on_entry]) == pytest.approx(bound[place], rel=0.2)
    assert -1.0 < np.median(found.correlation["MT"]) < -0.5


def test_bad_voxels_are_invalid_and_all_others_have_a_value():
    values, known = tissue(20)
    data = seen(values, known, noise=0.01)
    data[2, 3] = np.nan
    known.t1[5] = np.nan
    found = make().estimate(data, scan=SHORT, known=known)
    bad = np.isin(np.arange(20), (2, 5))
    for pool in SHORT.pools:
        np.testing.assert_array_equal(found.status[pool], np.where(bad, Status.INVALID_INPUT, Status.CONVERGED))
    for name in SHORT.parameters:
        np.testing.assert_array_equal(np.isnan(found.values[name]), bad)
        np.testing.assert_array_equal(np.isnan(found.stdev[name]), bad)
    point = make().point(data, scan=SHORT, known=known)
    np.testing.assert_array_equal(np.isnan(point).all(axis=1), bad)


def test_a_stage_alone_is_matched_with_the_amide_of_its_model():
    values, known = box(50, scan=MT_ALONE)
    point = make().point(seen(values, known, scan=MT_ALONE), scan=MT_ALONE, known=known)
    assert point.shape == (50, 2)
    assert np.median(np.abs(point[:, 0] / values[:, 0] - 1.0)) < 0.25


def test_entries_are_made_once_and_kept_in_a_folder(tmp_path, monkeypatch):
    first = entries_of(number=50, folder=tmp_path)
    assert entries_of(number=50) is first
    _MEMORY.clear()

    def refuse(*arguments, **options):
        raise AssertionError("simulated again")

    monkeypatch.setattr("qmri_bids.estimation.pools.dictionary.exchange_signal", refuse)
    again = entries_of(number=50, folder=tmp_path)
    np.testing.assert_array_equal(again.signal, first.signal)
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]
    with pytest.raises(AssertionError, match="simulated again"):
        entries_of(number=50, seed=1, folder=tmp_path)


def test_memory_of_entries_is_bounded_and_other_draws_are_others():
    _MEMORY.clear()
    made = [entries_of(number=20, seed=seed) for seed in range(KEPT + 1)]
    assert len(_MEMORY) == KEPT
    assert not np.array_equal(made[0].values, made[1].values)
    np.testing.assert_array_equal(entries_of(number=20, seed=0).signal, made[0].signal)
    low, high = EXCHANGE_PRIOR.bounds(SHORT.parameters)
    assert ((made[0].values >= low) & (made[0].values <= high)).all()


def test_a_pool_without_a_range_is_refused():
    prior = ExchangePrior(name="no amide", ranges={"MT.fraction": (0.02, 0.3), "MT.rate": (5.0, 100.0)})
    with pytest.raises(
        ProtocolNotSupported, match=r"found none for amide.fraction, amide.rate\. Use --cest-estimator ml"
    ):
        make(prior=prior).check(SHORT)


def test_remarks_say_what_is_not_in_the_deviations():
    text = " ".join(make().remarks(SHORT))
    assert "best of 3,000 simulated entries (MT.fraction 0.02 to 0.3," in text
    assert "are not in them" in text
    assert "take part in the match" in text
