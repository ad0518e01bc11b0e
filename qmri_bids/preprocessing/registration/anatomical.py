"""An anatomical image with mask and tissues brought to the grid of a quantitative scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.registration.resampling import resample
from qmri_bids.preprocessing.registration.scans import RegistrationFailed, ScanRegistration, register_scans
from qmri_bids.tissue_labels import ABBREVIATIONS, TISSUE_LABELS

LEAST_PROBABILITY = 0.3
"""Sum of the probabilities of all tissues below which a voxel has none."""

LEAST_BRAIN = 1000
"""Volume of brain [mm³] that a scan must hold at least: with less it shows another place."""


@dataclass(frozen=True, kw_only=True)
class Anatomical:
    """An anatomical image, and what belongs to it on the same grid.

    Parameters
    ----------
    image
        The anatomical image, shape (X, Y, Z).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    brain
        Brain mask; None where there is none.
    tissues
        Probabilities by abbreviation (`tissue_labels.ABBREVIATIONS`); empty where there are none.
    name
        Name of the image, for the sentences.
    origin
        Origin of the tissues, for the sentences.
    """

    image: NDArray[np.float32]
    affine: NDArray[np.float64]
    brain: NDArray[np.float32] | None = None
    tissues: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    name: str = ""
    origin: str = ""
    decisions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BroughtAnatomy:
    """An anatomy on the grid of a scan.

    Parameters
    ----------
    registration
        Registration of the scan to the anatomical image.
    image
        The anatomical image, shape of the scan.
    mask, tissue
        Brain mask and labels of tissues; None where the anatomy has none.
    decisions, warnings
        What was decided, and doubts, as sentences.
    """

    registration: ScanRegistration
    image: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    tissue: NDArray[np.uint8] | None
    decisions: tuple[str, ...]
    warnings: tuple[str, ...]


def load_anatomical(
    t1w: Path, *, brain_mask: Path | None = None, dseg: Path | None = None, probseg: Mapping[str, Path] | None = None
) -> Anatomical:
    """Read an anatomical image with mask and tissues.

    Probabilities are preferred to labels: they can be interpolated. Labels are those of BIDS (1 grey matter, 2 white matter,
    3 fluid), unless the image itself, darkest in fluid and brightest in white matter, shows the order of FSL (1 fluid, 2 grey
    matter, 3 white matter), which fMRIPrep wrote before version 20.2.

    Parameters
    ----------
    t1w, brain_mask, dseg
        Images on one grid.
    probseg
        Probabilities by abbreviation (`tissue_labels.ABBREVIATIONS`).
    """
    image, affine = _read(t1w)
    tissues: dict[str, NDArray[np.float32]] = {}
    origin, decisions = "", []
    if probseg and set(probseg) >= set(ABBREVIATIONS.values()):
        tissues = {name: _read(probseg[name])[0] for name in ABBREVIATIONS.values()}
        origin = f"the probabilities label-…_probseg of {probseg['GM'].name.partition('_label')[0]}"
    elif dseg is not None:
        labels = np.rint(_read(dseg)[0]).astype(int)
        means = [
            float(np.median(image[labels == label])) if (labels == label).any() else np.nan for label in TISSUE_LABELS
        ]
        order = ("GM", "WM", "CSF")
        if means[0] < means[1] < means[2]:
            order = ("CSF", "GM", "WM")
            decisions.append(
                f"{dseg.name}: labels rise from fluid to white matter, as FSL has them: they were read in that order."
            )
        tissues = {name: (labels == place).astype(np.float32) for place, name in enumerate(order, start=1)}
        origin = f"the labels of {dseg.name}"
    return Anatomical(
        image=image,
        affine=affine,
        brain=None if brain_mask is None else (_read(brain_mask)[0] > 0.5).astype(np.float32),
        tissues=tissues,
        name=t1w.name,
        origin=origin,
        decisions=tuple(decisions),
    )


def bring_anatomy(
    anatomical: Anatomical, *, magnitude: NDArray[np.floating], affine: NDArray[np.floating]
) -> BroughtAnatomy:
    """Register an anatomical image rigidly to a scan, and bring mask and tissues to its grid.

    Parameters
    ----------
    anatomical
        Anatomical image with what belongs to it, from `load_anatomical`.
    magnitude, affine
        Image of the scan with its scalp, shape (X, Y, Z), and its voxel to RAS millimetres.

    Raises
    ------
    RegistrationFailed
        If the registration is not believable, or no brain lies in the scan.
    """
    found = register_scans(magnitude, fixed_affine=affine, moving=anatomical.image, moving_affine=anatomical.affine)

    def bring(image: NDArray[np.float32]) -> NDArray[np.float32]:
        return resample(
            image,
            affine=anatomical.affine,
            target_shape=magnitude.shape,
            target_affine=np.asarray(affine, dtype=float),
            transform=found.transform,
            order=1,
        )

    decisions = [*anatomical.decisions, *(f"{anatomical.name}: {each}" for each in found.decisions)]
    mask = tissue = None
    if anatomical.brain is not None:
        mask = bring(anatomical.brain) > 0.5
        volume = float(mask.sum()) * abs(float(np.linalg.det(np.asarray(affine)[:3, :3])))
        if volume < LEAST_BRAIN:
            raise RegistrationFailed(
                f"only {volume:.0f} mm³ of the brain of {anatomical.name} lie in the scan; check that both show one place"
            )
        decisions.append(
            f"The brain mask is that of {anatomical.name}, brought to this scan (linear, above one half): {volume * 1e-6:.2f} "
            "litres."
        )
    if anatomical.tissues:
        shares = np.stack([bring(anatomical.tissues[name]) for name in ABBREVIATIONS.values()])
        labels = np.array(TISSUE_LABELS, dtype=np.uint8)[np.argmax(shares, axis=0)]
        tissue = np.where(shares.sum(axis=0) >= LEAST_PROBABILITY, labels, 0).astype(np.uint8)
        if mask is not None:
            tissue[~mask] = 0
        decisions.append(f"Tissues are the most probable ones of {anatomical.origin}, brought to this scan (linear).")
    return BroughtAnatomy(
        registration=found,
        image=bring(anatomical.image),
        mask=mask,
        tissue=tissue,
        decisions=tuple(decisions),
        warnings=tuple(f"{anatomical.name}: {each}" for each in found.warnings),
    )


def _read(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    import nibabel as nib

    image: Any = nib.load(path)
    data = np.nan_to_num(np.asarray(image.dataobj, dtype=np.float32))
    return (data[..., 0] if data.ndim == 4 else data), image.affine
