"""Standard templates that lie on disk as TemplateFlow keeps them; nothing is ever downloaded."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HOME_VARIABLE = "TEMPLATEFLOW_HOME"
"""Environment variable that names the folder of templates."""

PUBLIC = (
    "MNI152NLin2009cAsym",
    "MNI152NLin2009aAsym",
    "MNI152NLin2009aSym",
    "MNI152NLin2009bAsym",
    "MNI152NLin2009bSym",
    "MNI152NLin2009cSym",
    "MNI152NLin6Asym",
    "MNI152NLin6Sym",
    "MNI152Lin",
    "MNI305",
    "MNIInfant",
    "MNIPediatricAsym",
    "UNCInfant",
    "OASIS30ANTs",
    "NKI",
    "PNC",
    "RESILIENT",
    "dhcpAsym",
    "dhcpSym",
    "dhcpVol",
    "fsaverage",
    "Fischer344",
    "MouseIn",
    "NMT31Sym",
    "VALiDATe29",
    "WHS",
)
"""Templates of volumes that the archive of TemplateFlow holds."""

_FILE = re.compile(
    r"tpl-(?P<tpl>[0-9A-Za-z]+)(?:_cohort-(?P<cohort>[0-9A-Za-z]+))?(?:_res-(?P<res>[0-9A-Za-z]+))?"
    r"_(?P<what>T1w|desc-brain_mask)\.nii(?:\.gz)?"
)
"""Names of the two images of a template that are needed: the head, and the mask of its brain."""

_LABEL = re.compile(r"(?P<name>[0-9A-Za-z]+(?:\+[0-9A-Za-z]+)?)(?P<modifiers>(?::(?:res|cohort)-[0-9A-Za-z]+)*)")


@dataclass(frozen=True, kw_only=True)
class SpaceLabel:
    """A space as it is asked for, taken apart.

    Parameters
    ----------
    space
        What names of files call it: the name of the template and, behind a plus sign, its cohort.
    resolution
        Index of its grid without leading zeros; empty for none in particular.
    """

    space: str
    resolution: str = ""

    @property
    def text(self) -> str:
        """The label in its one spelling."""
        return self.space + (f":res-{self.resolution}" if self.resolution else "")


def parse_label(text: str) -> SpaceLabel:
    """Return a space with what follows its name behind colons.

    Parameters
    ----------
    text
        `T1w`, `MNI152NLin2009cAsym:res-2`, `MNIPediatricAsym:cohort-3:res-1` or `MNIPediatricAsym+3`.

    Raises
    ------
    ValueError
        If it is none of these.

    Examples
    --------
    >>> parse_label("MNIPediatricAsym:cohort-3:res-02").text
    'MNIPediatricAsym+3:res-2'
    """
    match = _LABEL.fullmatch(text)
    given = [part.split("-") for part in match["modifiers"].split(":")[1:]] if match else []
    known = dict(given)
    if match is None or len(known) < len(given) or ("+" in match["name"] and "cohort" in known):
        raise ValueError(
            f"expected the name of a space, such as T1w, MNI152NLin2009cAsym, MNI152NLin2009cAsym:res-2 or "
            f"MNIPediatricAsym:cohort-3, found {text!r}"
        )
    cohort = f"+{known['cohort']}" if "cohort" in known else ""
    return SpaceLabel(space=match["name"] + cohort, resolution=_plain(known.get("res", "")))


def _plain(resolution: str) -> str:
    return str(int(resolution)) if resolution.isdigit() else resolution


@dataclass(frozen=True, kw_only=True)
class Template:
    """A template on disk.

    Parameters
    ----------
    space
        What names of files call it.
    images, masks
        Heads of T1 contrast and masks of their brains by the index of their grid, empty where the name holds none.
    title
        What its description calls it; empty where it has none.
    empty
        Names of files that are there without content, as an archive has them that was not downloaded whole.
    """

    space: str
    images: Mapping[str, Path] = field(default_factory=dict)
    masks: Mapping[str, Path] = field(default_factory=dict)
    title: str = ""
    empty: tuple[str, ...] = ()

    @property
    def resolutions(self) -> tuple[str, ...]:
        """Indices of the grids on which both images are there, the least first: on it maps are written by default."""
        return tuple(sorted(set(self.images) & set(self.masks), key=lambda text: (len(text), text)))

    def grid(self, resolution: str) -> Path | None:
        """Return the image that shows a grid; None where it is not there.

        Parameters
        ----------
        resolution
            Index of the grid; empty for that of the default.
        """
        return self.images.get(resolution or (self.resolutions[0] if self.resolutions else ""))

    @property
    def registered(self) -> tuple[Path, Path]:
        """Image and mask to which a brain is registered."""
        return self.images[self.resolutions[0]], self.masks[self.resolutions[0]]

    @property
    def labels(self) -> tuple[str, ...]:
        """How it can be asked for."""
        grids = (SpaceLabel(space=self.space, resolution=each).text for each in self.resolutions if each)
        return (self.space, *grids) if self.resolutions else ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All its files."""
        return (*self.images.values(), *self.masks.values())


def templates_home(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder in which templates are looked for: that of `TEMPLATEFLOW_HOME`, else that of the package templateflow."""
    given = environment.get(HOME_VARIABLE)
    return Path(given).absolute() if given else Path.home() / ".cache" / "templateflow"


def find_template(space: str, *, home: Path) -> Template:
    """Return what a folder of templates holds of one; without grids where it holds nothing.

    Parameters
    ----------
    space
        Name of the template, and its cohort behind a plus sign.
    home
        Folder of templates.
    """
    name, _, cohort = space.partition("+")
    folder = home / f"tpl-{name}"
    found: dict[str, dict[str, Path]] = {"T1w": {}, "desc-brain_mask": {}}
    empty = []
    for path in _files(folder / f"cohort-{cohort}" if cohort else folder):
        match = _FILE.fullmatch(path.name)
        if match is None or match["tpl"] != name or (match["cohort"] or "") != cohort:
            continue
        if not path.is_file() or not path.stat().st_size:  # known to the archive, or a link to what is not there
            empty.append(path.name)
            continue
        found[match["what"]].setdefault(_plain(match["res"] or ""), path)
    return Template(
        space=space,
        images=found["T1w"],
        masks=found["desc-brain_mask"],
        title=_title(folder),
        empty=tuple(empty),
    )


def available_templates(home: Path) -> tuple[Template, ...]:
    """Return the templates of a folder that maps can be put into.

    Parameters
    ----------
    home
        Folder of templates; it need not be there.
    """
    spaces = []
    for folder in _files(home):
        if folder.name.startswith("tpl-"):
            spaces.append(folder.name.removeprefix("tpl-"))
            cohorts = (each.name for each in _files(folder) if each.name.startswith("cohort-"))
            spaces += [f"{spaces[-1]}+{each.removeprefix('cohort-')}" for each in cohorts]
    return tuple(each for each in (find_template(space, home=home) for space in spaces) if each.resolutions)


def close_names(name: str, *, others: Iterable[str] = ()) -> tuple[str, ...]:
    """Return known names that a name may have been meant to be, the closest first; whatever the case of its letters.

    Parameters
    ----------
    name
        As typed, without cohort and resolution.
    others
        Names that are known besides `PUBLIC`.

    Examples
    --------
    >>> close_names("mni152nlin2009casym")[0], close_names("Paris")
    ('MNI152NLin2009cAsym', ())
    """
    known = {each.lower(): each for each in (*others, *PUBLIC)}
    return tuple(known[each] for each in difflib.get_close_matches(name.lower(), known, n=2, cutoff=0.8))


def how_to_get(label: SpaceLabel, *, home: Path, template: Template) -> str:
    """Return in lines why a template cannot be had, which ones are there, and how a person gets it.

    A name that TemplateFlow does not have gets no way to it, but names that are close to it.

    Parameters
    ----------
    label
        As asked for.
    home
        Folder of templates.
    template
        What the folder holds of it.
    """
    where = f"{HOME_VARIABLE} ({home})" if HOME_VARIABLE in os.environ else f"{home} ({HOME_VARIABLE} is not set)"
    there = tuple(each.space for each in available_templates(home))
    name, _, cohort = label.space.partition("+")
    if template.resolutions:
        why = f"{where} holds {', '.join(template.labels)}, not {label.text}"
    elif template.images:
        why = f"{where} holds a T1w image of {label.space} without a desc-brain_mask on its grid"
    elif template.empty:
        why = f"{where} holds the names of its files without their content (such as {template.empty[0]})"
    else:
        why = f"{where} does not hold it"
    lines = [f"{why}; templates there: {', '.join(there) or 'none'}."]
    if name in PUBLIC:
        of = f", cohort='{cohort}'" if cohort else ""
        ask = f"get('{name}'{of}, resolution={_quoted(label.resolution or '1')}"
        lines += [
            "Nothing is downloaded here. On a machine with a network:",
            "  pip install templateflow",
            f'  {HOME_VARIABLE}=templates python -c "from templateflow.api import get; '
            f"{ask}, desc=None, suffix='T1w'); {ask}, desc='brain', suffix='mask')\"",
            f"Then set {HOME_VARIABLE} to that folder here (in a container, mount it).",
        ]
    elif not template.images and not template.empty:
        own = {each.partition("+")[0] for each in there}
        meant = " or ".join(close_names(name, others=own))
        lines.append(f"TemplateFlow has no {name}" + (f": did you mean {meant}?" if meant else "."))
    return "\n".join(lines)


def _quoted(resolution: str) -> str:
    return resolution if resolution.isdigit() else repr(resolution)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # not there, or not to be entered: it holds nothing for this user
        return []


def _title(folder: Path) -> str:
    try:
        content = json.loads((folder / "template_description.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    name = content.get("Name") if isinstance(content, dict) else None
    return name if isinstance(name, str) else ""
