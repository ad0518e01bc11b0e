"""Images in closed form against the Bloch equations, and how a person asks for them."""

from __future__ import annotations

import numpy as np
import pytest
from sequence_simulation import mprage, spin_echo

from qmri_bids.physics.contrast import signed_signal, weighted
from qmri_bids.physics.sequences import FIELDS, PRESETS, Contrast, all_requested, preset, requested

TISSUES = ((0.94, 0.062), (1.4, 0.085), (4.2, 2.0), (0.35, 0.04))


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("field_strength", FIELDS)
def test_a_closed_form_is_the_signal_of_the_bloch_equations(name: str, field_strength: float) -> None:
    contrast = preset(name, field_strength=field_strength)
    for t1, t2 in TISSUES:
        if contrast.echoes is not None:
            simulated = mprage(
                t1=t1,
                t2=t2,
                tr=contrast.repetition_time,
                ti=contrast.inversion_time,
                flip_angle=contrast.flip_angle,
                spacing=contrast.echo_spacing,
                echoes=contrast.echoes,
            )
        else:
            simulated = spin_echo(
                t1=t1, t2=t2, tr=contrast.repetition_time, te=contrast.echo_time, ti=contrast.inversion_time
            )
        assert weighted(contrast, t1=t1, t2=t2, m0=2.0) == pytest.approx(2.0 * simulated, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("field_strength", FIELDS)
def test_usual_parameters_give_the_usual_contrast(field_strength: float) -> None:
    # T1 of white and grey matter grows with the field, T2 falls.
    white = {1.5: (0.65, 0.075), 3.0: (0.85, 0.065), 7.0: (1.2, 0.045)}[field_strength]
    grey = {1.5: (1.2, 0.095), 3.0: (1.4, 0.085), 7.0: (1.95, 0.055)}[field_strength]

    def image(name: str, tissue: tuple[float, float], m0: float) -> float:
        return float(weighted(preset(name, field_strength=field_strength), t1=tissue[0], t2=tissue[1], m0=m0))

    for name, order in {"T1w": "WGF", "T1wSE": "WGF", "T2w": "FGW", "PDw": "GW", "FLAIR": "GWF"}.items():
        tissues = {"W": (white, 0.7), "G": (grey, 0.8), "F": ((4.3, 2.0), 1.0)}
        signals = [image(name, *tissues[each]) for each in order]
        assert signals == sorted(signals, reverse=True), name
    flair = preset("FLAIR", field_strength=field_strength)
    assert abs(signed_signal(flair, t1=4.3, t2=2.0)) < 0.02


def test_a_text_asks_for_what_it_says() -> None:
    late = requested("late=T2w:te=150,tr=6000")
    assert (late.name, late.suffix) == ("late_T2w", "T2w")
    assert late.contrast(field_strength=7.0).echo_time == pytest.approx(0.15)
    train = requested("T1w:tr=2000,te=3,ti=1000,fa=7,esp=6.5,echoes=160").contrast()
    assert (train.repetition_time, train.inversion_time, train.echoes) == (2.0, 1.0, 160)
    assert np.rad2deg(train.flip_angle) == pytest.approx(7.0)
    assert requested("T1wSE").suffix == "T1w"
    assert preset("T1w", field_strength=2.89) == preset("T1w")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["T3w"], "expected one of T1w"),
        (["std=T2w"], "expected one of T1w"),
        (["a-b=T2w"], "letters and digits"),
        (["T2w:fa=9"], r"expected parameters tr \[ms\], te \[ms\] of T2w, found 'fa=9'"),
        (["T2w:te=fast"], "expected a number of ms for te"),
        (["T2w:te=-80"], "expected a positive number of ms"),
        (["T1w:fa=180"], "expected a positive number of degrees"),
        (["T2w:foo=3"], r"expected parameters tr \[ms\], te \[ms\] of T2w, found 'foo=3'"),
        (["T2w:ti=300"], "FLAIR is the spin echo after an inversion"),
        (
            ["T1w:tr=1000"],
            r"found ti of 1000 ms at 1\.5 T, 900 ms at 3 T, .* and tr of 1000 ms in 'T1w:tr=1000': give ti and tr",
        ),
        (
            ["T2w:te=8000"],
            r"expected te below tr, found te of 8000 ms and tr of 4500 ms at 1\.5 T, 5000 ms at 3 T, 6000 ms at 7 T \(not given: "
            r"as usual\) in 'T2w:te=8000': give both",
        ),
        (["T2w:tr=90000"], "expected tr below 60000 ms, found tr of 90000 ms"),
        (["se=T1w"], "expected a label that no sequence has in its name, found that of T1wSE in 'se=T1w'"),
        (["a=T1wSE", "SEa=T1w"], "twice"),
        (["T2w:te=80,te=90"], "expected te once"),
        (["T1w:echoes=10.7"], "expected a whole number for echoes"),
        (["T1w:echoes=inf"], "expected a whole number for echoes"),
        (["T1w:te=2000"], "expected te below esp, the distance of the echoes, found 2000 ms and 7 ms"),
        (["FLAIR:ti=8990"], "expected ti and te to fit into tr, found ti of 8990 ms, te of 120 ms at 1.5 T"),
        (["T2w", "T2w:te=80"], r"found T2w twice: give one a label of its own, as in late=T2w:te=80$"),
        (["late=T2w", "LATE=T2w"], r"found LATE_T2w twice but for capitals: give .*, as in second=T2w$"),
        (["a" * 250 + "=T2w"], "expected a label of 64 letters at most, found one of 250"),
    ],
)
def test_a_text_that_asks_for_nothing_is_refused(texts: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        all_requested(texts)


def test_no_echo_time_is_stated_that_did_not_enter() -> None:
    """T2* is not known: the signal of a train is that of any echo time."""
    signals = [signed_signal(requested(f"T1w:te={te}").contrast(), t1=1.0, t2=0.08) for te in (2, 6)]
    assert signals[0] == signals[1]
    sentence = requested("T1w").contrast().sentence
    assert "TE" not in sentence
    assert "without decay by T2*" in sentence


def test_at_a_known_field_its_own_times_are_told() -> None:
    with pytest.raises(ValueError, match=r"found te of 5500 ms and tr of 5000 ms at 3 T \(not given"):
        requested("T2w:te=5500", field_strength=3.0)
    assert requested("T2w:te=5500", field_strength=7.0).contrast(field_strength=7.0).repetition_time == 6.0


def test_the_label_that_is_advised_is_taken() -> None:
    assert len(all_requested(["late=T2w", "second=T2w"])) == 2


def test_parts_of_a_train_go_together() -> None:
    with pytest.raises(ValueError, match="go together"):
        Contrast(name="mine", repetition_time=2.0, echo_time=0.003, inversion_time=0.9, flip_angle=0.1)
    with pytest.raises(ValueError, match="needs an inversion_time"):
        Contrast(name="mine", repetition_time=2.0, echo_time=0.003, flip_angle=0.1, echo_spacing=7e-3, echoes=100)
