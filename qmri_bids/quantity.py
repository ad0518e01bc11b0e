"""What a map is wherever it appears: its name, its file and its display; and the maps that follow from it.

The standard deviation of a map, its posterior, and the map as another run takes it are functions of its row in `quantities`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

STDEV = "_stdev"
"""How the name of a standard deviation ends."""

POSTERIOR = "posterior_"
"""How the name of a posterior map begins."""

KNOWN = "known_"
"""How the name of a map begins that another scan gave."""


def as_it_is(values: Any) -> Any:
    """Return values unchanged: their unit is that inside the package."""
    return values


@dataclass(frozen=True, kw_only=True)
class MapFile:
    """How a map is written.

    Parameters
    ----------
    key
        Its row in `bids.names.outputs`.
    suffix, desc, folder
        BIDS suffix, label of `desc`, None without one, and the datatype folder.
    unit
        `Units` of the sidecar.
    description
        `Description` of the sidecar.
    convert
        Converts from the unit inside the package (SI) to `unit`.
    skull_stripped
        Whether only the brain has values, as long as there is a brain mask.
    in_bids
        Whether BIDS knows the suffix; `.bidsignore` hides other files from the validator.
    """

    key: str
    suffix: str
    unit: str
    description: str
    desc: str | None = None
    folder: Literal["anat", "fmap"] = "anat"
    convert: Callable[[Any], Any] = as_it_is
    skull_stripped: bool = True
    in_bids: bool = True


@dataclass(frozen=True, kw_only=True)
class Display:
    """How a map is shown in reports.

    A fixed window makes the reports of different participants comparable at a glance. Colour maps are perceptually uniform and safe
    for colour-blind readers; a map with a sign or a nominal value has a diverging one, relaxation has the ones that the field
    recommends (`reports.drawing.colormaps`).

    Parameters
    ----------
    unit
        Unit on display.
    window
        Limits [`unit`]; None means the 2nd and 98th percentile of the map itself.
    colormap
        Name of a colour map, as `reports.drawing.colormaps.color_table` takes it.
    convert
        Converts from the unit inside the package (SI) to `unit`.
    note
        What a reader must know, as sentences.
    section
        The part of the report, a value of `reports.content.Section`.
    """

    unit: str
    window: tuple[float, float] | None
    colormap: str
    convert: Callable[[Any], Any] = as_it_is
    note: str = ""
    section: Literal["maps", "b1", "uncertainty", "posterior"] = "maps"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What is peculiar to the standard deviation of a map.

    Parameters
    ----------
    limit
        Upper limit of the window [unit on display]; None where the map has no fixed window.
    cause
        What it comes from, for the sidecar.
    note
        In place of the note of the map; None keeps that.
    """

    limit: float | None
    cause: str = "from the noise of the scan"
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """What is peculiar to the posterior of a map.

    Parameters
    ----------
    priors
        Priors that it can be asked for under.
    symbol
        What stands before the symbol of the map.
    gaps
        Where it has no value, as a sentence for the sidecar.
    """

    priors: tuple[str, ...]
    symbol: str = "posterior"
    gaps: str = ""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is peculiar to a map that the estimation of another run takes.

    Parameters
    ----------
    title
        How its sidecar begins.
    transform
        Row in `bids.names.outputs` of the transform by which it comes.
    unit
        Unit of a number that stands for the map, empty for a ratio.
    option
        Option of the command line that gives such a number, None where there is none.
    """

    title: str
    transform: str
    unit: str
    option: str | None = None


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A map: what it is called, how it is written and how it is shown.

    Parameters
    ----------
    name
        Its one name: of arrays between nodes, of the values that estimators return, of rows in tables.
    label, symbol
        Its name for readers, and the short form at the colour bar.
    display
        How it is shown.
    file
        How it is written; None where it is only shown.
    phrase
        The label after "of" in a sentence, where it is not the label itself: `the off-resonance`.
    full_name
        What it is called in sidecars after "of", where it is not the phrase: `the amplitude of water`.
    algorithm, references
        How it was made and the keys of the papers, where that follows from the map and not from the choice of an estimator.
    spread, posterior, known
        What is peculiar to its standard deviation, its posterior, and to it as another run takes it; None where there is none.
    """

    name: str
    label: str
    symbol: str
    display: Display
    file: MapFile | None = None
    phrase: str = ""
    full_name: str = ""
    algorithm: str | None = None
    references: tuple[str, ...] = ()
    spread: Spread | None = None
    posterior: Posterior | None = None
    known: Known | None = None

    @property
    def argument(self) -> str:
        """Its name as an argument of functions: `t1` of T1."""
        return self.name.lower()

    @property
    def in_sentence(self) -> str:
        """The label after "of"."""
        return self.phrase or self.label

    @property
    def bare_phrase(self) -> str:
        """The label in a list of maps: `off-resonance`."""
        return self.in_sentence.removeprefix("the ")

    @property
    def in_sidecar(self) -> str:
        """What it is called in sidecars after "of"."""
        return self.full_name or self.in_sentence

    @property
    def written(self) -> MapFile:
        """How it is written.

        Raises
        ------
        ValueError
            If it is only shown.
        """
        if self.file is None:
            raise ValueError(f"{self.name}: expected a map with a file, found one that is only shown")
        return self.file

    @property
    def taken(self) -> Known:
        """How the estimation of another run takes it.

        Raises
        ------
        ValueError
            If none takes it.
        """
        if self.known is None:
            raise ValueError(f"{self.name}: expected a map that estimations take, found one that none takes")
        return self.known


def stdev(quantity: Quantity) -> Quantity:
    """Return the standard deviation of a map.

    Raises
    ------
    ValueError
        If the map has none.
    """
    spread = quantity.spread
    if spread is None:
        raise ValueError(f"{quantity.name}: expected a map with a standard deviation, found one without")
    own, display = quantity.written, quantity.display
    return Quantity(
        name=f"{quantity.name}{STDEV}",
        label=f"Standard deviation of {quantity.in_sentence}",
        symbol=f"sd({quantity.symbol})",
        display=replace(
            display,
            window=None if spread.limit is None else (0, spread.limit),
            colormap="plasma",
            note=display.note if spread.note is None else spread.note,
            section="uncertainty",
        ),
        file=replace(
            own,
            key=f"{own.key}_std",
            desc=f"{own.desc or ''}std",
            description=f"Standard deviation of {quantity.in_sidecar} {spread.cause}.",
            skull_stripped=True,
        ),
        algorithm=quantity.algorithm,
        references=quantity.references,
    )


def posterior(quantity: Quantity, *, prior: str | None = None) -> Quantity:
    """Return the posterior mean of a map.

    Parameters
    ----------
    quantity
        The map.
    prior
        The prior; without one the map is only shown, its file unknown.

    Raises
    ------
    ValueError
        If the map has no posterior, or none under this prior.
    """
    gaps = f" {quantity.posterior.gaps}" if quantity.posterior and quantity.posterior.gaps else ""
    return _of_posterior(
        quantity,
        shown=quantity,
        prior=prior,
        description=f"Posterior mean of {quantity.in_sidecar} under the prior '{prior}': pulled towards that prior.{gaps}",
    )


def posterior_stdev(quantity: Quantity, *, prior: str | None = None) -> Quantity:
    """Return the standard deviation of the posterior of a map; parameters and errors as those of `posterior`."""
    return _of_posterior(
        quantity,
        shown=stdev(quantity),
        prior=prior,
        description=f"Standard deviation of the posterior of {quantity.in_sidecar} under the prior '{prior}'.",
        ending="std",
    )


def _of_posterior(
    quantity: Quantity, *, shown: Quantity, prior: str | None, description: str, ending: str = ""
) -> Quantity:
    own = quantity.posterior
    if own is None or prior not in (None, *own.priors):
        priors = "none" if own is None else ", ".join(own.priors)
        raise ValueError(f"{quantity.name}: expected a posterior under one of its priors ({priors}), found {prior}")
    file = None
    if prior is not None:
        label = "posterior" + "".join(part.capitalize() for part in (*prior.split("-"), ending))
        file = replace(
            quantity.written,
            key="_".join([quantity.written.key, "posterior", prior, *([ending] if ending else [])]),
            desc=f"{quantity.written.desc or ''}{label}",
            description=description,
        )
    return Quantity(
        name=f"{POSTERIOR}{shown.name}",
        label=f"Posterior: {shown.label}",
        symbol=f"{own.symbol} {shown.symbol}",
        display=replace(shown.display, section="posterior"),
        file=file,
    )


def known(quantity: Quantity) -> Quantity:
    """Return a map as the estimation of another run takes it.

    Raises
    ------
    ValueError
        If no estimation takes it.
    """
    own = quantity.written
    return replace(
        quantity,
        name=f"{KNOWN}{quantity.name}",
        file=replace(
            own,
            key=f"{KNOWN}{own.key}",
            desc="known",
            description=f"{quantity.taken.title} as it entered the estimation: measured by another scan, brought to the grid of "
            "this one. NaN where nothing was estimated.",
            skull_stripped=True,
        ),
        spread=None,
        posterior=None,
        known=None,
    )


def at_offset(quantity: Quantity, offset: float) -> Quantity:
    """Return the map of MTR asymmetry at one offset.

    Parameters
    ----------
    quantity
        MTR asymmetry.
    offset
        Distance from water [ppm]; the label of the file is `asymAPT` at 3.5 ppm, where amide protons resonate.

    Examples
    --------
    >>> from qmri_bids.quantities import QUANTITIES
    >>> found = at_offset(QUANTITIES["MTRasym"], 2.0)
    >>> found.name, found.label, found.written.desc
    ('MTRasym_2', 'MTR asymmetry at 2 ppm', 'asym2p0')
    """
    return replace(
        quantity,
        name=f"{quantity.name}_{offset:g}",
        label=f"{quantity.label} at {offset:g} ppm",
        symbol=f"asym {offset:g} ppm",
        file=replace(quantity.written, desc="asymAPT" if offset == 3.5 else f"asym{_label_of(offset)}"),
        full_name=quantity.in_sidecar,
    )


def over_range(quantity: Quantity, low: float, high: float) -> Quantity:
    """Return the map of the mean MTR asymmetry over a range of offsets [ppm].

    Parameters
    ----------
    quantity
        MTR asymmetry.
    low, high
        Ends of the range.

    Examples
    --------
    >>> from qmri_bids.quantities import QUANTITIES
    >>> found = over_range(QUANTITIES["MTRasym"], 3.0, 4.0)
    >>> found.name, found.label, found.written.desc
    ('MTRasym_3to4', 'mean MTR asymmetry from 3 to 4 ppm', 'asym3p0to4p0')
    """
    return replace(
        quantity,
        name=f"{quantity.name}_{low:g}to{high:g}",
        label=f"mean {quantity.label} from {low:g} to {high:g} ppm",
        symbol=f"asym {low:g} to {high:g} ppm",
        file=replace(quantity.written, desc=f"asym{_label_of(low)}to{_label_of(high)}"),
        full_name=quantity.in_sidecar,
    )


def _label_of(offset: float) -> str:
    """Return an offset as part of a label."""
    return f"{offset:.4g}".replace(".", "p") + ("p0" if offset == int(offset) else "")


def of_line(quantity: Quantity, pool: str) -> Quantity:
    """Return the map of a pool of one's own, whose name the label of the file is.

    Parameters
    ----------
    quantity
        Row of the map for such pools: its name ends in the placeholder that stands for the pool.
    pool
        Name of the pool.

    Examples
    --------
    >>> from qmri_bids.quantities import QUANTITIES
    >>> found = of_line(QUANTITIES["amplitude_"], "guanidine")
    >>> found.name, found.label, found.written.desc
    ('amplitude_guanidine', 'Lorentzian amplitude of guanidine', 'guanidine')
    """
    own = quantity.written
    desc = f"{(own.desc or '').removesuffix(PLACEHOLDER)}{pool}"

    def named(text: str) -> str:
        return text.replace(ANY_POOL, pool)

    return replace(
        quantity,
        name=f"{quantity.name}{pool}",
        label=named(quantity.label),
        symbol=named(quantity.symbol),
        full_name=named(quantity.full_name),
        file=replace(own, desc=desc, description=named(own.description)),
    )


ANY_POOL = "a pool of one's own"
"""What rows of maps for pools of one's own call them."""

PLACEHOLDER = "pool"
"""What stands for their name in the label of the file."""


def of_pool(quantity: Quantity, pool: str) -> Quantity:
    """Return the map of a pool.

    Parameters
    ----------
    quantity
        The same map of the pool that stands for any, its name the label of the file.
    pool
        Name of the pool: letters and digits.

    Examples
    --------
    >>> from qmri_bids.quantities import QUANTITIES
    >>> found = of_pool(QUANTITIES["solute_fraction"], "creatine")
    >>> found.name, found.label, found.written.desc
    ('creatine_fraction', 'creatine fraction', 'creatine')
    """
    any_pool = quantity.written.desc or ""

    def named(text: str) -> str:
        return text.replace(f"the {any_pool} pool", f"the pool {pool}").replace(any_pool, pool)

    return replace(
        quantity,
        name=named(quantity.name),
        label=named(quantity.label),
        symbol=named(quantity.symbol),
        phrase=named(quantity.phrase),
        full_name=named(quantity.full_name),
        display=replace(quantity.display, note=named(quantity.display.note)),
        file=replace(quantity.written, desc=pool, description=named(quantity.written.description)),
    )


def labelled(quantity: Quantity, label: str) -> Quantity:
    """Return a synthetic image at parameters of one's own, told from others by its label.

    Parameters
    ----------
    quantity
        The image at the usual parameters.
    label
        Letters and digits.

    Examples
    --------
    >>> from qmri_bids.quantities import QUANTITIES
    >>> found = labelled(QUANTITIES["synthetic_T2w"], "late")
    >>> found.name, found.label, found.written.desc
    ('synthetic_late_T2w', 'Synthetic T2w (late)', 'syntheticlate')
    """
    return replace(
        quantity,
        name=f"synthetic_{label}_{quantity.symbol}",
        label=f"{quantity.label} ({label})",
        phrase=f"{quantity.in_sentence} ({label})",
        full_name=f"{quantity.in_sidecar} ({label})",
        file=replace(quantity.written, desc=f"{quantity.written.desc}{label}"),
    )


def bare(name: str, unit: str = "arbitrary") -> Quantity:
    """Return what is shown of values that have no row: they themselves, under the name and in the unit that they come with."""
    return Quantity(name=name, label=name, symbol=name, display=Display(unit=unit, window=None, colormap="viridis"))
