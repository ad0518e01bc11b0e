"""One option of `qmri_bids`, as a row that says all there is to say of it, and the groups that hold the rows.

The parser, files of options, the Boutiques descriptor, the checks of values and the settings of the processing are made of these
rows (`parsing.table`). Imports nothing heavy; no class compares its instances by value, which would only make `--help` slower.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Literal

Purpose = Literal["finding", "processing", "engine"]
"""What the value of an option may be for: fields of `FindOptions`, `ProcessingOptions` and `EngineOptions`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Limits:
    """Numbers that an option takes.

    Parameters
    ----------
    low, high
        Ends, in the unit of the option; None where there is none.
    open_low, open_high
        Whether the end itself is out.
    most_of
        Attribute of another option whose value is the upper end instead.
    refusal
        What is said of a number outside, behind the name of the option and with places for the number and for `high`; empty
        where another check says it.
    """

    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    most_of: str = ""
    refusal: str = ""

    def hold(self, number: float) -> bool:
        """Return whether a number lies inside; one that is none does not.

        Examples
        --------
        >>> positive = Limits(low=0, open_low=True)
        >>> [positive.hold(number) for number in (0.0, 0.1, float("nan"))]
        [False, True, False]
        """
        above = self.low is None or (number > self.low if self.open_low else number >= self.low)
        below = self.high is None or (number < self.high if self.open_high else number <= self.high)
        return above and below


@dataclass(frozen=True, eq=False)
class Relation:
    """What an option has to do with others that may stand beside it.

    Parameters
    ----------
    others
        Attributes of the other options.
    refusal
        What is said, with places for `option` and for the `others` that are given, as the command line spells them.
    values
        Values of the others that count; all of them by default.
    """

    others: tuple[str, ...]
    refusal: str
    values: tuple[str, ...] = ()

    def given_others(self, options: argparse.Namespace) -> list[str]:
        """Return the others that are given as the command line spells them, with the value where values count."""
        found = []
        for other in self.others:
            value = getattr(options, other)
            if self.values:
                held = value if isinstance(value, list | tuple) else (value,)
                found += [f"{spelled(other)} {each}" for each in held if each in self.values]
            elif is_given(value):
                found.append(spelled(other))
        return found


@dataclass(frozen=True, eq=False)
class Setting:
    """The field that the value of an option fills, in what other layers are called with.

    Parameters
    ----------
    of
        What the field belongs to.
    field
        Its name; that of the option by default.
    convert
        Takes a value of the command line to the unit of the field; lists become tuples anyway.
    unit
        Unit of the field, shown where settings are compared.
    compared
        Whether results that differ in it are not to be compared: the record of a participant holds it.
    """

    of: Purpose
    _: KW_ONLY
    field: str = ""
    convert: Callable[[Any], Any] | None = None
    unit: str = ""
    compared: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Option:
    """An option, or an argument that is told by its position.

    Parameters
    ----------
    name
        Name with dashes in front; an argument has none.
    help
        What it does, for people.
    short, also
        Other spellings: one letter, and long ones.
    action, nargs, type, choices, default, metavar, dest
        What `argparse` takes under these names; None for what it does by itself.
    limits
        Limits of its numbers.
    complaint
        Returns what is wrong with a value, to be said behind the name; empty where nothing is.
    must_be_file
        Whether the file is looked for before anything else is done, and its path made absolute.
    reads_folder
        Whether it names a folder that is read: executors of containers mount or stage it, as they do files.
    excluded_by, needs
        Options beside which it has no place, and without which it means nothing.
    in_file
        Whether a file of options may hold it.
    written
        Returns its value as a file of options holds it, where that is not the value itself.
    setting
        The field that its value fills; None where the command line itself uses it.
    """

    name: str
    help: str
    short: str = ""
    also: tuple[str, ...] = ()
    action: Literal["store", "store_true", "count", "extend"] = "store"
    nargs: int | Literal["+"] | None = None
    type: Callable[[str], Any] | None = None
    choices: tuple[str, ...] | None = None
    default: Any = None
    metavar: str | tuple[str, ...] | None = None
    dest: str | None = None
    limits: Limits | None = None
    complaint: Callable[[Any], str] | None = None
    must_be_file: bool = False
    reads_folder: bool = False
    excluded_by: tuple[Relation, ...] = ()
    needs: tuple[Relation, ...] = ()
    in_file: bool = True
    written: Callable[[Any], Any] | None = None
    setting: Setting | None = None

    @property
    def key(self) -> str:
        """Its name with underscores and none in front."""
        return self.name.removeprefix("--").replace("-", "_")

    @property
    def attribute(self) -> str:
        """The name of its value among parsed options."""
        return self.dest or self.key

    @property
    def is_positional(self) -> bool:
        """Whether it is told by its position."""
        return not self.name.startswith("--")

    @property
    def long_names(self) -> tuple[str, ...]:
        """Its long spellings."""
        return (self.name, *self.also)

    @property
    def setting_name(self) -> str:
        """The name of the field that it fills."""
        return (self.setting and self.setting.field) or self.attribute

    def as_setting(self, value: Any) -> Any:
        """Return a value of the command line as the field holds it."""
        if value is not None and self.setting is not None and self.setting.convert is not None:
            value = self.setting.convert(value)
        return tuple(value) if isinstance(value, list) else value

    def add_to(self, parser: argparse._ActionsContainer) -> None:
        """Add it to a parser or to a group of one."""
        told = {
            "nargs": self.nargs,
            "type": self.type,
            "choices": self.choices,
            "default": self.default,
            "metavar": self.metavar,
            "dest": self.dest,
        }
        given = {key: value for key, value in told.items() if value is not None}
        spellings = [*filter(None, (self.short,)), *self.long_names]
        parser.add_argument(*spellings, action=self.action, help=self.help, **given)


Step = Callable[[argparse.ArgumentParser, argparse.Namespace], None]
"""Fills in or refuses parsed options."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OptionGroup:
    """Options under one heading of the help.

    Parameters
    ----------
    title
        The heading; empty for those of `argparse`.
    rows
        The options.
    fill_in
        Function that is called before values are checked, for what the machine knows.
    finish
        Function that is called once they are right, for what rows cannot say.
    """

    title: str
    rows: tuple[Option, ...]
    fill_in: Step | None = None
    finish: Step | None = None

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Add the options to a parser, under their heading."""
        container = parser.add_argument_group(self.title) if self.title else parser
        for row in self.rows:
            row.add_to(container)

    def check(self, parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
        """Refuse what can be seen to be wrong, and make the paths of files absolute; exits with code 2 then."""
        if self.fill_in is not None:
            self.fill_in(parser, options)
        for complaints in (_outside_limits, _malformed, _not_a_file, _in_bad_company):
            for row in self.rows:
                if is_given(getattr(options, row.attribute)):
                    for complaint in complaints(row, options):
                        parser.error(complaint)
        if self.finish is not None:
            self.finish(parser, options)


def is_given(value: Any) -> bool:
    """Return whether an option has a value: flags are true then."""
    return value is not None and value is not False


def spelled(attribute: str) -> str:
    """Return the name of an option on the command line.

    Examples
    --------
    >>> spelled("fd_threshold")
    '--fd-threshold'
    """
    return f"--{attribute.replace('_', '-')}"


def _outside_limits(row: Option, options: argparse.Namespace) -> Iterator[str]:
    limits, value = row.limits, getattr(options, row.attribute)
    if limits is None or not limits.refusal:
        return
    if limits.most_of:
        limits = replace(limits, high=getattr(options, limits.most_of))
    for number in value if isinstance(value, list | tuple) else (value,):
        if not limits.hold(number):
            yield f"{row.name} {limits.refusal.format(number, high=limits.high)}"


def _malformed(row: Option, options: argparse.Namespace) -> Iterator[str]:
    if row.complaint is not None and (said := row.complaint(getattr(options, row.attribute))):
        yield f"{row.name} {said}"


def _not_a_file(row: Option, options: argparse.Namespace) -> Iterator[str]:
    if row.must_be_file:
        path = getattr(options, row.attribute).resolve()
        setattr(options, row.attribute, path)
        if not path.is_file():
            yield f"{row.name} {path} is not a file"


def _in_bad_company(row: Option, options: argparse.Namespace) -> Iterator[str]:
    """Say what stands beside an option and must not, or does not and must."""
    for relation in row.excluded_by:
        if given := relation.given_others(options):
            yield relation.refusal.format(option=row.name, others=" and ".join(given))
    for relation in row.needs:
        if len(relation.given_others(options)) < len(relation.others):
            yield relation.refusal.format(option=row.name)
