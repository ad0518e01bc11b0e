"""Z-spectra from arrays: MTR asymmetry, heights of Lorentzian lines and AREX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.api.arrays import Selection, check_time, count, given, noise_level, relaxation
from qmri_bids.api.cest import magnitudes, roles_of
from qmri_bids.api.result import Result
from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra.maps import ZSpectrumOptions, zspectrum_maps
from qmri_bids.physics.saturation import SaturationProtocol
from qmri_bids.quantities import get_quantity


def fit_zspectrum(
    images: Any,
    protocol: SaturationProtocol,
    *,
    t1: Any = None,
    t1_stdev: Any = None,
    off_resonance: Any = None,
    off_resonance_stdev: Any = None,
    pools: Sequence[str] | None = None,
    asymmetry: Sequence[float] = (3.5,),
    noise: float | None = None,
    mask: Any = None,
    threads: int = 1,
) -> Result:
    """Map the MTR asymmetry, the Lorentzian lines and AREX of a Z-spectrum (Zaiss et al., NMR Biomed 27:240, 2014).

    Parameters
    ----------
    images
        Magnitudes, shape (..., N), one image after the other along the last axis.
    protocol
        One image a volume, of one power and with at least one image that normalises (`cest_protocol`).
    t1, t1_stdev
        T1 of water and its standard deviation [s], numbers or maps (...); without T1 there is no AREX.
    off_resonance, off_resonance_stdev
        Shift of water and its standard deviation [Hz], numbers or maps, as of `fit_wasabi`; the dip of the spectrum tells it where
        none is given.
    pools
        Lines of the fit, `water` and some of `MT`, `amide`, `NOE`, `amine`; none of them for `()`. By default all five where the
        offsets reach far enough to tell them, else none.
    asymmetry
        Offsets of the MTR asymmetry Z(-offset) - Z(+offset) [ppm].
    noise
        Standard deviation of one image; from the series by default.
    mask
        Where to estimate, shape (...).
    threads
        The result does not depend on it.

    Returns
    -------
    Result
        `MTRasym_<offset>` [%], `amplitude_<pool>` [%], `arex_<pool>` [1/s] and `off_resonance` [Hz], the shift of water that was
        used. Files of the command line hold amplitudes as fractions.

    Raises
    ------
    ValueError
        If arrays do not belong together, T1 is in milliseconds, no image normalises, or the offsets do not tell the lines that were
        asked for.

    Examples
    --------
    >>> import numpy as np, qmri_bids as q
    >>> offsets = [float("nan"), *np.linspace(-6, 6, 49)]
    >>> protocol = q.cest_protocol(offsets, b1=1.0, duration=2.0, field_strength=3.0, recovery=3.0)
    >>> amide = q.pool_model(amide=dict(fraction=1e-3, rate=100.0, shift=3.5, t2=0.01))
    >>> images = q.simulate_cest(protocol, pools=amide, t1=[1.2], t2=[0.07])
    >>> found = q.fit_zspectrum(images, protocol, noise=1e-3)
    >>> found.maps["MTRasym_3.5"].round(1), found.units["MTRasym_3.5"]
    (array([5.9], dtype=float32), '%')
    """
    found, chosen, signal = magnitudes(images, protocol, mask=mask)
    for name, values, spread in (("t1", t1, t1_stdev), ("off_resonance", off_resonance, off_resonance_stdev)):
        if values is None and spread is not None:
            raise ValueError(f"{name}_stdev: expected with {name}, found it alone: give {name}, too")
    if pools is not None and (isinstance(pools, str) or not isinstance(pools, Sequence)):
        raise ValueError(f"pools: expected names of lines, as ('water', 'amide'), found {pools!r}")
    times = _rows(t1, chosen=chosen, name="t1")
    if times is not None:
        check_time(t1, name="t1")
        times = relaxation(times, name="t1")
    maps = zspectrum_maps(
        signal,
        protocol=protocol,
        roles=roles_of(protocol),
        water_shift=_rows(off_resonance, chosen=chosen, name="off_resonance"),
        water_shift_stdev=chosen.spread(off_resonance_stdev, name="off_resonance_stdev"),
        t1=times,
        t1_stdev=chosen.spread(t1_stdev, name="t1_stdev"),
        noise=noise_level(noise),
        options=ZSpectrumOptions(asymmetry=_offsets(asymmetry), pools=None if pools is None else tuple(pools)),
        option_of_pools="pools",
        threads=count(threads, name="threads"),
    )
    every = {"off_resonance": (maps.water_shift, maps.water_shift_stdev), **maps.maps}
    shown = {name: get_quantity(name).display for name in every}

    def whole(name: str, values: NDArray[np.float32]) -> Any:
        return found.as_given(chosen.whole(np.asarray(shown[name].convert(values), dtype=np.float32)))

    return Result(
        maps={name: whole(name, values) for name, (values, _) in every.items()},
        stdev={name: whole(name, spread) for name, (_, spread) in every.items() if spread is not None},
        status=found.as_given(chosen.whole(maps.status, fill=Status.OUTSIDE)),
        units={name: display.unit for name, display in shown.items()},
        decisions=(*maps.decisions, *maps.warnings),
        like=found,
    )


def _rows(value: Any, *, chosen: Selection, name: str) -> NDArray[np.float64] | None:
    """Return a number or map in the voxels that are estimated."""
    return None if value is None else chosen.known(value, name=name)


def _offsets(asymmetry: Any) -> tuple[float, ...]:
    values = given(asymmetry, name="asymmetry").values
    if values.ndim != 1 or not np.isfinite(values).all() or np.iscomplexobj(values):
        raise ValueError(f"asymmetry: expected offsets in ppm, as (3.5,), found {asymmetry!r}")
    return tuple(float(offset) for offset in values)
