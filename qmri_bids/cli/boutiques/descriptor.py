"""The Boutiques descriptor of `qmri_bids`, made of its parser."""

from __future__ import annotations

import argparse
import json
import re
from typing import Any

from qmri_bids import __version__
from qmri_bids.cli.boutiques.facts import OUTPUTS, RESOURCES, TESTS
from qmri_bids.cli.boutiques.inputs import as_input, identifier, input_actions
from qmri_bids.cli.parsing.parser import EXIT_CODES

SCHEMA_VERSION = "0.5"


def descriptor(parser: argparse.ArgumentParser, *, version: str = __version__) -> dict[str, Any]:
    """Return what Boutiques is to know of a command line.

    Parameters
    ----------
    parser
        The command line.
    version
        Of the program and of its image.

    Returns
    -------
    dict
        As the schema 0.5 of Boutiques wants it.
    """
    actions = dict(input_actions(parser))
    inputs = [as_input(parser, key, action) for key, action in actions.items()]
    return {
        "name": parser.prog,
        "tool-version": version,
        "schema-version": SCHEMA_VERSION,
        "description": (parser.description or "").split("\n")[0],
        "author": "The qmri_bids developers",
        "command-line": " ".join([parser.prog, *(each["value-key"] for each in inputs)]),
        # A login shell, which /bin/sh is made here, would forget the PATH of the image.
        "shell": "/bin/bash",
        "container-image": {"type": "docker", "image": f"{parser.prog}:{version}"},
        "inputs": inputs,
        "groups": _groups(parser, known=list(actions)),
        "output-files": _outputs(),
        "error-codes": _error_codes(EXIT_CODES),
        "suggested-resources": dict(RESOURCES),
        "tests": list(TESTS),
        "tags": {
            "domain": ["neuroinformatics", "mri"],
            "bids-app": True,
            "toolbox": "qmri_bids",
        },
    }


def written(content: dict[str, Any]) -> str:
    """Return a descriptor as the text of its file.

    Parameters
    ----------
    content
        The descriptor.
    """
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _groups(parser: argparse.ArgumentParser, *, known: list[str]) -> list[dict[str, Any]]:
    """Return the headings of the help with the options under them."""
    groups = []
    for group in parser._action_groups:
        members = [key for key in map(identifier, group._group_actions) if key in known]
        title = group.title or ""
        groups.append(
            {
                "id": "group_" + re.sub(r"\W+", "_", title.lower()),
                "name": title.capitalize() if title.islower() else title,
                "members": members,
            }
        )
    return [each for each in groups if each["members"]]


def _outputs() -> list[dict[str, Any]]:
    return [
        {
            "id": key,
            "name": output.name,
            "description": output.description,
            "path-template": "/".join(filter(None, ("[OUTPUT_DIR]", output.path))),
            "list": output.many,
            "optional": bool(output.path),
        }
        for key, output in OUTPUTS.items()
    ]


def _error_codes(text: str) -> list[dict[str, Any]]:
    """Return the codes that the help explains, one an entry; 0 is none of an error."""
    rows = re.findall(r"^  (\d+(?:, \d+)*)  (.+)$", text, flags=re.MULTILINE)
    return [{"code": int(code), "description": said} for codes, said in rows for code in codes.split(", ") if int(code)]
