"""The anatomical image that another workflow hands over while it runs, in place of one that is found on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qmri_bids.bids.anatomy.images import TISSUES, Anatomy, check_anatomy
from qmri_bids.bids.layout import BidsInputError

GIVEN_FIELDS: Mapping[str, str] = {
    "t1w_preproc": "T1w image with scalp",
    "t1w_mask": "brain mask on its grid",
    "t1w_dseg": "labels of three tissues on its grid",
    "t1w_tpms": f"probabilities of {', '.join(TISSUES)} on its grid, in this order",
    "template": "names of templates",
    "anat2std_xfm": "composite transforms from the T1w image to each of the templates",
    "std2anat_xfm": "composite transforms back, in the same order",
    "std_reference": "an image on the grid of each of the templates",
}
"""What can be handed over, under the names of fMRIPrep where it has one."""

_TOGETHER = ("template", "anat2std_xfm", "std_reference")


@dataclass(frozen=True, kw_only=True)
class GivenAnatomy:
    """What another workflow hands over.

    Parameters
    ----------
    pipeline
        Name and version of what made it, for the report and the methods: `fMRIPrep 24.1.1`.
    fields
        Keys of `GIVEN_FIELDS` that will be connected: the image, and what there is besides.

    Raises
    ------
    ValueError
        If a field is not known, the image is missing, or transforms come without the names and grids of their templates.

    Examples
    --------
    >>> GivenAnatomy(pipeline="fMRIPrep 24.1.1").has_tissues
    True
    >>> GivenAnatomy(pipeline="mine", fields=("t1w_mask",))
    Traceback (most recent call last):
    ...
    ValueError: GivenAnatomy.fields: expected t1w_preproc among them, found t1w_mask; an anatomy is placed by its image
    """

    pipeline: str
    fields: tuple[str, ...] = ("t1w_preproc", "t1w_mask", "t1w_dseg")

    def __post_init__(self) -> None:
        found = ", ".join(self.fields) or "none"
        unknown = [each for each in self.fields if each not in GIVEN_FIELDS]
        if unknown:
            raise ValueError(
                f"GivenAnatomy.fields: expected some of {', '.join(GIVEN_FIELDS)}, found {', '.join(unknown)}"
            )
        if "t1w_preproc" not in self.fields:
            raise ValueError(
                f"GivenAnatomy.fields: expected t1w_preproc among them, found {found}; an anatomy is placed by its image"
            )
        templates = [each for each in (*_TOGETHER, "std2anat_xfm") if each in self.fields]
        if templates and not set(_TOGETHER) <= set(templates):
            raise ValueError(
                f"GivenAnatomy.fields: expected {', '.join(_TOGETHER)} together, found {', '.join(templates)} alone"
            )

    @property
    def has_tissues(self) -> bool:
        """Whether tissues can be taken from it."""
        return bool({"t1w_dseg", "t1w_tpms"} & set(self.fields))


def given_anatomy(
    *,
    pipeline: str,
    t1w_preproc: Path,
    t1w_mask: Path | None = None,
    t1w_dseg: Path | None = None,
    t1w_tpms: Sequence[Path] = (),
    template: Sequence[str] = (),
    anat2std_xfm: Sequence[Path] = (),
    std2anat_xfm: Sequence[Path] = (),
    std_reference: Sequence[Path] = (),
) -> Anatomy:
    """Return what was handed over as an anatomy, checked as one found on disk is.

    Parameters
    ----------
    pipeline
        What made it.
    t1w_preproc, t1w_mask, t1w_dseg, t1w_tpms, template, anat2std_xfm, std2anat_xfm, std_reference
        As in `GIVEN_FIELDS`.

    Raises
    ------
    BidsInputError
        If there are not as many files as names.
    RefusedError
        If a file is damaged or lies on another grid than the image.
    """
    _same_number("t1w_tpms", t1w_tpms, TISSUES, optional=True)
    for name, files in (("anat2std_xfm", anat2std_xfm), ("std_reference", std_reference)):
        _same_number(name, files, template)
    _same_number("std2anat_xfm", std2anat_xfm, template, optional=True)
    given = [name for name, value in (("mask", t1w_mask), ("dseg", t1w_dseg), ("probseg", t1w_tpms)) if value]
    anatomy = Anatomy(
        t1w=t1w_preproc,
        root=t1w_preproc.parent,
        source="derivatives",
        pipeline=pipeline,
        brain_mask=t1w_mask,
        dseg=t1w_dseg,
        probseg=dict(zip(TISSUES, t1w_tpms, strict=False)),
        to_template=dict(zip(template, anat2std_xfm, strict=True)),
        from_template=dict(zip(template, std2anat_xfm, strict=False)),
        grids=dict(zip(template, std_reference, strict=True)),
        sentences=(
            f"Anatomy was handed over by {pipeline}: {t1w_preproc.name}"
            + (f" with {', '.join(given)}." if given else ", without mask and tissues."),
        ),
    )
    check_anatomy(anatomy)
    return anatomy


def _same_number(name: str, files: Sequence[Path], names: Sequence[str], *, optional: bool = False) -> None:
    if len(files) != len(names) and not (optional and not files):
        shown = ", ".join(names) or "no template"
        raise BidsInputError(
            f"{name}: expected {len(names)} file{'s' if len(names) != 1 else ''} ({shown}), found {len(files)}"
        )
