"""Pool models in the YAML of pulseq-CEST: read, written, and refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import bmctool
import pytest
from bmctool.parameters.Parameters import Parameters
from pool_files import read_pool_model, write_pool_model

from qmri_bids.bids.refusal import RefusedError
from qmri_bids.physics.pools import CestPool, Lineshape, MtForm, MtPool, PoolModel, Water
from qmri_bids.scans.pools.pools import read_pool_file

EXAMPLES = Path(bmctool.__file__).parent / "library" / "sim-library"
AMIDE = CestPool(name="amide", fraction=9.009e-4, rate=50.0, shift=3.5, t1=1.0, t2=0.1)
NOE = CestPool(name="NOE_1", fraction=4.5e-3, rate=20.0, shift=-3.0, t1=1.3, t2=5e-3)


def mt(lineshape):
    form = MtForm.FULL if lineshape is None else MtForm.Z_ONLY
    return MtPool(name="mt", fraction=0.1351, rate=30.0, shift=-3.0, t1=1.0, t2=9e-6, form=form, lineshape=lineshape)


MODEL = PoolModel(water=Water(t1=1.0, t2=0.04), cest=(AMIDE, NOE), mt=mt(Lineshape.SUPER_LORENTZIAN))


@pytest.mark.parametrize("lineshape", [*Lineshape, None])
def test_round_trip(lineshape, tmp_path):
    model = replace(MODEL, mt=mt(lineshape))
    write_pool_model(model, tmp_path / "a.yaml")
    reading = read_pool_file(tmp_path / "a.yaml")
    assert reading.model == model
    assert reading.warnings == ()


def test_water_alone(tmp_path):
    model = PoolModel(water=Water(t1=1.0, t2=0.04))
    write_pool_model(model, tmp_path / "a.yaml")
    assert read_pool_model(tmp_path / "a.yaml") == model


def test_t1_that_follows_water_is_written_as_that_of_water(tmp_path):
    write_pool_model(replace(MODEL, cest=(replace(AMIDE, t1=None),)), tmp_path / "a.yaml")
    assert read_pool_model(tmp_path / "a.yaml").cest[0].t1 == MODEL.water.t1


def test_simulator_reads_what_is_written(tmp_path):
    write_pool_model(MODEL, tmp_path / "a.yaml", field_strength=3.0)
    assert read_pool_file(tmp_path / "a.yaml").warnings == ()
    theirs = Parameters.from_yaml(tmp_path / "a.yaml")
    assert theirs.water_pool.t2 == MODEL.water.t2
    for one, other in zip((*theirs.cest_pools, theirs.mt_pool), MODEL.exchanging, strict=True):
        assert (one.f, one.k, one.dw, one.t1) == (other.fraction, other.rate, other.shift, other.t1)
        assert one.t2 == pytest.approx(other.t2, rel=1e-12)
    assert theirs.mt_pool.lineshape == "superlorentzian"


def test_lineshape_in_any_case(tmp_path):
    for name, line in (("superlorentzian", Lineshape.SUPER_LORENTZIAN), ("none", None), ("null", None)):
        assert (
            read_pool_model(written(tmp_path, TEXT.replace("lineshape: None", f"lineshape: {name}"))).mt.lineshape
            is line
        )


@pytest.mark.parametrize("name", ["config_1pool.yaml", "config_5pool.yaml"])
def test_examples_of_the_simulator(name):
    theirs = Parameters.from_yaml(EXAMPLES / name)
    reading = read_pool_file(EXAMPLES / name)
    assert reading.model.water.t1 == pytest.approx(theirs.water_pool.t1)
    assert reading.model.water.t2 == pytest.approx(theirs.water_pool.t2)
    found = [(each.fraction, each.rate, each.shift, each.t1, each.t2) for each in reading.model.cest]
    expected = [(each.f, each.k, each.dw, each.t1, each.t2) for each in theirs.cest_pools]
    assert found == [pytest.approx(each) for each in expected]
    scaled = [
        each for each in reading.warnings if "scale 0.5 means a state before saturation that is not relaxed" in each
    ]
    assert len(scaled) == (name == "config_1pool.yaml")


TEXT = """
water_pool: {f: 1.0, t1: 1.0/3.0, r2: 25}
cest_pool:
  amide: {f: "72.0e-3 / 111", t1: 1.3, t2: 50.0e-3, k: 3e1, dw: 3.5}
mt_pool: {f: 0.1, t1: 1.0, t2: 9e-6, k: 29, dw: 0, lineshape: None}
b0: 3
"""


def written(tmp_path, text=TEXT):
    path = tmp_path / "model.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_quotients_and_rates(tmp_path):
    model = read_pool_model(written(tmp_path))
    assert model.water == Water(t1=1 / 3, t2=0.04)
    assert model.cest[0].fraction == pytest.approx(72e-3 / 111)
    assert (model.cest[0].rate, model.cest[0].t2) == (30.0, 0.05)
    assert (model.mt.form, model.mt.lineshape, model.mt.t2) == (MtForm.FULL, None, 9e-6)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("b0_inhom: 0.3", "b0_inhom 0.3 means a shift of all pools"),
        ("rel_b1: 0.9", "rel_b1 0.9 means a scale of B1"),
        ("reset_init_mag: false", "reset_init_mag False means images that begin where the one before ended"),
        ("gamma: 42.5", "gamma 42.5 means another nucleus or unit"),
    ],
)
def test_settings_with_an_effect_are_named(setting, sentence, tmp_path):
    reading = read_pool_file(written(tmp_path, TEXT + setting))
    assert len(reading.warnings) == 1
    assert sentence in reading.warnings[0]
    assert not read_pool_file(
        written(tmp_path, TEXT + "gamma: 267.5154109\nverbose: true\nmax_pulse_samples: 9")
    ).warnings


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("water_pool", "wasser", r"wasser: expected one of water_pool, .* found an unknown key"),
        ("water_pool: {f: 1.0, t1: 1.0/3.0, r2: 25}", "", r"water_pool: expected values of f, t1, t2, found nothing"),
        ("f: 1.0,", "f: 0.9,", r"water_pool: f: expected 1, to which all fractions are relative, found 0.9"),
        ("r2: 25", "r2: 25, t2: 1", r"water_pool: t2: expected either t2 or r2, found both"),
        (", r2: 25", "", r"water_pool: t2: expected either t2 or r2, found nothing"),
        ("r2: 25", "r2: 0", r"water_pool: r2: expected a positive rate, found 0"),
        ("k: 3e1", "k: fast", r"cest_pool: amide: k: expected a number, found 'fast'"),
        ("k: 3e1", "k: __import__('os')", r"cest_pool: amide: k: expected a number"),
        ("k: 3e1", "k: 1/0", r"cest_pool: amide: k: expected a number, found '1/0'"),
        ("k: 3e1", "k: true", r"cest_pool: amide: k: expected a number, found True"),
        ("k: 3e1, ", "", r"cest_pool: amide: k: expected a number, found nothing"),
        ("k: 3e1", "k: -1", r"pools: expected values with a physical meaning, found pool 'amide': rate"),
        ("k: 3e1", "kex: 30", r"cest_pool: amide: kex: expected one of f, t1, t2, k, dw, found an unknown key"),
        (", lineshape: None", "", r"mt_pool: lineshape: expected one of SuperLorentzian, .* no default, found nothing"),
        ("lineshape: None", "lineshape: Voigt", r"mt_pool: lineshape: expected one of .* found 'Voigt'"),
        (
            "  amide:",
            "  mt: {f: 0.1, t1: 1, t2: 1, k: 1, dw: 1}\n  amide:",
            r"pools need names of their own, found 'mt'",
        ),
        (
            "cest_pool:\n",
            "cest_pool:\n  amide: {f: 0.1, t1: 1, t2: 1, k: 1, dw: 1}\n",
            r"amide: expected each key once, found 2",
        ),
        ("b0: 3", "b0: [", r"file: expected a YAML file, found"),
    ],
)
def test_refusals(old, new, message, tmp_path):
    assert old in TEXT
    with pytest.raises(RefusedError, match=message) as caught:
        read_pool_file(written(tmp_path, TEXT.replace(old, new, 1)))
    assert caught.value.refusal.file.endswith("model.yaml")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(RefusedError, match="expected a YAML file, found"):
        read_pool_model(tmp_path / "none.yaml")
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RefusedError, match="expected a YAML file, found"):
        read_pool_model(tmp_path / "a.yaml")
    with pytest.raises(RefusedError, match="a YAML file of keys and values"):
        read_pool_model(written(tmp_path, "- 1\n- 2\n"))
    with pytest.raises(RefusedError) as caught:
        read_pool_model(tmp_path / "sub" / "none.yaml", root=tmp_path)
    assert caught.value.refusal.file == "sub/none.yaml"
