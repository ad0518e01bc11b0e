"""Compile the kernels and list the fonts into a folder that an image brings, so that no run has to.

    python fill_caches.py FOLDER

Every fit is called once, on a few voxels of the kinds of arrays that the workflows hand over. A kernel that is missed here, or is
needed for another processor, is compiled by the run that needs it, which keeps it below its work folder.
"""

import math
import os
import sys
import time
from pathlib import Path

FEW = 24


def main(folder: Path) -> None:
    # The libraries read these when they are imported.
    os.environ |= {"NUMBA_CACHE_DIR": str(folder / "numba"), "MPLCONFIGDIR": str(folder / "matplotlib")}
    started = time.monotonic()
    for fill in (fonts, relaxation, field_maps, spectra, pools):
        fill()
    kernels = list((folder / "numba").rglob("*.nbc"))
    if not kernels or not list((folder / "matplotlib").glob("fontlist-*.json")):
        raise SystemExit(f"{folder}: expected compiled kernels and a list of fonts, found {len(kernels)} kernels")
    # Whoever runs the image copies them.
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {len(kernels)} kernels, {size / 1e6:.1f} MB, {time.monotonic() - started:.0f} s")


def fonts() -> None:
    import matplotlib.font_manager  # noqa: F401  (writes its list when imported)


def relaxation() -> None:
    import numpy as np

    from qmri_bids.estimation.base import EstimatorOptions, KnownMaps
    from qmri_bids.estimation.bssfp.posterior.voxel import posterior
    from qmri_bids.estimation.bssfp.profile_fit import fit_natural
    from qmri_bids.estimation.estimators import ESTIMATORS
    from qmri_bids.physics.bssfp import signal
    from qmri_bids.physics.protocol import BssfpProtocol
    from qmri_bids.priors.relaxation import PRIORS

    protocol = BssfpProtocol.evenly_spaced(
        number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15.0)
    )
    t1, t2, field = np.linspace(0.6, 2.0, FEW), np.linspace(0.04, 0.12, FEW), np.linspace(-80.0, 80.0, FEW)
    b1 = np.ones(FEW)
    cycles = signal(t1, t2, b1=b1, off_resonance=field, protocol=protocol, m0=1.0)
    for name in ("pinn", "ml", "miracle", "planet"):
        for dtype, real in ((np.complex64, np.float32), (np.complex128, np.float64)):
            known = KnownMaps(b1=b1.astype(real))
            ESTIMATORS[name].create(EstimatorOptions()).estimate(cycles.astype(dtype), protocol=protocol, known=known)
    fit = fit_natural(cycles, rf_phase_increment=protocol.rf_phase_increment)
    posterior(fit, variance=np.full(FEW, 1e-4), b1=b1, protocol=protocol, prior=PRIORS["uniform"])


def field_maps() -> None:
    import numpy as np

    from qmri_bids.estimation.spectra.wasabi_fit import fit_wasabi
    from qmri_bids.estimation.spectra.wassr import fit_wassr
    from qmri_bids.physics.wasabi import WasabiProtocol, wasabi_signal

    protocol = WasabiProtocol(offsets=tuple(np.linspace(-255.0, 255.0, 31)))
    shift = np.linspace(-40.0, 40.0, FEW)
    z = wasabi_signal(off_resonance=shift, b1=np.ones(FEW), c=np.full(FEW, 0.8), d=np.full(FEW, 1.4), protocol=protocol)
    fit_wasabi(z, protocol=protocol, noise=0.01)
    direct = np.linspace(-128.0, 128.0, 26)
    fit_wassr(1.0 - 0.8 / (1.0 + ((direct - shift[:, None]) / 20.0) ** 2), offsets=direct)


def spectra() -> None:
    import numpy as np
    from qmri_bids.estimation.spectra.lines import lines
    from qmri_bids.estimation.spectra.lorentzian_fit import fit_lorentzian

    from qmri_bids.estimation.spectra.water_shift import water_minimum

    offsets = np.linspace(-6.0, 6.0, 49)
    shift = np.linspace(-0.3, 0.3, FEW)
    z = 0.9 - 0.8 / (1.0 + (2.0 * (offsets - shift[:, None]) / 1.6) ** 2)
    fit_lorentzian(z, offsets=offsets, water_shift=shift)
    fit = fit_lorentzian(z, offsets=offsets)
    lines(offsets, fit.parameters[:, 2::3], fit.parameters[:, 3::3], [False, True, False, False, False])
    water_minimum(z, offsets=offsets, noise=0.01)


def pools() -> None:
    import numpy as np

    from qmri_bids.estimation.pools.fit import fit_exchange
    from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels, exchange_signal
    from qmri_bids.physics.published_pools import PUBLISHED_POOLS
    from qmri_bids.physics.saturation_presets import mrf_amide, mrf_mt

    values = np.tile((0.112, 29.0, 1.9e-3, 162.0), (FEW, 1))
    known = KnownVoxels(t1=np.ones(FEW), t2=np.full(FEW, 0.07), b1=np.ones(FEW), off_resonance=np.zeros(FEW))
    for protocols, names in (((mrf_mt(), mrf_amide()), ("MT", "amide")), ((mrf_mt(),), ("MT",))):
        scan = ExchangeScan(protocols=protocols, model=PUBLISHED_POOLS, pools=names)
        start = values[:, : 2 * len(names)]
        fit_exchange(exchange_signal(scan, start, known), scan=scan, known=known, start=1.1 * start)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
