"""What the methods text says of anatomies, other spaces and atlases."""

from __future__ import annotations

from qmri_bids.reports.content import Reference
from qmri_bids.reports.reference_entry import article
from qmri_bids.reports.sentence import Sentence


def _preprocessing(text: str) -> Sentence:
    return Sentence(paragraph="preprocessing", text=text)


def _outputs(text: str) -> Sentence:
    return Sentence(paragraph="outputs", text=text)


SPACE_SENTENCES: dict[str, Sentence] = {
    # {pipeline}: "fMRIPrep 24.1.1".
    "anatomy_masks": _preprocessing(
        "Brain masks and tissues were those of {pipeline} [esteban2019] where it had them, brought to every run by the rigid "
        "registration of its T1-weighted image [avants2011]."
    ),
    # {image}: name of the file.
    "anatomy_image": _preprocessing("Every run was registered rigidly to the T1-weighted image {image} [avants2011]."),
    # {spaces}: "T1w and MNI152NLin2009aSym".
    "output_spaces": _outputs(
        "Maps were put into {spaces}, each interpolated once, linearly, from the grid of its scan; masks and codes by nearest "
        "neighbour."
    ),
    "own_template": _outputs(
        "The skull-stripped T1-weighted image (1/T1 of the run where there is none) was registered to the ICBM 152 2009a "
        "symmetric template [fonov2011] by an affine transform and symmetric normalisation with ANTs [avants2008]."
    ),
    # {atlas}: name of the file; {space}.
    "atlas": _outputs(
        "Regions of {atlas} (in {space}) were brought to every run by nearest neighbour, and the maps were averaged in them."
    ),
}
"""What every step says, by its key."""

SPACE_REFERENCES: tuple[Reference, ...] = (
    article(
        "avants2008",
        "Avants et al., 2008",
        "Avants, B. B.; Epstein, C. L.; Grossman, M.; Gee, J. C.",
        2008,
        "Symmetric diffeomorphic image registration with cross-correlation: evaluating automated labeling of elderly and "
        "neurodegenerative brain",
        "Medical Image Analysis",
        "12:26-41",
        "10.1016/j.media.2007.06.004",
    ),
    article(
        "esteban2019",
        "Esteban et al., 2019",
        "Esteban, O.; Markiewicz, C. J.; Blair, R. W.; Moodie, C. A.; Isik, A. I.; others",
        2019,
        "fMRIPrep: a robust preprocessing pipeline for functional MRI",
        "Nature Methods",
        "16:111-116",
        "10.1038/s41592-018-0235-4",
    ),
    article(
        "fonov2011",
        "Fonov et al., 2011",
        "Fonov, V.; Evans, A. C.; Botteron, K.; Almli, C. R.; McKinstry, R. C.; Collins, D. L.",
        2011,
        "Unbiased average age-appropriate atlases for pediatric studies",
        "NeuroImage",
        "54:313-327",
        "10.1016/j.neuroimage.2010.07.033",
    ),
)
"""Publications that these sentences cite."""
