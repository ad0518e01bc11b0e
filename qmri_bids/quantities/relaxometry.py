"""Rows of pc-bSSFP and of R1 from spoiled echoes: relaxation times, M0, what is freed of transfer, fluid, misfit and noise."""

from __future__ import annotations

from qmri_bids.choices import PAPER_PRIORS
from qmri_bids.quantities.shared import BSSFP_GAPS, GAPS, IN_FRACTIONS, IN_SECONDS, M0_FILE
from qmri_bids.quantity import Display, Known, MapFile, Posterior, Quantity, Spread
from qmri_bids.units import fraction_to_percent, seconds_to_milliseconds

_TIMES_CAUSE = (
    "from the noise of the scan, from B1 where its own is known, and near fluid from what fluid the voxel may hold"
)
_TIMES = Posterior(priors=PAPER_PRIORS, gaps="NaN where the data contradict its range.")


RELAXATION = (
    Quantity(
        name="T1",
        label="T1",
        symbol="T1",
        file=MapFile(
            key="T1map",
            suffix="T1map",
            unit="s",
            description="Longitudinal relaxation time T1 of a single pool: of pc-bSSFP it is apparent, lowered by magnetization "
            f"transfer in tissue (desc-mtcorrected_T1map is not). {BSSFP_GAPS}",
        ),
        display=Display(
            unit="ms",
            window=(0, 2500),
            colormap="lipari",
            convert=seconds_to_milliseconds,
            note=IN_SECONDS,
        ),
        spread=Spread(limit=400, cause=_TIMES_CAUSE),
        posterior=_TIMES,
        known=Known(
            title="Longitudinal relaxation time T1", transform="t1_to_scan_transform", unit="s", option="--cest-t1"
        ),
    ),
    Quantity(
        name="T2",
        label="T2",
        symbol="T2",
        file=MapFile(key="T2map", suffix="T2map", unit="s", description=f"Transverse relaxation time T2. {BSSFP_GAPS}"),
        display=Display(
            unit="ms",
            window=(0, 150),
            colormap="navia",
            convert=seconds_to_milliseconds,
            note=IN_SECONDS,
        ),
        spread=Spread(limit=40, cause=_TIMES_CAUSE),
        posterior=_TIMES,
        known=Known(
            title="Transverse relaxation time T2", transform="t2_to_scan_transform", unit="s", option="--cest-t2"
        ),
    ),
    Quantity(
        name="M0",
        label="M0",
        symbol="M0",
        file=M0_FILE,
        display=Display(unit="arbitrary", window=None, colormap="gray", note="The scale is that of the receiver."),
        spread=Spread(limit=None, note=""),
    ),
    Quantity(
        name="R1",
        label="R1",
        symbol="R1",
        file=MapFile(key="R1map", suffix="R1map", unit="1/s", description=f"Longitudinal relaxation rate R1. {GAPS}"),
        display=Display(unit="1/s", window=(0, 2), colormap="lipari_r"),
        algorithm="R1 of two spoiled gradient echoes",
        references=("helms2008",),
        spread=Spread(limit=0.2),
    ),
)

_FREED = "bSSFP freed of magnetization transfer by the subject's semisolid pool"
_FREED_CAUSE = (
    "from the noise of the scan, B1, fraction and rate of the semisolid pool, "
    "its line and R1, and the duration of the pulse"
)
_FREED_GAPS = "NaN where apparent T1 or the semisolid pool has no value, or the two contradict each other."


def _freed_t1(name: str, label: str, symbol: str, desc: str, title: str, note: str) -> Quantity:
    """Return the row of a T1 that was freed of magnetization transfer."""
    return Quantity(
        name=name,
        label=label,
        symbol=symbol,
        phrase=title,
        file=MapFile(
            key=f"T1map_{desc}",
            suffix="T1map",
            desc=desc,
            unit="s",
            description=f"{title[0].upper()}{title[1:]}: that of {_FREED}. {_FREED_GAPS}",
        ),
        display=Display(
            unit="ms", window=(0, 2500), colormap="lipari", convert=seconds_to_milliseconds, note=f"{note} {IN_SECONDS}"
        ),
        algorithm="Two-pool steady state of bSSFP: apparent T1 freed by fraction and rate of the semisolid pool",
        references=("gloor2008",),
        spread=Spread(limit=400, cause=_FREED_CAUSE),
    )


TRANSFER = (
    _freed_t1(
        "mtcorrected_T1",
        "T1, MT-corrected",
        "T1 corr.",
        "mtcorrected",
        "T1 as an inversion recovery sees it",
        "T1 as an inversion recovery sees it; T1 without this name is what one pool under these pulses looks like.",
    ),
    _freed_t1(
        "free_T1",
        "T1 of free water",
        "T1 (free)",
        "free",
        "T1 of free water",
        "T1 of water alone, without exchange with the semisolid pool; it depends on R1 of that pool, which is assumed.",
    ),
    Quantity(
        name="free_M0",
        label="M0 of free water",
        symbol="M0 (free)",
        phrase="M0 of free water",
        file=MapFile(
            key="M0map_free",
            suffix="M0map",
            desc="free",
            unit="arbitrary",
            description=f"Signal of free water at equilibrium times receive sensitivity: that of {_FREED}. {_FREED_GAPS}",
        ),
        display=Display(unit="arbitrary", window=None, colormap="gray", note="The scale is that of the receiver."),
        algorithm="Two-pool steady state of bSSFP: apparent M0 freed by fraction and rate of the semisolid pool",
        references=("gloor2008",),
        spread=Spread(limit=None, cause=_FREED_CAUSE, note=""),
    ),
)

BSSFP = (
    Quantity(
        name="fluid_fraction",
        label="Fluid fraction",
        symbol="fluid fraction",
        phrase="the fluid fraction",
        full_name="the share of fluid in the equilibrium magnetisation",
        file=MapFile(
            key="fluid_fraction",
            suffix="fractionmap",
            desc="fluid",
            unit="arbitrary",
            in_bids=False,
            description="Share of fluid in the equilibrium magnetisation of the voxel. Beside fluid it may be negative, where side "
            "lobes "
            f"of the point spread function are; NaN where its standard deviation exceeds 0.5, too. {BSSFP_GAPS}",
        ),
        display=Display(
            unit="%",
            window=(-20, 100),
            colormap="viridis",
            convert=fraction_to_percent,
            note="Share of fluid in the equilibrium magnetisation. Noise, and side lobes of the point spread beside fluid, take it "
            "below 0 "
            f"and above 100 %; no value where its standard deviation exceeds 50 %. {IN_FRACTIONS}",
        ),
        spread=Spread(limit=20, cause="from the noise of the scan and what T1 and T2 of fluid vary by", note=""),
    ),
    Quantity(
        name="misfit",
        label="Residual over noise",
        symbol="misfit",
        file=MapFile(
            key="misfit",
            suffix="residualmap",
            desc="misfit",
            unit="1",
            in_bids=False,
            description="Root mean square of signal minus model over the phase cycles, over that which the noise of the "
            "surroundings leaves: 1 where the model holds.",
        ),
        display=Display(
            unit="1",
            window=(0, 3),
            colormap="plasma",
            note="Residual of the fit over what the noise around leaves: 1 where the model holds. The noise is told from "
            "residuals, too: where "
            "the model fails in a whole region, the map shows less of it.",
            section="uncertainty",
        ),
    ),
    Quantity(
        name="noise",
        label="Noise",
        symbol="noise",
        file=MapFile(
            key="noise",
            suffix="residualmap",
            desc="noise",
            unit="arbitrary",
            in_bids=False,
            description="Standard deviation of the noise in real and imaginary part of a phase cycle, pooled over neighbours, in "
            "the unit of the images.",
        ),
        display=Display(
            unit="arbitrary",
            window=None,
            colormap="gray",
            note="Standard deviation of the noise in real and imaginary part of one phase cycle, from residuals of neighbours: it "
            "is also "
            "high where the model fails in a whole region. The scale is that of the images.",
            section="uncertainty",
        ),
    ),
)
