"""Changes of what the files of a dataset mean: the hand tools from which `files_meanings.py` makes its list.

A file stays as whole as it was: only what it says, or what its numbers stand for, is another thing.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage

MAGNITUDE = "sub-01/anat/sub-01_acq-pcbssfp_flip-1_part-mag_VFA"
PHASE = MAGNITUDE.replace("-mag_", "-phase_")
LABELS = "derivatives/truth/sub-01/anat/sub-01_acq-pcbssfp_dseg"
"""True tissues, by which results are judged: they go where the voxels go."""
B1_ANGLES, B1_IMAGE = "sub-01/fmap/sub-01_acq-famp_TB1TFL", "sub-01/fmap/sub-01_acq-anat_TB1TFL"
ZSPEC, WASABI = "sub-01/anat/sub-01_acq-Zspec_cest", "sub-01/anat/sub-01_acq-WASABI_cest"
MTR_OFF, MTR_ON = (f"sub-01/anat/sub-01_acq-MT_mt-{state}_MTR" for state in ("off", "on"))
MTS_PD, MTS_ON, MTS_T1 = (
    f"sub-01/anat/sub-01_acq-MTS_{state}_MTS" for state in ("flip-1_mt-off", "flip-1_mt-on", "flip-2_mt-off")
)
MRF_MT, MRF_AMIDE = "sub-01/anat/sub-01_acq-MRFMT_cest", "sub-01/anat/sub-01_acq-MRFamide_cest"
OTHER = "sourcedata/other"
"""Where the scans of another participant lie in a dataset that is to be changed; the program does not look there."""

START = 352
LARGEST = 32767
TURN = 4096
"""Values of half a turn in the phase images as they are simulated."""

Change = Callable[[Path], object]
Values = Callable[[Any], Any]


def read(path: Path) -> tuple[Any, Any]:
    """Return the header of a NIfTI file and its values as they are stored."""
    content = gzip.decompress(path.read_bytes())
    header = nib.Nifti1Header(content[: START - 4])
    shape = header.get_data_shape()
    stored = np.frombuffer(content, header.get_data_dtype(), count=math.prod(shape), offset=START)
    return header, stored.reshape(shape, order="F").copy()


def write(path: Path, header: Any, stored: Any) -> None:
    header.set_data_shape(stored.shape)
    header.set_data_dtype(stored.dtype)
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4) + stored.tobytes(order="F"), 1))


def _scale(header: Any) -> tuple[float, float]:
    slope, intercept = header.get_slope_inter()
    return (1.0 if slope is None else slope), (0.0 if intercept is None else intercept)


def both(*changes: Change) -> Change:
    """Return what makes several changes, one after the other."""

    def change(root: Path) -> None:
        for each in changes:
            each(root)

    return change


def keys(*stems: str, **changes: Any) -> Change:
    """Return what sets keys of sidecars: to a value, or to what a function makes of the one that is there."""

    def change(root: Path) -> None:
        for stem in stems:
            path = root / f"{stem}.json"
            content = json.loads(path.read_text())
            for key, value in changes.items():
                content[key] = value(content.get(key)) if callable(value) else value
            path.write_text(json.dumps(content))

    return change


def cycles_keys(**changes: Any) -> Change:
    """Return what sets keys of both sidecars of the phase cycles."""
    return keys(MAGNITUDE, PHASE, **changes)


def increments(make: Callable[[Any], Any]) -> Change:
    """Return what states other increments, made of the array of those that were played out [degrees]."""
    return cycles_keys(RFPhaseIncrement=lambda old: [round(float(each), 4) for each in make(np.array(old))])


def times(factor: float) -> Values:
    """Return what scales a number, a list of numbers or an array."""
    return lambda old: [factor * each for each in old] if isinstance(old, list) else factor * old


def header(*stems: str, make: Callable[[Any], object]) -> Change:
    """Return what changes headers; the values stay as they are stored."""

    def change(root: Path) -> None:
        for stem in stems:
            path = root / f"{stem}.nii.gz"
            head, stored = read(path)
            make(head)
            write(path, head, stored)

    return change


def placed(*stems: str, make: Callable[[Any], Any]) -> Change:
    """Return what gives images other affines, in both forms of the header."""

    def move(head: Any) -> None:
        affine = make(head.get_best_affine())
        head.set_qform(affine, code=1, strip_shears=True)
        head.set_sform(affine, code=1)

    return header(*stems, make=move)


def shifted(axis: int, distance: float) -> Values:
    """Return what moves an affine [mm]."""
    step = np.zeros((4, 4))
    step[axis, 3] = distance
    return lambda affine: affine + step


def zoomed(*factors: float) -> Values:
    return lambda affine: affine @ np.diag([*factors, 1.0])


def stored(*stems: str, make: Values) -> Change:
    """Return what changes the values as they are stored, and the scale in the header not."""

    def change(root: Path) -> None:
        for stem in stems:
            path = root / f"{stem}.nii.gz"
            head, values = read(path)
            write(path, head, np.asarray(make(values)).astype(values.dtype))

    return change


def values(*stems: str, make: Values, floats: bool = False) -> Change:
    """Return what changes the values that are meant; they are stored as integers with a scale that holds them, or as floats."""

    def change(root: Path) -> None:
        for stem in stems:
            path = root / f"{stem}.nii.gz"
            head, old = read(path)
            slope, intercept = _scale(head)
            new = np.asarray(make(old * slope + intercept), dtype=float)
            if floats:
                head.set_slope_inter(1.0, 0.0)
                write(path, head, new.astype(np.float32))
                continue
            slope *= max(1.0, float(np.abs(new - intercept).max()) / (LARGEST * slope))
            head.set_slope_inter(slope, intercept)
            write(path, head, np.rint((new - intercept) / slope).astype(np.int16))

    return change


def cycles(make: Values) -> Change:
    """Return what changes the phase cycles, complex, shape (X, Y, Z, N)."""

    def change(root: Path) -> None:
        heads = [read(root / f"{stem}.nii.gz") for stem in (MAGNITUDE, PHASE)]
        (head, magnitude), (other, phase) = heads
        slope, (step, start) = _scale(head)[0], _scale(other)
        angle = (phase * step + start) * math.pi / TURN
        new = np.asarray(make(magnitude * slope * np.exp(1j * angle)))
        slope *= max(1.0, float(np.abs(new).max()) / (LARGEST * slope))
        head.set_slope_inter(slope, 0.0)
        write(root / f"{MAGNITUDE}.nii.gz", head, np.rint(np.abs(new) / slope).astype(np.int16))
        turned = np.rint((np.angle(new) * TURN / math.pi - start) / step) % TURN
        write(root / f"{PHASE}.nii.gz", other, turned.astype(np.int16))

    return change


def one(volume: int, make: Values) -> Values:
    """Return what changes one volume of a series."""

    def change(series: Any) -> Any:
        new = series.copy()
        new[..., volume] = make(series[..., volume])
        return new

    return change


def each(make: Callable[[Any, int], Any]) -> Values:
    """Return what changes every volume, given it and its number."""
    return lambda series: np.stack([make(series[..., number], number) for number in range(series.shape[-1])], axis=-1)


def sizes(make: Values) -> Values:
    """Return what changes the magnitude of complex values and leaves their phase."""
    return lambda cycle: make(np.abs(cycle)) * np.exp(1j * np.angle(cycle))


def angles(make: Values) -> Values:
    """Return what changes the phase [rad] of complex values and leaves their magnitude."""
    return lambda cycle: np.abs(cycle) * np.exp(1j * make(np.angle(cycle)))


def smooth(width: float) -> Values:
    """Return what smooths the first three axes by a Gaussian of some standard deviation [voxels]."""

    def change(image: Any) -> Any:
        spread = [width] * 3 + [0.0] * (image.ndim - 3)
        if np.iscomplexobj(image):
            return ndimage.gaussian_filter(image.real, spread) + 1j * ndimage.gaussian_filter(image.imag, spread)
        return ndimage.gaussian_filter(image, spread)

    return change


def homodyne(cycle: Any) -> Any:
    """Return an image without the phase of its smoothed self, as scanners make them for susceptibility weighting."""
    return cycle * np.exp(-1j * np.angle(smooth(3.0)(cycle)))


def noisy(level: float, *, seed: int = 1) -> Values:
    """Return what adds noise, relative to the 99th percentile of the magnitude."""

    def change(image: Any) -> Any:
        rng = np.random.default_rng(seed)
        deviation = level * float(np.percentile(np.abs(image), 99))
        if np.iscomplexobj(image):
            return image + deviation * (rng.standard_normal(image.shape) + 1j * rng.standard_normal(image.shape))
        return np.abs(image + deviation * rng.standard_normal(image.shape))

    return change


def noise(image: Any) -> Any:
    """Return noise in the place of an image."""
    return noisy(0.3)(0.0 * image + 1e-3 * np.percentile(np.abs(image), 99)) if np.any(image) else image


def clip(share: float) -> Values:
    """Return what cuts off all that is above a share of the 99th percentile, as receivers and integers do."""
    return lambda image: np.minimum(image, share * np.percentile(image, 99))


def offset(share: float) -> Values:
    """Return what adds a share of the 99th percentile everywhere."""
    return lambda image: image + share * np.percentile(image, 99)


def levels(number: int) -> Values:
    """Return what leaves a number of levels of grey."""
    return lambda image: np.floor(image / image.max() * number) * image.max() / number


def factors(*numbers: float) -> Values:
    """Return what scales every volume by a factor of its own."""
    return lambda series: series * np.array(numbers)


def normalised(series: Any) -> Any:
    """Return volumes that all have the mean of the first."""
    means = np.abs(series).mean(axis=(0, 1, 2))
    return series * (means[0] / means)


def ghost(share: float) -> Values:
    """Return what adds a ghost that is half a field of view away."""
    return lambda image: image + share * np.roll(image, image.shape[1] // 2, axis=1)


def half_k_space(image: Any) -> Any:
    """Return an image without the outermost three eighths of k-space on one side, filled with zeros."""
    spectrum = np.fft.fftshift(np.fft.fft(image, axis=1), axes=1)
    spectrum[:, : image.shape[1] * 3 // 8] = 0.0
    return np.fft.ifft(np.fft.ifftshift(spectrum, axes=1), axis=1)


def turned(image: Any) -> Any:
    """Return an image rotated by 90° about its last axis, on the same grid."""
    return ndimage.rotate(image, 90.0, axes=(0, 1), reshape=False, order=1, mode="constant")


def alternating(image: Any) -> Any:
    """Return an image whose every second slice has the other sign, as some scanners write complex parts."""
    sign = np.where(np.arange(image.shape[2]) % 2, -1.0, 1.0)
    return image * sign.reshape(1, 1, -1, *[1] * (image.ndim - 3))


def half_empty(axis: int) -> Values:
    """Return what sets the second half along an axis to zero."""

    def change(image: Any) -> Any:
        new = np.moveaxis(image.copy(), axis, 0)
        new[len(new) // 2 :] = 0
        return np.moveaxis(new, 0, axis)

    return change


def exchange(first: str, second: str, *, sidecars: bool = False, images: bool = True) -> Change:
    """Return what exchanges two images, or their sidecars."""

    def change(root: Path) -> None:
        for ending in [".nii.gz"] * images + [".json"] * sidecars:
            one, two = root / f"{first}{ending}", root / f"{second}{ending}"
            kept = one.read_bytes()
            one.write_bytes(two.read_bytes())
            two.write_bytes(kept)

    return change


def copied(source: str, target: str, *, ending: str = ".nii.gz") -> Change:
    """Return what puts one file in the place of another."""
    return lambda root: (root / f"{target}{ending}").write_bytes((root / f"{source}{ending}").read_bytes())


def table(series: str, make: Callable[[list[dict[str, str]]], list[dict[str, str]]]) -> Change:
    """Return what changes the rows of the table of a CEST series."""

    def change(root: Path) -> None:
        path = root / f"{series}context.tsv"
        rows = make(list(csv.DictReader(io.StringIO(path.read_text()), delimiter="\t")))
        lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
        path.write_text("\n".join(lines) + "\n")

    return change


def column(series: str, name: str, make: Callable[[float], float], *, called: str = "") -> Change:
    """Return what changes the numbers in a column of such a table, and its name."""

    def rows(old: list[dict[str, str]]) -> list[dict[str, str]]:
        return [
            {
                (called or key) if key == name else key: (
                    f"{make(float(text)):.8g}" if key == name and text != "n/a" else text
                )
                for key, text in row.items()
            }
            for row in old
        ]

    return table(series, rows)


def offsets(series: str, make: Callable[[Any], Any]) -> Change:
    """Return what puts the offsets [ppm] of the saturated volumes anew, made of the array of those there are."""

    def rows(old: list[dict[str, str]]) -> list[dict[str, str]]:
        places = [number for number, row in enumerate(old) if row["offset_ppm"] != "n/a"]
        new = make(np.array([float(old[place]["offset_ppm"]) for place in places]))
        for place, value in zip(places, new, strict=True):
            old[place]["offset_ppm"] = f"{float(value):.8g}"
        return old

    return table(series, rows)


def types_rolled(by: int) -> Callable[[list[dict[str, str]]], list[dict[str, str]]]:
    """Return what moves all rows of a table on, as if the volumes began elsewhere."""
    return lambda rows: rows[-by:] + rows[:-by]
