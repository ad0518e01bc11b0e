"""An article as an entry of the list of references."""

from __future__ import annotations

from qmri_bids.reports.content import Reference


def article(
    key: str, short: str, authors: str, year: int, title: str, journal: str, place: str, doi: str = ""
) -> Reference:
    """Return an entry with its BibTeX; authors are apart by `; `, family name first (`Birk, F.`)."""
    names = authors.replace("; others", " et al.").replace("; ", ", ")
    # The year of the short form may carry a letter that keeps two publications of a year apart.
    full = f"{names} ({short.split(', ')[-1]}). {title}. {' '.join(filter(None, (journal, place)))}."
    volume, _, pages = place.partition(":")
    lines = [
        f"@article{{{key},",
        f"  author = {{{authors.replace('; ', ' and ')}}},",
        f"  title = {{{{{title}}}}},",
        f"  journal = {{{journal}}},",
        f"  year = {{{year}}},",
    ]
    lines += [f"  volume = {{{volume}}},"] if volume else []
    lines += [f"  pages = {{{pages}}},"] if pages else []
    lines += [f"  doi = {{{doi}}},"] if doi else []
    return Reference(key=key, short=short, full=full, doi=doi, bibtex="\n".join([*lines, "}"]))
