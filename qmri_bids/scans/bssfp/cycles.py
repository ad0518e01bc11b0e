"""Phase cycles as they are read, and everything that their values tell before anything is computed of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.scans.bssfp.run import CycleFiles


@dataclass(frozen=True, kw_only=True)
class ReadCycles:
    """Phase cycles that passed the checks of their content.

    Parameters
    ----------
    cycles
        complex64, shape (X, Y, Z, N), in the sense of precession of the model.
    affine
        Voxel to RAS millimetres, shape (4, 4).
    decisions, warnings
        Sentences.
    """

    cycles: NDArray[np.complex64]
    affine: NDArray[np.float64]
    decisions: tuple[str, ...]
    warnings: tuple[str, ...]


def read_cycles(files: CycleFiles, protocol: BssfpProtocol) -> ReadCycles:
    """Read phase cycles, and refuse those that are not what their sidecar states.

    Parameters
    ----------
    files
        Where magnitude and phase lie.
    protocol
        The acquisition.

    Raises
    ------
    ContentError
        If the files hold no such cycles; see `preprocessing.content.cycles`.
    """
    from qmri_bids.estimation.bssfp.convention import precession_sense
    from qmri_bids.preprocessing.complex_data import load_cycles
    from qmri_bids.preprocessing.content.cycles import check_cycles, check_phase
    from qmri_bids.preprocessing.gibbs.k_space_edge import undo_alternation

    series = load_cycles(
        magnitude=files.magnitude,
        phase=files.phase,
        real=files.real,
        imaginary=files.imaginary,
        complex_=files.complex_,
        phase_units=files.phase_units,
        volumes=files.volumes,
    )
    cycles, increments = series.cycles, protocol.rf_phase_increment
    named = [index + 1 for index in files.volumes] or range(1, cycles.shape[-1] + 1)
    if files.phase:
        check_phase(cycles, rf_phase_increment=increments)
    content = check_cycles(
        cycles, rf_phase_increment=increments, names=[f"{files.paths[0].name}: cycle {number}" for number in named]
    )
    # Before anything else: what alternates in sign from slice to slice no interpolation and no mean survives.
    cycles, alternation = undo_alternation(cycles)
    sense = precession_sense(cycles, protocol=protocol)
    return ReadCycles(
        cycles=cycles.conj() if sense.sign < 0 else cycles,
        affine=series.affine,
        decisions=(*series.decisions, *content.decisions, *alternation, sense.sentence),
        warnings=content.warnings,
    )
