"""The file that names the Nipype plugin by which the steps are run, as fMRIPrep takes it."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qmri_bids.bids.files.plain import UnreadableError, parse_json, parse_toml, parse_yaml, read_text

KEYS = ("plugin", "plugin_args")
"""What a plugin file may hold."""

SUBMIT: Mapping[str, str] = {
    "SLURM": "sbatch",
    "SLURMGraph": "sbatch",
    "PBS": "qsub",
    "PBSGraph": "qsub",
    "SGE": "qsub",
    "SGEGraph": "qsub",
    "LSF": "bsub",
    "OAR": "oarsub",
    "Condor": "condor_qsub",
    "CondorDAGMan": "condor_submit_dag",
}
"""Programs by which the plugins of clusters hand in jobs."""


class PluginFileError(ValueError):
    """A plugin file is wrong; the message says what was expected and what was found."""


def load_plugin(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the name and the arguments of the Nipype plugin of a file.

    Parameters
    ----------
    path
        YAML, TOML or JSON with `plugin` (for instance SLURM or MultiProc) and, where the plugin takes some, `plugin_args`.

    Raises
    ------
    PluginFileError
        If the file cannot be read, or holds something else.
    """
    content = _content(path)
    unknown = sorted(set(map(str, content)) - set(KEYS))
    if unknown:
        raise PluginFileError(f"{path}: expected the keys {' and '.join(KEYS)}, found {', '.join(unknown)}, too")
    name, arguments = content.get("plugin"), content.get("plugin_args")
    if not isinstance(name, str):
        raise PluginFileError(
            f"{path}: plugin: expected the name of a Nipype plugin, for instance SLURM, found {name!r}"
        )
    known = plugin_names()
    if name not in known:
        near = difflib.get_close_matches(name.casefold(), [each.casefold() for each in known], n=1)
        meant = [each for each in known if near and each.casefold() == near[0]]
        advice = f"did you mean {meant[0]}?" if meant else "the names are those of Nipype, without 'Plugin'"
        raise PluginFileError(f"{path}: plugin: expected one of {', '.join(known)}, found {name}; {advice}")
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict) or not all(isinstance(key, str) for key in arguments):
        raise PluginFileError(f"{path}: plugin_args: expected a table of arguments by name, found {arguments!r}")
    return name, arguments | _template(path, arguments)


def check_cluster(path: Path) -> None:
    """Check that the jobs of a plugin file can be handed in from this machine.

    Parameters
    ----------
    path
        Plugin file, which `load_plugin` takes.

    Raises
    ------
    PluginFileError
        If the program of the cluster is not there: every step would fail for it.
    """
    name, _ = load_plugin(path)
    program = SUBMIT.get(name)
    if program is not None and shutil.which(program) is None:
        raise PluginFileError(
            f"{path}: plugin: {name} needs the program {program}, found none on PATH; run this on a machine of the cluster, "
            "outside of a container that lacks it), or without --use-plugin"
        )


def plugin_names() -> tuple[str, ...]:
    """Return the names of the plugins of the Nipype that is installed."""
    from nipype.pipeline import plugins

    return tuple(sorted(each.removesuffix("Plugin") for each in vars(plugins) if each.endswith("Plugin")))


def _content(path: Path) -> dict[Any, Any]:
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise PluginFileError(f"{path}: expected a file {', '.join(READERS)}, found {path.suffix or 'no extension'}")
    try:
        content = read(read_text(path))
    except UnreadableError as error:
        found = " ".join(str(error).split())
        raise PluginFileError(
            f"--use-plugin {path}: expected {FORMATS[path.suffix.lower()]}, found: {found}"
        ) from error
    if not isinstance(content, dict):
        raise PluginFileError(f"{path}: expected the keys {' and '.join(KEYS)}, found {content!r}")
    return content


def _template(path: Path, arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return the template of a batch script with an absolute path; one that is missing would be taken for the script itself."""
    template = arguments.get("template")
    if not isinstance(template, str) or "\n" in template or not template.strip():
        return {}
    if template.startswith("#!"):
        return {}
    found = [each.resolve() for each in (path.parent / template, Path(template)) if each.is_file()]
    if not found:
        raise PluginFileError(
            f"{path}: plugin_args: template: expected a batch script or the path of one, found {template!r}, which is no file"
        )
    return {"template": str(found[0])}


FORMATS: Mapping[str, str] = {".yml": "YAML", ".yaml": "YAML", ".toml": "TOML", ".json": "JSON"}
"""What the files are, by their extension."""

READERS: Mapping[str, Callable[[str], Any]] = {
    ".yml": parse_yaml,
    ".yaml": parse_yaml,
    ".toml": parse_toml,
    ".json": parse_json,
}
"""How plugin files are read, by their extension."""
