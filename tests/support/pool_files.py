"""Pool models written in the YAML of pulseq-CEST, and read back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from qmri_bids.physics.pools import CestPool, PoolModel
from qmri_bids.scans.pools.pools import FULL, LINESHAPES, read_pool_file
from qmri_bids.units import GYROMAGNETIC_RATIO


def read_pool_model(path: Path, *, root: Path | None = None) -> PoolModel:
    """Return the pools of a file without what was passed over."""
    return read_pool_file(path, root=root).model


def write_pool_model(model: PoolModel, path: Path, *, field_strength: float | None = None) -> None:
    """Write a pool model in the form of pulseq-CEST.

    The format has no T1 that follows water: pools without one are written with that of water.

    Parameters
    ----------
    model
        The pools.
    path
        Where to.
    field_strength
        B0 [T], by which simulators read the shifts; None leaves their settings out.
    """

    def pool(each: CestPool) -> dict[str, float]:
        t1 = model.water.t1 if each.t1 is None else each.t1
        return {"f": each.fraction, "t1": t1, "t2": each.t2, "k": each.rate, "dw": each.shift}

    content: dict[str, Any] = {"water_pool": {"f": 1.0, "t1": model.water.t1, "t2": model.water.t2}}
    if model.cest:
        content["cest_pool"] = {each.name: pool(each) for each in model.cest}
    if model.mt is not None:
        names = {line: name for name, line in LINESHAPES.items()}
        line = FULL if model.mt.lineshape is None else names[model.mt.lineshape]
        content["mt_pool"] = {**pool(model.mt), "lineshape": line}
    if field_strength is not None:
        gamma = 2e-6 * math.pi * GYROMAGNETIC_RATIO
        content |= {"b0": float(field_strength), "gamma": gamma, "b0_inhom": 0.0, "rel_b1": 1.0}
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
