"""Short fingerprints and voxels with known pools, for all tests of their estimation."""

from dataclasses import replace

import numpy as np

from qmri_bids.phantom.scans.cest import CEST_SCANS
from qmri_bids.physics.fingerprint import KNOWN, ExchangeScan, KnownVoxels, exchange_signal
from qmri_bids.physics.published_pools import PUBLISHED_POOLS
from qmri_bids.physics.saturation_presets import mrf_amide, mrf_mt
from qmri_bids.priors.pools import EXCHANGE_PRIOR

IMAGES = 16


def shortened(protocol, images=IMAGES):
    return replace(protocol, images=protocol.images[:images])


SHORT = ExchangeScan(
    protocols=(shortened(mrf_mt()), shortened(mrf_amide())), model=PUBLISHED_POOLS, pools=("MT", "amide")
)
MT_ALONE = ExchangeScan(protocols=(shortened(mrf_mt()),), model=PUBLISHED_POOLS, pools=("MT",))
WHOLE = ExchangeScan(protocols=(mrf_mt(), mrf_amide()), model=PUBLISHED_POOLS, pools=("MT", "amide"))
WHITE_MATTER = (0.112, 29.0, 1.9e-3, 162.0)
GREY_MATTER = (0.063, 40.0, 2.4e-3, 365.0)
TIMES = {WHITE_MATTER: (0.939, 0.062), GREY_MATTER: (1.4, 0.085)}


def tissue(number, values=WHITE_MATTER, *, seed=0, b1=(0.9, 1.1), field=40.0):
    """Return parameters and known maps of voxels of one tissue, ΔB0 within ±field [Hz]."""
    rng = np.random.default_rng(seed)
    t1, t2 = TIMES[values]
    known = KnownVoxels(
        t1=t1 * rng.uniform(0.95, 1.05, number),
        t2=t2 * rng.uniform(0.95, 1.05, number),
        b1=rng.uniform(*b1, number),
        off_resonance=rng.uniform(-field, field, number),
    )
    return np.tile(values, (number, 1)), known


def box(number, *, scan=SHORT, seed=0):
    """Return parameters and known maps of voxels of the prior."""
    rng = np.random.default_rng(seed)
    drawn = EXCHANGE_PRIOR.draw(number, parameters=(*scan.parameters, *KNOWN), rng=rng)
    known = KnownVoxels(**{name: drawn[name] for name in KNOWN})
    return np.stack([drawn[name] for name in scan.parameters], axis=1), known


def seen(values, known, *, scan=SHORT, noise=0.0, seed=0):
    """Return images for M0 = 1."""
    clean = exchange_signal(scan, values, known)
    return clean + noise * np.random.default_rng(seed).standard_normal(clean.shape)


PLAYED_PAIR = ExchangeScan(
    protocols=tuple(design.protocol for design in CEST_SCANS["mrf"]), model=PUBLISHED_POOLS, pools=("MT", "amide")
)
"""Both stages as the simulator plays them."""
