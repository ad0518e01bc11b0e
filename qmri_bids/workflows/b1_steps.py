"""Which sentences of the methods hold for a B1+ map."""

from __future__ import annotations

from qmri_bids.bids.plan import B1Run
from qmri_bids.preprocessing.b1_smoothing import WAVELENGTH
from qmri_bids.reports.methods import Step


def b1_steps(run: B1Run) -> list[Step]:
    """Return the sentences of the methods for a B1+ map.

    Parameters
    ----------
    run
        How B1 was measured.
    """
    measured: Step = ("b1_wasabi", {"run": run.run}) if run.run is not None else f"b1_{run.method.lower()}"
    placed: Step = "b1_placed" if run.anatomical is None and run.run is None else "b1_registration"
    return [measured, placed, ("b1_smoothing", {"size": f"{WAVELENGTH:g} mm"})]
