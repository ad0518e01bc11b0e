"""`logs/CITATION.md` and `.bib`: the methods of all participants of an output folder, whichever job processed them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from qmri_bids.bids.shared_files import shared_files
from qmri_bids.bids.write import write_json, write_text
from qmri_bids.reports.methods import STEPS, Step, citation_bibtex, citation_markdown, methods_text

logger = logging.getLogger("qmri_bids")


def methods_path(subject: str, *, output_dir: Path, part: str = "") -> Path:
    """Return where the steps of the methods of a participant are kept, or those of some of its sessions and runs."""
    stem = "_".join(filter(None, (f"sub-{subject}", part)))
    return output_dir / f"sub-{subject}" / "log" / f"{stem}_methods.json"


def write_citation(steps: Mapping[str, Sequence[Step]], *, output_dir: Path, part: str = "") -> Path:
    """Keep the steps of participants, and write the methods of all participants of the folder with their references.

    Parameters
    ----------
    steps
        By the labels of the participants of this call.
    output_dir
        Root of the derivatives. Jobs that share it wait for each other.
    part
        Which sessions and runs the call was limited to, for instance `ses-1`; what others wrote of the participants is kept then.

    Returns
    -------
    Path
        `logs/CITATION.md`.
    """
    for subject, own in steps.items():
        pairs = [(step, {}) if isinstance(step, str) else step for step in own]
        content = [[key, {name: str(value) for name, value in values.items()}] for key, values in pairs]
        path = write_json(methods_path(subject, output_dir=output_dir, part=part), {"Steps": content})
        if not part:
            for other in path.parent.glob(f"sub-{subject}_*_methods.json"):
                other.unlink(missing_ok=True)
    with shared_files(output_dir):
        text, references = methods_text(list(_kept_steps(output_dir)))
        write_text(output_dir / "logs" / "CITATION.md", citation_markdown(text, references))
        write_text(output_dir / "logs" / "CITATION.bib", citation_bibtex(references))
    return output_dir / "logs" / "CITATION.md"


def _kept_steps(output_dir: Path) -> Iterator[Step]:
    """Yield the steps of all participants; what another version wrote and this one does not know is left out, and said."""
    for path in sorted(output_dir.glob("sub-*/log/sub-*_methods.json")):
        try:
            steps: list[Step] = [(key, dict(values)) for key, values in json.loads(path.read_text("utf-8"))["Steps"]]
            known = [step for step in steps if step[0] in STEPS]
            methods_text(known)
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("%s: left out of logs/CITATION.md: it cannot be read (%s)", path, error)
            continue
        if len(known) < len(steps):
            names = ", ".join(step[0] for step in steps if step not in known)
            logger.warning("%s: left out of logs/CITATION.md: %s, steps of another version", path, names)
        yield from known
