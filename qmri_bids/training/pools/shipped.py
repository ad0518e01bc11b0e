"""The networks of pools that ship with the package; `qmri-tools train-exchange` trains them again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from qmri_bids.physics.fingerprint import ExchangeScan
from qmri_bids.physics.published_pools import PUBLISHED_POOLS
from qmri_bids.physics.saturation import SaturationProtocol
from qmri_bids.physics.saturation_presets import mrf_amide, mrf_mt
from qmri_bids.training.pools.specification import ExchangeTrainingSpec


def _as_played(protocol: SaturationProtocol) -> SaturationProtocol:
    """Return a preset whose excitations B1 scales: what a scanner does, and what a sidecar says of it."""
    assert protocol.readout is not None
    return replace(protocol, readout=replace(protocol.readout, scales_with_b1=True))


def _scan(*protocols: SaturationProtocol) -> ExchangeScan:
    return ExchangeScan(protocols=protocols, model=PUBLISHED_POOLS, pools=("MT", "amide"))


PLAYED_SCAN = _scan(_as_played(mrf_mt()), _as_played(mrf_amide()))
"""Both stages of published fingerprinting at 3 T as a scanner plays them: B1 scales the excitations of the readout, too."""

SHIPPED_EXCHANGE: Mapping[str, ExchangeTrainingSpec] = {
    spec.name: spec
    for spec in (
        ExchangeTrainingSpec(name="pinn_exchange_mrf_3t", scan=PLAYED_SCAN),
        ExchangeTrainingSpec(name="svnn_exchange_mrf_3t", scan=PLAYED_SCAN, loss="supervised"),
    )
}
"""Their specifications by name, in the order of training."""
