"""What images of other contrast, and bSSFP without bands, add to the files, the pictures and the methods text of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from qmri_bids.bids.names import output_path
from qmri_bids.bids.provenance import bids_uri
from qmri_bids.physics.sequences import Contrast, all_requested
from qmri_bids.pipeline.maps.images import APPARENT, SYNTHETIC
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.results.run_results import RunResults
from qmri_bids.pipeline.results.run_writer import RunWriter
from qmri_bids.quantities import get_quantity
from qmri_bids.quantity import STDEV
from qmri_bids.reports.content import Figure
from qmri_bids.reports.figure_table import map_figure
from qmri_bids.reports.references import full_citation
from qmri_bids.sentence import Sentence
from qmri_bids.units import radians_to_degrees


def sequence_metadata(contrast: Contrast, *, field_strength: float | None) -> dict[str, Any]:
    """Return the parameters of a sequence that was computed, in the keys and units of BIDS (s, degrees)."""
    content: dict[str, Any] = {"RepetitionTime": round(contrast.repetition_time, 9)}
    if contrast.is_train:
        content["LeftOut"] = "Decay by T2*, which is not known: no echo time entered"
    else:
        content["EchoTime"] = round(contrast.echo_time, 9)
    if contrast.inversion_time is not None:
        content["InversionTime"] = round(contrast.inversion_time, 9)
    flip_angle = 90.0 if contrast.flip_angle is None else radians_to_degrees(contrast.flip_angle)
    content["FlipAngle"] = round(flip_angle, 6)
    if contrast.echo_spacing is not None:
        content["RepetitionTimePreparation"] = content["RepetitionTime"]
        content["RepetitionTimeExcitation"] = round(contrast.echo_spacing, 9)
        content["EchoTrainLength"] = contrast.echoes
    content["PulseSequenceType"] = contrast.kind
    if field_strength is not None:
        content["MagneticFieldStrength"] = field_strength
    return content


def write_images(
    writer: RunWriter,
    results: RunResults,
    *,
    requests: Sequence[str],
    field_strength: float | None,
    maps: Sequence[str],
    extra: dict[str, Any],
    t1_from: str,
) -> None:
    """Write the images that were asked for with their standard deviations.

    Parameters
    ----------
    writer, results
        Of the run.
    requests
        Synthetic images as the command line names them.
    field_strength
        Field [T]; None where it is not known.
    maps
        Names of the maps of this run that synthetic images were computed from.
    extra
        What else the sidecars of images without bands say.
    t1_from
        Which T1 synthetic images were computed from, in words.
    """
    if results.images is None:
        return
    paths = [
        output_path(writer.output_dir, entities=writer.run.entities, output=get_quantity(name).written.key)
        for name in maps
    ]
    sources = [bids_uri(path, root=writer.output_dir) for path in paths if path in writer.written]
    played = {
        f"{SYNTHETIC}{each.name}": each.contrast(field_strength=field_strength) for each in all_requested(requests)
    }
    for name, values in results.images.items():
        quantity = get_quantity(name)
        said: dict[str, Any] = {
            "algorithm": quantity.algorithm,
            "reference": full_citation(quantity.references),
            "extra": extra or None,
        }
        contrast = played.get(name.removesuffix(STDEV))
        if contrast is not None:
            own = sequence_metadata(contrast, field_strength=field_strength)
            said |= {"protocol": None, "sources": sources, "extra": own | {"T1From": t1_from}}
        writer.add_map(quantity, values, **said)


def image_figures(results: RunResults, *, requests: Sequence[str], field_strength: float | None) -> Iterator[Figure]:
    """Yield the pictures of images, then those of their standard deviations; all in the mask."""
    images = results.images or {}
    played = {
        f"{SYNTHETIC}{each.name}": each.contrast(field_strength=field_strength) for each in all_requested(requests)
    }
    for name in sorted(images, key=lambda each: each.endswith(STDEV)):
        contrast = played.get(name)
        remark = "" if contrast is None else f"{contrast.kind}, {contrast.parameters}."
        yield map_figure(images[name], affine=results.affine, mask=results.mask, name=name, remark=remark)


def image_sentences(options: ProcessingOptions, *, field_strength: float | None, relaxation: str) -> list[Sentence]:
    """Return what the methods text says of images.

    Parameters
    ----------
    options
        What was asked for.
    field_strength
        Field [T]; None where it is not known.
    relaxation
        `apparent` or `mtcorrected`.
    """
    found = []
    contrasts = [each.contrast(field_strength=field_strength) for each in all_requested(options.synthetic)]
    if contrasts:
        t1 = (
            "the apparent T1, T2 and M0"
            if relaxation == APPARENT
            else "T1 as an inversion recovery sees it, T2 and M0 of free water"
        )
        found.append(
            Sentence(
                paragraph="outputs",
                text="Contrast-weighted images were computed [blystad2012] from {t1}, the signals of tissue and fluid in a voxel "
                "added up, with standard deviations that hold the covariance of these maps: {images}.",
                values={"t1": t1, "images": "; ".join(f"{each.name} ({each.parameters})" for each in contrasts)},
            )
        )
    if any(each.is_train for each in contrasts):
        found.append(
            Sentence(
                paragraph="outputs",
                text="The steady state of the inversion-prepared train of gradient echoes [mugler1990] was taken in closed form "
                "[deichmann1992], without decay by T2*.",
            )
        )
    if any(each.inversion_time is not None and not each.is_train for each in contrasts):
        found.append(Sentence(paragraph="outputs", text="The inversion of FLAIR [hajnal1992] was taken to be perfect."))
    if relaxation == APPARENT:
        found += [_BAND_FREE[method] for method in options.banding_free]
    return found


_BAND_FREE = {
    "model": Sentence(
        paragraph="outputs",
        text="An image of balanced SSFP without bands is the amplitude of the fitted profile.",
    ),
    "geometric": Sentence(
        paragraph="outputs",
        text="The geometric solution of balanced SSFP [xiang2014] is the point nearest to all lines through cycles half a turn "
        "apart.",
    ),
    "rss": Sentence(
        paragraph="outputs",
        text="Cycles were also combined by the root of their sum of squares [bangerter2004], in which bands are left.",
    ),
}
"""By `pipeline.options.BANDING_FREE`."""
