"""What pictures with axes and curves share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def plain(axes: Any) -> None:
    """Give axes a quiet grid and no box."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(True, color="#e3e6e8", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)


def widen(axes: Any, values: NDArray[np.floating], *, least: float) -> None:
    """Set symmetric limits around zero, never tighter than `least`: noise must not look like motion."""
    finite = np.abs(values[np.isfinite(values)])
    limit = max(1.15 * float(finite.max(initial=0.0)), least)
    axes.set_ylim(-limit, limit)
