"""A set of lines that the user states: what it may hold, and one refusal for each number that it may not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from qmri_bids.bids.refusal import RefusedError
from qmri_bids.estimation.spectra.lorentzian.image_fit import LINES
from qmri_bids.estimation.spectra.lorentzian.pools import SHIPPED_LINES, field_pools, field_sentence
from qmri_bids.estimation.spectra.plan import automatic_pools, exchanging
from qmri_bids.physics.pools import Lineshape
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.quantities import find_quantity
from qmri_bids.quantity import stdev
from qmri_bids.scans.saturation.line_model import read_line_model
from qmri_bids.scans.saturation.methods import cest_sentences

DOCUMENTED = Path(__file__).parents[2] / "docs" / "cest_mt.md"
WATER = {"position": 0.0, "within": 0.3, "amplitude": [0.02, 1.5], "width": [0.3, 6.0]}
SOLUTE = {"position": 2.0, "within": 0.3, "amplitude": [0.0, 0.4], "width": [0.4, 3.0]}
SEMISOLID = {"position": -2.4, "within": 1.0, "amplitude": [0.0, 1.0], "line": "super-lorentzian", "t2": [6e-6, 1.7e-5]}


class WrittenOut(yaml.SafeDumper):
    """Writes what stands twice twice: aliases are refused."""

    def ignore_aliases(self, data: object) -> bool:
        return True


@pytest.fixture
def written(tmp_path: Path):
    def write(content) -> Path:
        path = tmp_path / "lines.yaml"
        path.write_text(content if isinstance(content, str) else yaml.dump(content, Dumper=WrittenOut, sort_keys=False))
        return path

    return write


def test_the_documented_set_is_that_of_the_package(written) -> None:
    example = re.search(r"```yaml\n(pools:.*?)```", DOCUMENTED.read_text(), flags=re.DOTALL)
    assert example
    model = read_line_model(written(example[1]))
    assert model.names == SHIPPED_LINES.names
    assert model.semisolid == ("MT",)
    for field in (1.5, 3.0, 5.0, 7.0, 8.0, 9.4, 11.7):
        for line in LINES:
            assert field_pools(field, mt_line=line, model=model) == field_pools(field, mt_line=line)


def test_pools_of_ones_own_have_lines_and_maps_of_their_own(written) -> None:
    narrow = SOLUTE | {"position": -1.6, "within": 0, "width": {3.0: [0.5, 2.0], 7: [0.3, 1.5]}, "start": 0.01}
    model = read_line_model(
        written({"pools": {"water": WATER, "bound": SEMISOLID, "guanidine": SOLUTE, "rNOE16": narrow}})
    )
    assert exchanging(model.names) == ("bound", "guanidine", "rNOE16")
    at_seven = field_pools(7.0, mt_line=Lineshape.LORENTZIAN, model=model)
    assert at_seven["bound"].line is Lineshape.SUPER_LORENTZIAN
    assert (at_seven["rNOE16"].width.lower, at_seven["rNOE16"].width.upper) == (0.3, 1.5)
    assert (at_seven["rNOE16"].position.lower, at_seven["rNOE16"].position.upper) == (-1.6, -1.6)
    assert (at_seven["rNOE16"].amplitude.start, at_seven["guanidine"].amplitude.start) == (0.01, 0.025)
    assert model.free_parameters(model.names) == 11
    assert "between the tables for 3, 7 T of lines.yaml" in field_sentence(5.0, model=model)
    near, far = [-4.0 + 0.5 * k for k in range(17)], [-20.0, -12.0, *(-4.0 + 0.5 * k for k in range(17)), 12.0, 20.0]
    assert automatic_pools(near, model=model) == ()
    assert automatic_pools(far, model=model) == model.names
    liquid = read_line_model(written({"pools": {"water": WATER, "guanidine": SOLUTE}}))
    assert automatic_pools(near, model=liquid) == ("water", "guanidine")
    for kind, suffix in (("amplitude", "amplitudemap"), ("arex", "arexmap"), ("rex", "MTRmap")):
        quantity = find_quantity(f"{kind}_rNOE16")
        desc = "rexrNOE16" if kind == "rex" else "rNOE16"
        assert (quantity.written.desc, quantity.written.suffix) == (desc, suffix)
        assert stdev(quantity).written.desc == f"{desc}std"
        assert "rNOE16" in quantity.label


@pytest.mark.parametrize(
    ("pools", "key", "words"),
    [
        ({"water": WATER, "rNOE-1.6": SOLUTE}, "pools: rNOE-1.6", "a name of letters and digits"),
        ({"water": WATER, "amidestd": SOLUTE}, "pools: amidestd", "does not end in std"),
        ({"water": WATER, "amide": SOLUTE, "Amide": SOLUTE}, "pools: Amide", "differ by more than capital"),
        ({"amide": SOLUTE}, "pools", "the pool water"),
        ({"water": WATER, "amide": SOLUTE | {"position": 447.0}}, "amide: position", "447: is it in Hz?"),
        ({"water": WATER, "amide": SOLUTE | {"position": None}}, "amide: position", "a number, found nothing"),
        ({"water": WATER, "amide": SOLUTE | {"within": -0.1}}, "amide: within", "from 0 to 30"),
        ({"water": WATER, "amide": SOLUTE | {"amplitude": [0, 40]}}, "amide: amplitude", "is it in percent?"),
        ({"water": WATER, "amide": SOLUTE | {"amplitude": [0.3, 0.1]}}, "amide: amplitude", "the larger first"),
        ({"water": WATER, "amide": SOLUTE | {"start": 0.5}}, "amide: start", "must lie within amplitude"),
        ({"water": WATER, "amide": SOLUTE | {"amplitude": [0.1, 0.1]}}, "amide: amplitude", "nothing is left to fit"),
        ({"water": WATER, "amide": SOLUTE | {"width": [2, 2.0]}}, "amide: width", "nothing is left to fit"),
        ({"water": WATER, "amide": SOLUTE | {"width": [0, 3]}}, "amide: width", "from 0.05 to 20"),
        ({"water": WATER, "amide": SOLUTE | {"width": [50, 400]}}, "amide: width", "from 0.05 to 20"),
        ({"water": WATER, "amide": SOLUTE | {"position": "3.5"}}, "amide: position", "a number, found '3.5'"),
        ({"water": WATER | {"position": 4.7}}, "water: position", "offsets are relative to water"),
        ({"water": WATER, "amine": SOLUTE, "twin": SOLUTE | {"start": 0.1}}, "pools: twin", "those of amine"),
        ({"water": WATER, "amide": SOLUTE | {"width": 3}}, "amide: width", "[smallest, largest]"),
        ({"water": WATER, "amide": SOLUTE | {"width": {300: [1, 2]}}}, "amide: width: 300", "a field strength in T"),
        ({"water": WATER, "amide": SOLUTE | {"width": [True, 3]}}, "amide: width", "found True"),
        ({"water": WATER, "amide": SOLUTE | {"t2": [6e-6, 1e-5]}}, "amide: t2", "no t2 for a pool without line"),
        ({"water": WATER, "MT": SEMISOLID | {"t2": [6, 17]}}, "MT: t2", "stated in seconds"),
        (
            {"water": WATER, "MT": SEMISOLID | {"line": "gaussian"}},
            "MT: line",
            "one of auto, lorentzian, super-lorentzian",
        ),
        (
            {"water": WATER, "MT": SEMISOLID | {"width": [10, 150]}},
            "MT: width",
            "no width for the line super-lorentzian",
        ),
        ({"water": WATER, "MT": SEMISOLID | {"line": "auto"}}, "MT: width", "found nothing"),
        ({"water": WATER | {"line": "auto", "t2": [6e-6, 1e-5]}}, "water: line", "that of water is Lorentzian"),
        ({"water": WATER, "MT": SEMISOLID, "bound": SEMISOLID}, "pools", "one semisolid pool"),
        ({"water": WATER, "amide": SOLUTE | {"widht": [1, 2]}}, "amide: widht", "an unknown key"),
        ({"water": WATER, "amide": None}, "pools: amide", "found nothing"),
    ],
)
def test_what_a_line_cannot_have_is_refused(written, pools, key: str, words: str) -> None:
    path = written({"pools": pools})
    with pytest.raises(RefusedError) as refused:
        read_line_model(path)
    message = str(refused.value)
    for text in (str(path), key, words, "docs/cest_mt.md shows its form"):
        assert text in message, message


def test_what_is_no_set_of_lines_is_refused(written, tmp_path: Path) -> None:
    for content, words in (
        ("pools: [1, 2]", "pools by name"),
        ("pools: {}\nfit: 1", "the one key pools"),
        ("- 1", "a YAML file of keys and values"),
        ("pools: {water: {}, water: {}}", "each key once"),
    ):
        with pytest.raises(RefusedError, match=re.escape(words)):
            read_line_model(written(content))
    with pytest.raises(RefusedError, match="a YAML file"):
        read_line_model(tmp_path / "none.yaml")


def test_z_spectra_take_the_set_and_are_refused_where_it_cannot_be_read(empty: Any, written) -> None:
    empty.cest()
    path = written({"pools": {"water": WATER, "guanidine": SOLUTE}})
    (run,) = empty.plan(lorentzian_model=path).cest
    assert run.line_model is not None
    assert run.line_model.names == ("water", "guanidine")
    plan = empty.plan(lorentzian_model=written({"pools": {"water": WATER, "guanidine": SOLUTE | {"width": 0}}}))
    assert plan.cest == ()
    (refusal,) = plan.refusals
    assert (refusal.file, refusal.key) == (str(path), "pools: guanidine: width")
    assert empty.plan().cest[0].line_model is None


def test_a_set_with_more_parameters_than_offsets_is_refused_before_computing(empty: Any, written) -> None:
    empty.cest()
    more = {f"solute{place}": SOLUTE | {"position": 1.0 + 0.4 * place} for place in range(5)}
    path = written({"pools": {"water": WATER} | more})
    plan = empty.plan(lorentzian_model=path)
    assert plan.cest == ()
    (refusal,) = plan.refusals
    assert (refusal.file, refusal.key) == (str(path), "pools")
    assert "18 parameters of water, solute0" in refusal.found
    assert "different offsets of sub-01" in refusal.expected


def test_the_methods_say_which_lines_and_measures_there_are(empty: Any, written) -> None:
    empty.cest()
    (run,) = empty.plan(lorentzian_model=written({"pools": {"water": WATER, "guanidine": SOLUTE}})).cest
    options = ProcessingOptions(estimator="ml", measures=("three-offset", "lda", "rex"), asymmetry_ranges=((1.0, 2.0),))
    said = [sentence.text.format(**sentence.values) for sentence in cest_sentences(run, options)]
    for words in (
        "of water and guanidine, pools and bounds as stated in lines.yaml",
        "mean MTR asymmetry was taken over offsets of 1 to 2 ppm",
        "MTR_Rex of a pool is the inverse of the fit with it",
    ):
        assert any(words in text for text in said), said
    # The offsets of the series reach 4 ppm.
    assert any("three-offset measure of APT is" in text for text in said)
    assert not any("Lorentzian difference" in text for text in said)
