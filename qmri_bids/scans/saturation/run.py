"""CEST and MT runs that passed the checks, as frozen data that can be pickled."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.images import volumes_in
from qmri_bids.bids.refusal import ValueSource
from qmri_bids.estimation.mt.maps import SpoiledProtocol
from qmri_bids.estimation.spectra.lorentzian.pools import LineModel
from qmri_bids.physics.saturation import SaturationProtocol
from qmri_bids.pipeline.run import Run, size_of, wrapped
from qmri_bids.pipeline.sources import B1Run, Fieldmap, Take, b1_line

CestKind = Literal["z-spectrum", "wasabi", "wassr", "fingerprint"]
"""What a `_cest` run is good for: a spectrum at one power, a map of B0 and B1, a map of B0, or several powers at few offsets."""


@dataclass(frozen=True, kw_only=True)
class CestUse:
    """What a kind of CEST series is used for.

    Parameters
    ----------
    title
        Heading of its report.
    gives
        Maps that other runs may take of it, by the names of `physics.fingerprint.KNOWN`: it measures the field.
    takes
        Maps that it uses where others give them.
    together
        Whether the series of a session are estimated together, as one run.
    """

    title: str
    gives: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    together: bool = False


CEST_USES: Mapping[CestKind, CestUse] = {
    "z-spectrum": CestUse(title="CEST: Z-spectrum", takes=("off_resonance", "t1")),
    "wasabi": CestUse(title="CEST: B0 and B1 by WASABI", gives=("off_resonance", "b1")),
    "wassr": CestUse(title="CEST: B0 by WASSR", gives=("off_resonance",)),
    "fingerprint": CestUse(title="CEST: fingerprint", together=True),
}

VolumeRole = Literal["m0", "cest", "wassr"]
"""What a volume is for: normalisation, the spectrum, or B0 alone."""

T1Kind = Literal["apparent", "mtcorrected", "free", "stated", "number"]
"""What T1 a Z-spectrum takes."""

T1_KINDS: Mapping[T1Kind, str] = {
    "apparent": "apparent T1 of bSSFP, lowered by magnetization transfer",
    "mtcorrected": "T1 as an inversion recovery sees it, freed of magnetization transfer",
    "free": "T1 of free water, without its exchange with the semisolid pool",
    "stated": "T1 as the file holds it",
    "number": "one number for every voxel",
}
"""The same in words."""

T1_ERRORS: Mapping[T1Kind, str] = {
    "apparent": "In white matter at 3 T it is 14 to 35 % short, and AREX, which goes with 1/T1, 16 to 53 % high.",
    "free": "It is longer than the T1 that an inversion recovery sees, which AREX is defined with: AREX comes out low.",
    "number": "AREX, which goes with 1/T1, is off where tissue differs.",
}
"""What a T1 of a kind does to AREX, as a sentence; nothing of the kinds that AREX is defined with."""

B0Method = Literal["wasabi", "wassr", "fieldmap", "spectrum", "none"]
"""Where the shift of water comes from: another run, WASSR volumes of another or this one, a map in Hz, the dip itself, nowhere."""

NOT_CORRECTED = (
    "B0 IS NOT CORRECTED (--cest-b0 none): a shift of water of 0.1 ppm changes MTR asymmetry by about as much as amide protons do, "
    "and no standard deviation holds it. Measure WASABI or WASSR, or a field map."
)
"""Warning of a Z-spectrum that is left alone though offsets lie near water."""


def _label(entities: Mapping[str, str], suffix: str) -> str:
    return "_".join([*(f"{key}-{value}" for key, value in entities.items()), suffix])


def shift_of_water(
    *,
    method: B0Method,
    sentence: str,
    run: str | None = None,
    fieldmap: Fieldmap | None = None,
    shows_dip: bool = True,
) -> Take:
    """Return where the shift of water of a Z-spectrum comes from.

    Parameters
    ----------
    method
        One of `B0Method`.
    sentence
        Why this one, for the log and the report.
    run
        Label of the WASABI or WASSR run (`CestRun.label`); None for volumes of the run itself, a field map or the spectrum.
    fieldmap
        The field map, None where it comes from elsewhere.
    shows_dip
        Whether the spectrum could stand in for a run that fails.
    """
    without = f"B0 of {run} is missing, since that run failed: it is taken from the Z-spectrum itself."
    return Take(
        key="b0",
        names=("off_resonance",),
        method=method,
        run=run,
        fieldmap=fieldmap,
        sentence=sentence,
        without=without if run is not None and shows_dip else None,
    )


@dataclass(frozen=True, kw_only=True)
class PowerCorrection:
    """What takes a Z-spectrum to its nominal B1.

    Parameters
    ----------
    others
        Runs of the same spectrum at other powers.
    ratios
        Their nominal B1 over that of this one.
    b1
        The B1 map.
    sentence
        What is done, for the log and the report.
    """

    others: tuple[Take, ...]
    ratios: tuple[float, ...]
    b1: B1Run
    sentence: str


def t1_of_run(run: str, *, kind: T1Kind, more: str = "") -> Take:
    """Return where the T1 of AREX comes from that another run gives.

    Parameters
    ----------
    run
        Label of a pc-bSSFP run, or of one that is freed of magnetisation transfer.
    kind
        What T1 it gives.
    more
        Sentences that follow.
    """
    return Take(
        key="t1",
        names=("t1",),
        run=run,
        sentence=f"T1 for AREX is that of {run}: {T1_KINDS[kind]}.{more}",
        without=f"T1 of {run} is missing, since that run failed: AREX is left out.",
    )


@dataclass(frozen=True, kw_only=True)
class CestRun(Run):
    """A series of saturated images.

    Parameters
    ----------
    entities
        Short names and labels in the order of the file name; `acq` is always there, `cest` or `wassr` where the file has none.
    suffix
        `cest`, `wassr` or `MTR`.
    image
        4D magnitude image.
    m0_image
        Image of its M0 volumes where they are in a file of their own, whose volumes follow those of `image`; None otherwise.
    grid
        Shape of one volume.
    volumes
        Index in the file of every image of the protocol; dummies and volumes marked as not valid are left out.
    roles
        What each image of the protocol is for, as long as `volumes`.
    protocol
        One image a volume, in the same order, SI units and ppm.
    kind
        What the run is good for.
    b0
        Where the shift of water comes from; None for runs that measure it themselves and for fingerprints.
    t1
        Where the T1 of AREX comes from: a run (`t1_of_run`), files or a number; None without one.
    t1_kind
        What T1 that is.
    line_model
        The set of lines of the Lorentzian fit that the user states; None for that of the package.
    powers
        What takes it to its nominal B1; None of a spectrum as it was measured.
    sources, warnings
        Where values came from; decisions and doubts as sentences for the log and the report.
    """

    entities: Mapping[str, str]
    suffix: str
    image: Path
    grid: tuple[int, int, int]
    volumes: tuple[int, ...]
    roles: tuple[VolumeRole, ...]
    protocol: SaturationProtocol
    kind: CestKind
    b0: Take | None = None
    t1: Take | None = None
    t1_kind: T1Kind = "apparent"
    line_model: LineModel | None = None
    powers: PowerCorrection | None = None
    m0_image: Path | None = None
    sources: tuple[ValueSource, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.volumes), len(self.roles), self.protocol.number_of_images}
        if len(lengths) != 1:
            raise ValueError(f"volumes, roles and images of the protocol must be as many, found {sorted(lengths)}")

    @property
    def label(self) -> str:
        """Name of the run, e.g. `sub-01_acq-APTw_cest`."""
        return _label(self.entities, self.suffix)

    @property
    def use(self) -> CestUse:
        """What a series of its kind is used for."""
        return CEST_USES[self.kind]

    @property
    def title(self) -> str:
        """What is done with it, by its kind."""
        return self.use.title if self.powers is None else f"{self.use.title} at nominal B1"

    @property
    def paths(self) -> tuple[Path, ...]:
        """The image files."""
        return (self.image,) if self.m0_image is None else (self.image, self.m0_image)

    @property
    def lines(self) -> list[str]:
        """Images by what they are for, and where the shift of water comes from."""
        counts = (f"{self.roles.count(role)} {role}" for role in ("m0", "cest", "wassr") if role in self.roles)
        images = f"{self.kind}: {len(self.volumes)} images of {size_of(self.grid)} ({', '.join(counts)})"
        lines = [images, *([] if self.b0 is None else wrapped(f"B0: {self.b0.sentence}"))]
        return [*lines, *([] if self.powers is None else wrapped(f"B1: {self.powers.sentence}"))]

    @property
    def number_of_volumes(self) -> int:
        """Volumes of the protocol."""
        return len(self.volumes)

    @property
    def volume_columns(self) -> Mapping[str, Sequence[Any]]:
        """Offset of each volume [ppm]."""
        return {"offset_ppm": list(self.protocol.offsets)}

    @property
    def choices(self) -> tuple[str, ...]:
        """Where the shift of water and T1 come from, and what takes it to nominal B1."""
        powers = () if self.powers is None else (self.powers.sentence,)
        return (*(() if self.b0 is None else (self.b0.sentence,)), *powers, *self._t1_choice)

    @property
    def b1_scans(self) -> tuple[B1Run, ...]:
        """The B1 map that takes it to nominal B1, if that is done."""
        return () if self.powers is None else (self.powers.b1,)

    @property
    def _t1_choice(self) -> tuple[str, ...]:
        if self.t1 is None:
            return ()
        sentences = [self.t1.sentence]
        if self.t1_kind in T1_ERRORS:
            sentences.append(T1_ERRORS[self.t1_kind])
        if self.t1.run is None and not self.t1.stdev_files:
            sentences.append("It has no standard deviation: that of AREX holds none of T1's.")
        return (" ".join(sentences),)

    @property
    def t1_run(self) -> str | None:
        """Label of the run whose T1 is used, a pc-bSSFP run or one that is freed of magnetisation transfer; None without one."""
        return None if self.t1 is None else self.t1.run

    @property
    def t1_map(self) -> str:
        """Name under which that T1 is stored: of a freed run as an inversion recovery sees it, else `T1`."""
        return "mtcorrected_T1" if self.t1_run is not None and self.t1_kind == "mtcorrected" else "T1"

    @property
    def t1_source(self) -> str | None:
        """What the T1 of AREX is from: the label of a run, the name of a file, or the number; None without one."""
        if self.t1 is None or self.t1.run is not None:
            return self.t1_run
        return self.t1.files["t1"].name if self.t1.files else f"{self.t1.values['t1']:g} s"

    @property
    def takes(self) -> tuple[Take, ...]:
        """T1, off-resonance, and what takes it to nominal B1, where other runs give them."""
        found: list[Take] = []
        if self.t1 is not None and self.t1.run is not None:
            found.append(self.t1)
        if self.b0 is not None and self.b0.run is not None:
            found.append(self.b0)
        if self.powers is not None:
            found += self.powers.others
            if self.powers.b1.run is not None:
                found.append(Take(key="b1", names=("b1",), run=self.powers.b1.run))
        return tuple(found)

    @property
    def maps_taken(self) -> tuple[Take, ...]:
        """T1 and off-resonance, from wherever they come."""
        return (*self.takes, *(take for take in (self.t1, self.b0) if take is not None and take.run is None))

    def check_images(self) -> tuple[str, ...]:
        """Read the volumes as the workflow does; see `Run.check_images`."""
        from qmri_bids.preprocessing.loading.series import read_series

        read = read_series(self.paths, volumes=self.volumes, saturated=True)
        return (*read.warnings, *self.doubts_of_spectrum(read.volumes))

    @property
    def is_normalised(self) -> bool:
        """Whether saturated images are less than that without saturation: in a fingerprint every image has its own train."""
        return not self.use.together

    @property
    def is_spectrum(self) -> bool:
        """Whether its images make up a spectrum, and not fringes."""
        return "off_resonance" in self.use.takes

    def doubts_of_spectrum(self, volumes: NDArray[np.floating]) -> tuple[str, ...]:
        """Return warnings of volumes (X, Y, Z, N) that cannot be those of their offsets."""
        from qmri_bids.preprocessing.content.spectra import check_spectrum

        if not self.is_normalised:
            return ()
        return check_spectrum(volumes, offsets=self.protocol.offsets, roles=self.roles, smooth=self.is_spectrum)

    def freed_of(self, keys: Collection[str]) -> CestRun:
        """Return the run without T1, or with the shift of water from the spectrum itself, and a warning that says so."""
        said = {take.key: take.without or "" for take in self.takes if take.key in keys}
        return replace(
            self,
            t1=None if "t1" in keys else self.t1,
            b0=shift_of_water(method="spectrum", sentence=said["b0"]) if "b0" in keys else self.b0,
            warnings=(*self.warnings, *said.values()),
        )


@dataclass(frozen=True, kw_only=True)
class MtrRun(Run):
    """Images with and without an MT pulse.

    Parameters
    ----------
    entities
        Short names and labels without `mt`; `acq` is always there, `MTR` where the files have none.
    saturated, unsaturated
        Images of `mt-on` and `mt-off`: one path each, 3D, or 4D with repetitions.
    grid
        Shape of one volume.
    sources, warnings
        As in `CestRun`.
    """

    entities: Mapping[str, str]
    saturated: Path
    unsaturated: Path
    grid: tuple[int, int, int]
    sources: tuple[ValueSource, ...] = ()
    warnings: tuple[str, ...] = ()

    kind = "mtr"
    title = "Magnetisation transfer ratio"

    @property
    def label(self) -> str:
        """Name of the run, e.g. `sub-01_acq-MTR_MTR`."""
        return _label(self.entities, "MTR")

    @property
    def lines(self) -> list[str]:
        """The two images."""
        return [f"MT ratio of images of {size_of(self.grid)}: {self.saturated.name} over {self.unsaturated.name}"]

    @property
    def number_of_volumes(self) -> int:
        """Volumes with and without pulse, by the headers of the files."""
        return sum(volumes_in(path) for path in self.paths)

    def check_images(self) -> tuple[str, ...]:
        """Read the images as the workflow does; see `Run.check_images`."""
        from qmri_bids.preprocessing.loading.series import read_series

        return read_series(self.paths, saturated=False).warnings

    @property
    def paths(self) -> tuple[Path, ...]:
        """The image files."""
        return (self.unsaturated, self.saturated)


@dataclass(frozen=True, kw_only=True)
class MtsRun(Run):
    """Three spoiled gradient echoes from which MT saturation is computed.

    Parameters
    ----------
    entities
        Short names and labels without `flip` and `mt`; `acq` is always there, `MTS` where the files have none.
    pd_weighted, t1_weighted, mt_weighted
        Small flip angle, large flip angle, small flip angle with MT pulse; 3D images.
    protocols
        Of the three, in this order.
    grid
        Shape of one volume.
    b1
        The B1 map to use; None if the user chose to work without.
    field_strength
        Static field [T]; None where it is not stated.
    sources, warnings
        As in `CestRun`.
    """

    entities: Mapping[str, str]
    pd_weighted: Path
    t1_weighted: Path
    mt_weighted: Path
    protocols: tuple[SpoiledProtocol, SpoiledProtocol, SpoiledProtocol]
    grid: tuple[int, int, int]
    b1: B1Run | None = None
    field_strength: float | None = None
    sources: tuple[ValueSource, ...] = ()
    warnings: tuple[str, ...] = ()

    kind = "mts"
    title = "MT saturation"

    @property
    def label(self) -> str:
        """Name of the run, e.g. `sub-01_acq-MTS_MTS`."""
        return _label(self.entities, "MTS")

    @property
    def lines(self) -> list[str]:
        """The three images and B1."""
        names = zip(("PD weighted", "T1 weighted", "MT weighted"), self.paths, strict=True)
        return [
            f"MT saturation of images of {size_of(self.grid)}",
            *(f"{name}: {path.name}" for name, path in names),
            b1_line(self.b1),
        ]

    @property
    def number_of_volumes(self) -> int:
        """The three images."""
        return len(self.paths)

    def check_images(self) -> tuple[str, ...]:
        """Read the images as the workflow does; see `Run.check_images`."""
        from qmri_bids.preprocessing.loading.series import read_series

        return read_series(self.paths, saturated=False).warnings

    @property
    def b1_scans(self) -> tuple[B1Run, ...]:
        """The B1 map, if there is one."""
        return () if self.b1 is None else (self.b1,)

    @property
    def takes(self) -> tuple[Take, ...]:
        """B1, where another run gives it."""
        return () if self.b1 is None or self.b1.run is None else (Take(key="b1", names=("b1",), run=self.b1.run),)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The image files."""
        return (self.pd_weighted, self.t1_weighted, self.mt_weighted)


def of_kind(runs: Sequence[CestRun], kind: CestKind) -> list[CestRun]:
    """Return the series of one kind."""
    return [run for run in runs if run.use is CEST_USES[kind]]
