import math
import multiprocessing
from dataclasses import replace

import pytest
import torch

from qmri_bids.networks.checkpoint import find_weights, load_checkpoint
from qmri_bids.networks.names import NETWORK_SYSTEMS
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.training import missing
from qmri_bids.training.missing import content_hash, ensure_weights, spec_for
from qmri_bids.training.shipped import SHIPPED

PROTOCOL = BssfpProtocol.evenly_spaced(
    number_of_cycles=8, repetition_time=6e-3, echo_time=3e-3, flip_angle=math.radians(30)
)


def small(**changes):
    return replace(spec_for(PROTOCOL, "svnn-magnitude-uniform"), epochs=1, samples=2000, **changes)


def ensure_in_a_process(cache, queue):
    torch.set_num_threads(1)
    lines = []
    ensure_weights(small(), cache=cache, progress=lines.append)
    queue.put(len(lines))


@pytest.mark.parametrize("estimator", sorted(NETWORK_SYSTEMS))
def test_a_specification_is_for_the_protocol_and_the_estimator(estimator):
    shifted = replace(PROTOCOL, rf_phase_increment=tuple(each + 0.2 for each in PROTOCOL.rf_phase_increment))
    made = spec_for(shifted, estimator)
    assert f"{made.system}-{made.prior}" == estimator
    assert made.protocol == PROTOCOL
    assert made == spec_for(PROTOCOL, estimator)


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(ValueError, match=r"a network to train must be one of .*pinn-complex-uniform.*, found 'linear'"):
        spec_for(PROTOCOL, "linear")
    uneven = replace(PROTOCOL, rf_phase_increment=(0.0, 1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match=r"evenly spaced RF phase increments, found 0.0, 57.3.* ml"):
        spec_for(uneven, "pinn-complex-uniform")


def test_the_hash_is_of_what_determines_the_result():
    assert content_hash(small(name="other")) == content_hash(small())
    protocol = replace(PROTOCOL, repetition_time=6.1e-3)
    others = [small(seed=1), small(protocol=protocol), small(snr=None), small(prior="in-vivo"), small(b1=(0.5, 1.4))]
    assert len({content_hash(each) for each in (small(), *others)}) == 6


def test_weights_are_trained_once_and_found(tmp_path):
    cache = tmp_path / "cache"
    lines = []
    assert ensure_weights(small(), cache=cache, progress=lines.append) == cache
    assert "Training network svnn_magnitude_uniform_n8_" in lines[0]
    assert "epoch 1/1" in lines[1]
    assert "trained in" in lines[2]
    (found,) = [
        each
        for each in find_weights(kind="paper", folder=cache, system="svnn-magnitude", prior="uniform")
        if each.card.coverage["number_of_cycles"] == 8
    ]
    _, card = load_checkpoint(found.path)
    assert card.training["protocol"]["repetition_time"] == 6e-3
    before = found.path.stat().st_mtime_ns
    ensure_weights(small(), cache=cache, progress=lines.append)
    assert len(lines) == 3
    assert found.path.stat().st_mtime_ns == before


def test_a_training_that_was_stopped_counts_for_nothing(tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(missing, "train", stop)
        with pytest.raises(KeyboardInterrupt):
            ensure_weights(small(), cache=tmp_path)
    assert not list(tmp_path.glob("[!.]*"))
    assert len(list(ensure_weights(small(), cache=tmp_path).glob("*.json"))) == 1


def test_two_processes_train_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=ensure_in_a_process, args=(tmp_path, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    # Lines said by each: one trained, the other waited, and said so if it came while the first was at it.
    waited, trained = sorted(queue.get(timeout=5) for _ in processes)
    assert trained == 3
    assert waited in (0, 1)


def test_the_shipped_table_has_one_row_a_name_and_fixed_seeds():
    assert len({spec.name for spec in SHIPPED}) == len(SHIPPED) == 19
    assert all(spec.seed == 0 for spec in SHIPPED)
    for system in ("svnn-magnitude", "pinn-magnitude", "svnn-complex", "pinn-complex"):
        numbers = [s.protocol.number_of_cycles for s in SHIPPED if (s.system, s.prior) == (system, "uniform")]
        assert numbers == [12, 6, 4]
