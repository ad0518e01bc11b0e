"""What a report holds, free of any engine: plain frozen data that a workflow fills and `render` writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from qmri_bids.bids.refusal import Refusal
from qmri_bids.reports.measures import Measure
from qmri_bids.reports.viewer.content import Viewer


class Level(StrEnum):
    """How much attention a check asks for."""

    GOOD = "good"
    """All as expected."""
    CHECK = "check"
    """Usable, but somebody should look."""
    BAD = "bad"
    """Not usable without a person's decision."""
    INFO = "info"
    """A fact without a judgement."""


SEVERITY = {Level.INFO: 0, Level.GOOD: 1, Level.CHECK: 2, Level.BAD: 3}
"""Order of the levels, the worst last."""


class Section(StrEnum):
    """The part of a run's report in which a figure stands, in the order of the report."""

    PROTOCOL = "protocol"
    CYCLES = "cycles"
    SERIES = "series"
    MOTION = "motion"
    REGISTRATION = "registration"
    B1 = "b1"
    SPECTRA = "spectra"
    TRAJECTORIES = "trajectories"
    MAPS = "maps"
    UNCERTAINTY = "uncertainty"
    POSTERIOR = "posterior"
    HISTOGRAMS = "histograms"
    REGIONS = "regions"
    QUALITY = "quality"


@dataclass(frozen=True, kw_only=True)
class Overview:
    """A map at a glance: one slice, small.

    Parameters
    ----------
    image
        The slice as PNG, one pixel or a few a voxel, without letters.
    symbol
        Short name of the map.
    window
        Limits of the colours with their unit, as text.
    with_value
        Share of the voxels of the mask that have a value, 0 to 1.
    """

    image: bytes
    symbol: str
    window: str
    with_value: float


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One picture of a report, already rendered.

    Parameters
    ----------
    key
        Short name, unique in its run; it becomes the anchor and the file name.
    title
        Heading over the picture.
    caption
        What is shown, with windows, units and conventions.
    image
        The encoded picture.
    mime
        Its type, `image/webp`, `image/png` or `image/svg+xml`.
    section
        The part of the report in which it stands.
    alternative
        Text for readers who do not see the picture; the title and caption where empty.
    overview
        The map at a glance, where the picture is one of a map.
    frames
        Names of two images of the same cuts that lie below each other in this picture: a reader can look at them in turn. Empty
        where it is one picture.
    frame_step
        How far the second one lies below the first, as a share of the height of the picture.
    """

    key: str
    title: str
    caption: str
    image: bytes
    mime: str = "image/webp"
    section: Section = Section.MAPS
    alternative: str = ""
    overview: Overview | None = None
    frames: tuple[str, ...] = ()
    frame_step: float = 0.5


PARAMETER_NAMES: Mapping[str, str] = {
    "b0_echo_times": "Echo times (B0)",
    "b1_nominal_flip_angle": "Nominal flip angle (B1)",
    "b1_repetition_time": "Repetition time (B1)",
    "b1_repetition_times": "Repetition times (B1)",
    "b1_scale": "Scale of the B1 map",
    "m0": "Images of full signal",
    "rf_phase_increment": "RF phase increments",
    "rf_phase_increment_reference": "Reference of the increments",
    "unsaturated": "Unsaturated images",
}
"""Names of values of the acquisition where they are not the key in words."""


def parameter_name(key: str) -> str:
    """Return the name of a value of the acquisition, for readers.

    Examples
    --------
    >>> parameter_name("b1_scale"), parameter_name("field_strength")
    ('Scale of the B1 map', 'Field strength')
    """
    return PARAMETER_NAMES.get(key, key.replace("_", " ").capitalize())


def parameter_key(name: str) -> str:
    """Return the key of a value of the acquisition from its name; a key is its own.

    Examples
    --------
    >>> parameter_key("Scale of the B1 map"), parameter_key("Field strength"), parameter_key("m0")
    ('b1_scale', 'field_strength', 'm0')
    """
    found = {shown: key for key, shown in PARAMETER_NAMES.items()}
    return found.get(name, name.lower().replace(" ", "_"))


@dataclass(frozen=True, kw_only=True)
class ProtocolRow:
    """One value of the acquisition and where it came from (`sub-01_VFA.json: RepetitionTimeExcitation`).

    Parameters
    ----------
    key, value, unit, source
        Name for readers, value as text in its unit, and file and key that state it.
    parameter
        Key of the value in the program, `repetition_time`; empty where the name alone is known.
    """

    key: str
    value: str
    unit: str = ""
    source: str = ""
    parameter: str = ""


@dataclass(frozen=True, kw_only=True)
class QualityRow:
    """How many voxels carry one code of the quality mask; `percent` is of those inside the brain mask."""

    code: int
    name: str
    meaning: str
    voxels: int
    percent: float | None


@dataclass(frozen=True, kw_only=True)
class StatisticsRow:
    """Distribution of one map in one region, in the unit stated (that of the display, not of the file)."""

    map: str
    unit: str
    region: str
    median: float
    lower_quartile: float
    upper_quartile: float
    mean: float
    standard_deviation: float
    voxels: int


@dataclass(frozen=True, kw_only=True)
class Check:
    """One traffic light: what was looked at, what was found, how it is judged and by which rule.

    `measures` holds the numbers behind the words of `value`.
    """

    name: str
    value: str
    level: Level
    explanation: str = ""
    measures: tuple[Measure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ErrorEntry:
    """Something that failed: where, what happened, what to do, and the technical details (a traceback)."""

    title: str
    message: str
    advice: str = ""
    details: str = ""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A publication: `short` stands in the text, `full` in the list, `doi` without a resolver's address."""

    key: str
    short: str
    full: str
    doi: str = ""
    bibtex: str = ""


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """The report of one run of one acquisition.

    Parameters
    ----------
    title
        Heading, for example `pc-bSSFP relaxometry`.
    session
        Label of the session without `ses-`, empty where there is none.
    entities
        BIDS entities that name the run, in their order.
    checks
        Traffic lights.
    protocol
        Values of the acquisition with their sources.
    decisions, warnings
        Sentences collected from the steps.
    figures
        Pictures; they are shown by section, in the order given.
    quality
        Counts of the codes of the quality mask.
    statistics
        Distribution of the maps.
    errors
        What failed in this run.
    outputs
        Files written, relative to the output folder.
    measures
        Numbers that no check judges.
    field_strength
        Static field of the scan [T], None where it is not stated.
    missing_where
        Where most of the voxels without a value lie, in words; empty where that cannot be told.
    viewer
        The maps, for the viewer in the page; None where there is none.
    only_fits
        Whether masks and motion alone were wanted, and no maps.
    """

    title: str
    session: str = ""
    entities: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    protocol: tuple[ProtocolRow, ...] = ()
    decisions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    quality: tuple[QualityRow, ...] = ()
    statistics: tuple[StatisticsRow, ...] = ()
    errors: tuple[ErrorEntry, ...] = ()
    outputs: tuple[str, ...] = ()
    measures: tuple[Measure, ...] = ()
    field_strength: float | None = None
    missing_where: str = ""
    viewer: Viewer | None = None
    only_fits: bool = False

    @property
    def level(self) -> Level:
        """The worst of the checks; a warning asks for a look, an error makes the run bad."""
        levels = [check.level for check in self.checks]
        levels += [Level.BAD] * bool(self.errors) + [Level.CHECK] * bool(self.warnings)
        return max(levels, key=SEVERITY.__getitem__, default=Level.GOOD)

    @property
    def name(self) -> str:
        """The entities as BIDS writes them, `ses-1_acq-pcbssfp_run-1`."""
        pairs = dict(self.entities)
        if self.session:
            pairs = {"ses": self.session} | {k: v for k, v in pairs.items() if k not in ("ses", "session")}
        return "_".join(f"{key}-{value}" for key, value in pairs.items())


@dataclass(frozen=True, kw_only=True)
class SubjectReport:
    """The report of one participant.

    Parameters
    ----------
    participant
        Label without `sub-`.
    version
        Version of qmri_bids.
    command
        Command line as given.
    created
        Date and time of the report (ISO 8601).
    software
        Versions by name of package.
    runs
        One report a run.
    refusals
        Runs that were found but not processed; text, a sentence that says why and what to do, or the refusal itself.
    decisions
        Sentences that hold for the whole participant.
    errors
        What failed outside any run.
    methods
        Text of the methods, paragraphs apart by an empty line.
    references
        Publications that the text cites.
    bids_dir, output_dir
        Names of the folders.
    duration
        Time taken [s], where known.
    exit_status
        Exit status of the participant's processing, where known; 0 is success.
    settings
        Choices that must be alike where maps of participants are compared, as text by name.
    """

    participant: str
    version: str
    command: str
    created: str
    software: Mapping[str, str] = field(default_factory=dict)
    runs: tuple[RunReport, ...] = ()
    refusals: tuple[Refusal | str, ...] = ()
    decisions: tuple[str, ...] = ()
    errors: tuple[ErrorEntry, ...] = ()
    methods: str = ""
    references: tuple[Reference, ...] = ()
    bids_dir: str = ""
    output_dir: str = ""
    duration: float | None = None
    exit_status: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def level(self) -> Level:
        """The worst of the runs; a refusal asks for a look, an error or no run at all is bad."""
        levels = [run.level for run in self.runs]
        levels += [Level.CHECK] * bool(self.refusals)
        levels += [Level.BAD] * bool(self.errors or self.exit_status or not self.runs)
        return max(levels, key=SEVERITY.__getitem__, default=Level.GOOD)
