import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from qmri_bids.estimation.base import KnownMaps, ProtocolNotSupported, Status
from qmri_bids.estimation.bssfp.network import Network
from qmri_bids.networks.checkpoint import package_weights, save_checkpoint
from qmri_bids.networks.names import NETWORK_SYSTEMS
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.training.loop import train
from qmri_bids.training.missing import spec_for
from qmri_bids.training.shipped import SHIPPED

SHIPPED_NAMES = sorted({f"{spec.system}-{spec.prior}" for spec in SHIPPED})


def make_protocol(cycles=12, *, tr=4.8e-3, degrees=15.0, offset=0.0):
    protocol = BssfpProtocol.evenly_spaced(
        number_of_cycles=cycles, repetition_time=tr, echo_time=tr / 2, flip_angle=math.radians(degrees)
    )
    return replace(protocol, rf_phase_increment=tuple(each + offset for each in protocol.rf_phase_increment))


def draw(number, protocol, *, snr=math.inf, seed=0):
    rng = np.random.default_rng(seed)
    t1, t2 = rng.uniform(0.36, 2.08, number), rng.uniform(0.02, 0.12, number)
    b1 = rng.uniform(0.7, 1.3, number)
    off_resonance = rng.uniform(-0.5, 0.5, number) / protocol.repetition_time
    receiver = np.exp(1j * rng.uniform(-3, 3, number))
    cycles = signal(t1, t2, b1=b1, off_resonance=off_resonance, protocol=protocol, m0=receiver)
    noise = rng.normal(size=(*cycles.shape, 2)).view(complex)[..., 0]
    return {"T1": t1, "T2": t2, "off_resonance": off_resonance}, cycles + 0.074 / (math.sqrt(2) * snr) * noise, b1


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_noise_free_recovery_over_the_whole_circle(name):
    protocol = make_protocol()
    truth, cycles, b1 = draw(4000, protocol)
    found = Network(name).estimate(cycles, protocol=protocol, known=KnownMaps(b1=b1))
    solved = found.status == Status.CONVERGED
    assert solved.mean() > 0.97
    assert set(np.unique(found.status[~solved])) <= {Status.OUT_OF_RANGE}
    for key in ("T1", "T2"):
        assert np.mean(np.abs(found.values[key][solved] / truth[key][solved] - 1)) < 0.05
    turn = 2 * math.pi * protocol.repetition_time
    difference = np.angle(np.exp(1j * turn * (found.values["off_resonance"] - truth["off_resonance"])[solved]))
    assert np.max(np.abs(difference)) < 0.1


@pytest.mark.parametrize("cycles", [4, 6, 12])
def test_an_offset_of_the_increments_changes_nothing_but_the_reference_of_theta(cycles):
    """Any offset and any order of the volumes: T1 and T2 within the noise-free error of the network at another θ."""
    estimator = Network("pinn-complex-uniform")
    protocol = make_protocol(cycles, offset=0.37)
    truth, data, b1 = draw(3000, protocol)
    order = np.random.default_rng(0).permutation(cycles)
    shuffled = replace(protocol, rf_phase_increment=tuple(protocol.rf_phase_increment[each] for each in order))
    plain = estimator.estimate(data, protocol=protocol, known=KnownMaps(b1=b1))
    again = estimator.estimate(data[:, order], protocol=shuffled, known=KnownMaps(b1=b1))
    np.testing.assert_allclose(again.values["T1"], plain.values["T1"], rtol=2e-3)
    solved = plain.status == Status.CONVERGED
    assert np.mean(np.abs(plain.values["T1"][solved] / truth["T1"][solved] - 1)) < 0.05
    turn = 2 * math.pi * protocol.repetition_time
    difference = np.angle(np.exp(1j * turn * (plain.values["off_resonance"] - truth["off_resonance"])[solved]))
    assert np.mean(np.abs(difference)) < 0.03


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_nothing_happens_at_the_seam_of_the_circle(name):
    """A quarter of a hertz across ±1/(2TR) moves T1 and T2 by next to nothing."""
    protocol = make_protocol()
    edge = 1 / (2 * protocol.repetition_time)
    ones = np.ones(2)
    cycles = signal(
        0.9 * ones, 0.06 * ones, b1=ones, off_resonance=np.array([edge - 0.125, edge + 0.125]), protocol=protocol
    )
    found = Network(name).estimate(cycles, protocol=protocol, known=KnownMaps(b1=ones))
    for key in ("T1", "T2"):
        assert abs(found.values[key][0] / found.values[key][1] - 1) < 3e-3
    turn = 2 * math.pi * protocol.repetition_time * found.values["off_resonance"]
    assert math.cos(turn[0] - math.pi) > 0.999
    assert math.cos(turn[1] - math.pi) > 0.999


@pytest.mark.parametrize("name", [each for each in SHIPPED_NAMES if each.endswith("-uniform")])
@pytest.mark.parametrize(("t1", "t2"), [(4.0, 1.5), (1.2, 0.2), (3.0, 0.08)])
def test_what_lies_outside_the_published_range_is_flagged_and_never_squeezed_into_it(name, t1, t2):
    protocol = make_protocol()
    ones = np.ones(50)
    cycles = signal(t1 * ones, t2 * ones, b1=ones, off_resonance=np.linspace(-100, 100, 50), protocol=protocol)
    found = Network(name).estimate(cycles, protocol=protocol, known=KnownMaps(b1=ones))
    assert np.mean(found.status == Status.OUT_OF_RANGE) > 0.9
    assert np.isnan(found.values["T1"][found.status == Status.OUT_OF_RANGE]).all()


def test_every_covered_range_and_what_to_do_are_named():
    estimator = Network("pinn-complex-uniform")
    with pytest.raises(ProtocolNotSupported) as refusal:
        estimator.check(make_protocol(8))
    assert "N = 4, 6, 12 at a nominal flip angle within 9.0-21.0°" in refusal.value.expected
    assert refusal.value.found == "N = 8 at a nominal 15.0°"
    assert "--train-missing" in refusal.value.advice
    assert "--bssfp-estimator ml" in refusal.value.advice
    with pytest.raises(ProtocolNotSupported, match=r"found N = 12 at a nominal 35.0°"):
        estimator.check(make_protocol(12, degrees=35.0))
    with pytest.raises(ProtocolNotSupported, match="none"):
        Network("svnn-magnitude-in-vivo").check(make_protocol())
    uneven = replace(make_protocol(4), rf_phase_increment=(0.0, 1.0, 2.0, 3.0))
    with pytest.raises(ProtocolNotSupported, match=r"evenly spaced .*estimator pinn-complex-uniform"):
        estimator.check(uneven)


def test_weights_of_a_folder_serve_what_the_package_does_not_and_come_first(tmp_path):
    name = "svnn-magnitude-uniform"
    protocol = make_protocol(8, degrees=30.0)
    for each in (protocol, make_protocol(12, degrees=14.0), make_protocol(12, degrees=18.0)):
        made = replace(spec_for(each, name), epochs=1, samples=2000)
        made = replace(made, name=f"{made.name}_{math.degrees(each.flip_angle):.0f}")
        result = train(made)
        save_checkpoint(result.network, result.card, tmp_path)
    estimator = Network(name, weights_folder=tmp_path)
    for asked, used in ((protocol, "_n8_30"), (make_protocol(12, degrees=17.0), "_n12_18"), (make_protocol(6), "_n6")):
        estimator.check(asked)
        assert estimator.model["name"].endswith(used)
        assert len(estimator.model["sha256"]) == 64


def test_another_repetition_time_or_an_extreme_flip_angle_is_remarked():
    estimator = Network("pinn-complex-uniform")
    assert estimator.remarks(make_protocol()) == ()
    (remark,) = estimator.remarks(make_protocol(tr=9.6e-3))
    assert "T1 720-4160 ms and T2 40-240 ms" in remark
    (remark,) = estimator.remarks(make_protocol(degrees=19.0))
    assert "actual flip angles of 9.0-21.0°" in remark


def test_limits_of_few_cycles_are_remarked():
    remarks = Network("pinn-complex-uniform").remarks(make_protocol(4))
    assert "may give voxels somewhat beyond its trained range a value within it" in remarks[0]
    assert "of the shipped networks one covers 45-66 % in tissue" in remarks[1]
    remarks = Network("pinn-magnitude-uniform").remarks(make_protocol(6))
    assert "biased as a function of off-resonance" in remarks[0]
    assert len(Network("svnn-magnitude-uniform").remarks(make_protocol(4))) == 3


def test_a_network_trained_on_little_fluid_says_so():
    assert "T1 of fluid is about a third too low" in Network("pinn-complex-in-vivo").remarks(make_protocol())[-1]


def test_names_are_those_of_the_table_and_the_model_is_that_of_the_card():
    assert set(SHIPPED_NAMES) <= set(NETWORK_SYSTEMS)
    estimator = Network("pinn-complex-uniform")
    estimator.check(make_protocol(6))
    assert estimator.model["name"] == "pinn_complex_uniform_n6"
    assert (package_weights() / f"{estimator.model['name']}.safetensors").is_file()
