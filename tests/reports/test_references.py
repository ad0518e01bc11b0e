"""The file of references and its reader."""

from __future__ import annotations

import pytest
from written_sentences import written_sentences

from qmri_bids.reports.bands import PUBLISHED
from qmri_bids.reports.methods import methods_text
from qmri_bids.reports.references import FIELDS, REFERENCES, parse_references
from qmri_bids.sentence import Sentence

ENTRY = """@article{birk2025,
  author = {Birk, F. and Mahler, L. and others},
  title = {{Accelerated multi-parametric relaxometry}},
  journal = {Scientific Reports},
  year = {2025},
  volume = {15},
  pages = {4825},
  doi = {10.1038/s41598-025-88579-z},
}"""


def test_an_entry_is_told_in_short_in_full_and_as_it_stands() -> None:
    entry = parse_references(f"% a comment\n\n{ENTRY}\n")["birk2025"]
    assert entry.short == "Birk et al., 2025"
    assert entry.full == (
        "Birk, F., Mahler, L. et al. (2025). Accelerated multi-parametric relaxometry. Scientific Reports 15:4825."
    )
    assert entry.doi == "10.1038/s41598-025-88579-z"
    assert entry.bibtex == ENTRY


@pytest.mark.parametrize(
    ("authors", "short", "full"),
    [
        ("Yarnykh, V. L.", "Yarnykh, 2025", "Yarnykh, V. L. (2025)."),
        ("Nguyen, D. and Bieri, O.", "Nguyen and Bieri, 2025", "Nguyen, D., Bieri, O. (2025)."),
        ("Garcia, D. and others", "Garcia et al., 2025", "Garcia, D. et al. (2025)."),
        ("Zur, Y. and van Zijl, P. and Björk, M.", "Zur et al., 2025", "Zur, Y., van Zijl, P., Björk, M. (2025)."),
    ],
)
def test_authors_are_cited_by_their_number(authors: str, short: str, full: str) -> None:
    entry = parse_references(ENTRY.replace("Birk, F. and Mahler, L. and others", authors))["birk2025"]
    assert entry.short == short
    assert entry.full.startswith(full)


def test_a_journal_may_have_no_pages_and_no_volume() -> None:
    no_pages = ENTRY.replace("  pages = {4825},\n", "")
    assert parse_references(no_pages)["birk2025"].full.endswith("Scientific Reports 15.")
    neither = no_pages.replace("  volume = {15},\n", "")
    assert parse_references(neither)["birk2025"].full.endswith("Scientific Reports.")


def test_letters_in_the_order_of_titles_keep_papers_of_a_year_apart() -> None:
    second = ENTRY.replace("birk2025", "birk2025a").replace("Accelerated", "A fast")
    other_year = ENTRY.replace("birk2025", "birk2024").replace("{2025}", "{2024}")
    entries = parse_references("\n\n".join((ENTRY, second, other_year)))
    assert [entry.short for entry in entries.values()] == [
        "Birk et al., 2025b", "Birk et al., 2025a", "Birk et al., 2024",
    ]  # fmt: skip
    assert "(2025b)" in entries["birk2025"].full
    assert "year = {2025}," in entries["birk2025"].bibtex


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("@article{birk2025,", "@book{birk2025,", r"line 1: expected '@article{key,'.*found '@book{birk2025,'"),
        ("@article{birk2025,", "@article{birk 2025,", "line 1: expected '@article{key,'"),
        ("@article{birk2025,", "birk2025", "line 1: expected '@article{key,'.*found 'birk2025'"),
        ("  journal = {Scientific Reports},", "  editor = {Birk, F.},", "line 4: expected '}' or a field.*editor"),
        ("  journal = {Scientific Reports},", "  year = {2025},", "line 5: expected '}' or a field, each once.*year"),
        ("  journal = {Scientific Reports},", '  journal = "Scientific Reports",', "line 4: expected '}' or a field"),
        ("  journal = {Scientific Reports},", "  journal = nature,", "line 4: expected '}' or a field"),
        ("  journal = {Scientific Reports},\n", "", "line 1: expected the fields journal, found .*author, title"),
        ("Scientific Reports", r"Computing \& Science", "line 4: expected '  journal = {Scientific Reports},'"),
        ("Scientific Reports", "{Scientific} Reports", "line 4: expected '  journal = "),
        ("{{Accelerated multi-parametric relaxometry}}", "{Accelerated}", "line 3: expected '  title = {{Mapping"),
        ("Birk, F.", "F. Birk", "line 2: expected '  author = {Birk, F. and Mahler, L. and others},'"),
        ("and Mahler, L.", "and Mahler", "line 2: expected '  author = {Birk, F."),
        ("and Mahler, L.", "and others", "line 2: expected '  author = {Birk, F."),
        ("{2025},", "{25},", r"line 5: expected '  year = \{2025\},' or the like, found '  year = \{25\},'"),
        ("10.1038/", "https://doi.org/10.1038/", "line 8: expected '  doi = {10.1038/s41598-025-88579-z},'"),
        ("},\n}", "},", "line 1: expected an entry that ends with '}'.*found 'the end of the file'"),
    ],
)
def test_what_is_not_of_the_subset_is_refused_with_its_line(old: str, new: str, said: str) -> None:
    assert old in ENTRY
    with pytest.raises(ValueError, match=f"references.bib, {said}"):
        parse_references(ENTRY.replace(old, new, 1))


def test_a_key_stands_once() -> None:
    with pytest.raises(
        ValueError, match=r"references\.bib, line 11: expected a key that no other entry has, found 'birk2025'"
    ):
        parse_references(f"{ENTRY}\n\n{ENTRY}")


def test_fields_stand_in_one_order_and_entries_in_that_of_their_keys() -> None:
    assert list(REFERENCES) == sorted(REFERENCES)
    for entry in REFERENCES.values():
        fields = [line.split(" = ")[0].strip() for line in entry.bibtex.splitlines()[1:-1]]
        assert fields == [name for name in FIELDS if name in fields], entry.key


def test_every_publication_is_cited() -> None:
    cited = {key for sentence in written_sentences() for key in sentence.cited}
    cited |= {row.source for row in PUBLISHED}  # beside published ranges
    assert set(REFERENCES) == cited, "an entry that nothing cites may give another of the same year a letter"


def test_a_sentence_that_cites_what_is_not_there_is_named() -> None:
    magic = Sentence(paragraph="general", text="It was magic [nobody1900].")
    with pytest.raises(ValueError, match=r"'It was magic .*' cites \[nobody1900\]: expected a key of references.bib"):
        methods_text([magic])
