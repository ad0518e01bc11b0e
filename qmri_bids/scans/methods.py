"""What the methods text says of steps that runs of all kinds share: motion and masks of earlier calls, brain masks, B1, spaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from qmri_bids.bids.anatomy.spaces import OWN_TEMPLATE, SpaceOptions
from qmri_bids.pipeline.maps.known import listed
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.sources import B1Method, B1Run
from qmri_bids.preprocessing.b1_smoothing import WAVELENGTH
from qmri_bids.sentence import Sentence


class _Labelled(Protocol):
    @property
    def label(self) -> str: ...


def given_motion(run: _Labelled, options: ProcessingOptions) -> list[Sentence]:
    """Return the sentence on a motion that was applied; none where it was fitted or left alone."""
    motion = options.earlier_motion(run.label)
    if motion is None:
        return []
    return [
        Sentence(
            paragraph="preprocessing",
            text="The motion within {run} was that of derivatives of an earlier call ({source}); every volume was resampled "
            "once with its transform. Motion is summarised as framewise displacement [power2012].",
            values={"run": run.label, "source": motion.source},
        )
    ]


_LIBRARY_MASK = Sentence(
    paragraph="preprocessing",
    text="The brain was looked for in the mean magnitude with the networks of deepbet [fisch2024], and what they found was "
    "judged by the ICBM 2009a template [fonov2011] distributed with nilearn [abraham2014] and registered to the image; the "
    "report of each run says what its mask is in the end.",
)

_FOUND_MASKS: Mapping[str, Sentence] = {
    "auto": _LIBRARY_MASK,
    "library": _LIBRARY_MASK,
    "template": Sentence(
        paragraph="preprocessing",
        text="The brain mask is that of the ICBM 2009a template [fonov2011] distributed with nilearn [abraham2014], "
        "registered to the mean magnitude.",
    ),
    "object": Sentence(
        paragraph="preprocessing", text="The mask holds whatever has signal; no tissues were told apart."
    ),
    "none": Sentence(paragraph="preprocessing", text="Every voxel was estimated; no tissues were told apart."),
}
"""By `choices.MASK_METHODS`."""


def brain_mask(run: _Labelled, options: ProcessingOptions) -> Sentence:
    """Return the sentence on the brain mask of a run: found, made by hand, or read."""
    fits = options.earlier_mask(run.label)
    if fits is None:
        return _FOUND_MASKS[options.mask_method]
    if fits.by_hand:
        return Sentence(
            paragraph="preprocessing",
            text="The mask of {run} was made or corrected by a person ({source}).",
            values={"run": run.label, "source": fits.mask_source},
        )
    return Sentence(
        paragraph="preprocessing",
        text="The brain mask of {run} was not found in the image but read from derivatives of an earlier call ({source}), "
        "where it may have been corrected by hand.",
        values={"run": run.label, "source": fits.mask_source},
    )


B1_SCANS: Mapping[B1Method, Sentence] = {
    "TB1TFL": Sentence(
        paragraph="b1",
        text="The transmit field B1+ was measured with a preconditioning pulse and a TurboFLASH readout [chung2010].",
    ),
    "TB1RFM": Sentence(paragraph="b1", text="The transmit field B1+ was read from the vendor's RF map (TB1RFM)."),
    "TB1DAM": Sentence(
        paragraph="b1", text="The transmit field B1+ was measured by the double angle method [insko1993]."
    ),
    "TB1AFI": Sentence(
        paragraph="b1", text="The transmit field B1+ was measured by actual flip-angle imaging [yarnykh2007]."
    ),
    "TB1map": Sentence(paragraph="b1", text="The transmit field B1+ was read as a ready-made map (TB1map)."),
}
"""By the suffix of the scan."""


def b1_map(run: B1Run) -> list[Sentence]:
    """Return the sentences on a B1+ map: how it was measured, placed and made smooth."""
    if run.run is None:
        measured = B1_SCANS[run.method]
    else:
        measured = Sentence(
            paragraph="b1",
            text="The transmit field B1+ was taken from the WASABI series {run} of the same session [schuenke2017].",
            values={"run": run.run},
        )
    if run.anatomical is None and run.run is None:
        placed = Sentence(paragraph="b1", text="It was placed by the coordinates of the scanner.")
    else:
        placed = Sentence(
            paragraph="b1",
            text="Its anatomical image was rigidly registered to the mean magnitude with ANTs [avants2011].",
        )
    smoothed = Sentence(
        paragraph="b1",
        text="It was replaced by a robust smooth surface through its values, which removes structure below {size} and "
        "continues the map where nothing was measured [garcia2010], and interpolated once.",
        values={"size": f"{WAVELENGTH:g} mm"},
    )
    if run.is_ready_made:
        uncertain = Sentence(
            paragraph="b1",
            text="The standard deviation of B1 is not known, and those of the maps that take it do not hold it.",
        )
    else:
        uncertain = Sentence(
            paragraph="b1",
            text="The standard deviation of B1 holds noise, what the method errs where T1 is not known, position and "
            "interpolation; it was propagated to the maps that take B1.",
        )
    return [measured, placed, smoothed, uncertain]


def spaces_and_anatomies(sessions: Iterable[str], options: SpaceOptions, *, maps: bool = True) -> list[Sentence]:
    """Return the sentences on anatomies, other spaces and atlases.

    Parameters
    ----------
    sessions
        Labels of the sessions whose runs were processed, empty for none.
    options
        Spaces, anatomies, atlas.
    maps
        Whether there are maps to put into spaces and to average: else masks alone are put there.
    """
    sentences: list[Sentence] = []
    computed: dict[str, None] = {}
    for session in dict.fromkeys(sessions):
        if options.given is not None:
            if "template" not in options.given.fields:
                computed |= dict.fromkeys(options.computed(None))
            masks = options.use_masks and not {"t1w_mask", "t1w_dseg", "t1w_tpms"}.isdisjoint(options.given.fields)
            pipeline = options.given.pipeline
            sentences.append(_anatomy_masks(pipeline) if masks else _anatomy_image(f"T1w image of {pipeline}"))
            continue
        anatomy = options.anatomy_of(session)
        computed |= dict.fromkeys(options.computed(anatomy))
        if anatomy is None:
            continue
        masks = anatomy.source == "derivatives" and options.use_masks
        sentences.append(_anatomy_masks(anatomy.pipeline) if masks else _anatomy_image(anatomy.t1w.name))
    if OWN_TEMPLATE in computed:
        sentences.append(
            Sentence(
                paragraph="outputs",
                text="The skull-stripped T1-weighted image (1/T1 of the run where there is none) was registered to the ICBM "
                "152 2009a symmetric template [fonov2011] by an affine transform and symmetric normalisation with ANTs "
                "[avants2008].",
            )
        )
    if on_disk := [_title(space, options) for space in computed if space != OWN_TEMPLATE]:
        sentences.append(
            Sentence(
                paragraph="outputs",
                text="The skull-stripped T1-weighted image (1/T1 of the run where there is none) was registered to {templates} of "
                "TemplateFlow [ciric2022] by an affine transform and symmetric normalisation with ANTs [avants2008].",
                values={"templates": listed(on_disk)},
            )
        )
    if options.spaces and not maps:
        sentences.append(
            Sentence(
                paragraph="outputs",
                text="Masks were put into {spaces} by nearest neighbour.",
                values={"spaces": listed(options.spaces)},
            )
        )
    elif options.spaces:
        sentences.append(
            Sentence(
                paragraph="outputs",
                text="Maps were put into {spaces}, each interpolated once, linearly, from the grid of its scan; masks and "
                "codes by nearest neighbour.",
                values={"spaces": listed(options.spaces)},
            )
        )
    if options.atlas is not None and maps:
        sentences.append(
            Sentence(
                paragraph="outputs",
                text="Regions of {atlas} (in {space}) were brought to every run by nearest neighbour, and the maps were "
                "averaged in them.",
                values={"atlas": options.atlas.path.name, "space": options.atlas.space},
            )
        )
    return sentences


def _title(space: str, options: SpaceOptions) -> str:
    """Return what a template on disk is called."""
    title = options.templates[space].title
    return f"{space} ({title})" if title else space


def _anatomy_masks(pipeline: str) -> Sentence:
    return Sentence(
        paragraph="preprocessing",
        text="Brain masks and tissues were those of {pipeline} [esteban2019] where it had them, brought to every run by the "
        "rigid registration of its T1-weighted image [avants2011].",
        values={"pipeline": pipeline},
    )


def _anatomy_image(image: str) -> Sentence:
    return Sentence(
        paragraph="preprocessing",
        text="Every run was registered rigidly to the T1-weighted image {image} [avants2011].",
        values={"image": image},
    )


def run_by_run(
    say: Callable[[Any, ProcessingOptions], list[Sentence]],
) -> Callable[[Sequence[Any], ProcessingOptions], list[Sentence]]:
    """Return what is said of several runs where each is told by itself; the sentences on their masks follow."""
    return partial(_run_by_run, say)  # not a function within this one: kinds of runs are pickled


def _run_by_run(
    say: Callable[[Any, ProcessingOptions], list[Sentence]], runs: Sequence[Any], options: ProcessingOptions
) -> list[Sentence]:
    own = [sentence for run in runs for sentence in say(run, options)]
    return [*own, *(brain_mask(run, options) for run in runs)]
