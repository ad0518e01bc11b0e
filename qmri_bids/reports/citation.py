"""`logs/CITATION.md` and `.bib`: the methods of all participants of an output folder, whichever job processed them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from qmri_bids.bids.files.plain import read_json
from qmri_bids.bids.shared_files import shared_files
from qmri_bids.bids.write import write_json, write_text
from qmri_bids.reports.methods import citation_bibtex, citation_markdown, methods_text
from qmri_bids.reports.references import REFERENCES
from qmri_bids.sentence import Sentence

logger = logging.getLogger("qmri_bids")


def methods_path(subject: str, *, output_dir: Path, part: str = "") -> Path:
    """Return where the methods of a participant are kept, sentence by sentence, or those of some of its sessions and runs."""
    stem = "_".join(filter(None, (f"sub-{subject}", part)))
    return output_dir / f"sub-{subject}" / "log" / f"{stem}_methods.json"


def write_citation(methods: Mapping[str, Sequence[Sentence]], *, output_dir: Path, part: str = "") -> Path:
    """Keep the methods of participants, and write the methods of all participants of the folder with their references.

    Parameters
    ----------
    methods
        Sentences by the labels of the participants of this call.
    output_dir
        Root of the derivatives. Jobs that share it wait for each other.
    part
        Which sessions and runs the call was limited to, for instance `ses-1`; what others wrote of the participants is kept then.

    Returns
    -------
    Path
        `logs/CITATION.md`.
    """
    for subject, sentences in methods.items():
        content = [
            asdict(sentence) | {"values": {name: str(value) for name, value in sentence.values.items()}}
            for sentence in sentences
        ]
        path = write_json(methods_path(subject, output_dir=output_dir, part=part), {"Sentences": content})
        if not part:
            for other in path.parent.glob(f"sub-{subject}_*_methods.json"):
                other.unlink(missing_ok=True)
    with shared_files(output_dir):
        text, references = methods_text(_kept_sentences(output_dir))
        write_text(output_dir / "logs" / "CITATION.md", citation_markdown(text, references))
        write_text(output_dir / "logs" / "CITATION.bib", citation_bibtex(references))
    return output_dir / "logs" / "CITATION.md"


def _kept_sentences(output_dir: Path) -> Iterator[Sentence]:
    """Yield the sentences of all participants; what another version wrote and this one does not know is left out, and said."""
    for path in sorted(output_dir.glob("sub-*/log/sub-*_methods.json")):
        try:
            sentences = _read_sentences(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("%s: left out of logs/CITATION.md: it cannot be read (%s)", path, error)
            continue
        known = [sentence for sentence in sentences if set(sentence.cited) <= REFERENCES.keys()]
        if len(known) < len(sentences):
            texts = " ".join(sentence.text for sentence in sentences if sentence not in known)
            logger.warning("%s: left out of logs/CITATION.md: %s, steps of another version", path, texts)
        yield from known


def _read_sentences(path: Path) -> list[Sentence]:
    content = read_json(path)
    keys = content if isinstance(content, dict) else {}
    if "Sentences" not in keys:
        raise ValueError(
            f"Sentences: expected as this version writes them, found {', '.join(keys) or 'nothing'}; write the file anew with "
            "--boilerplate-only"
        )
    return [Sentence(**entry) for entry in content["Sentences"]]
