"""What the methods text says of anatomies, other spaces and atlases."""

from __future__ import annotations

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
