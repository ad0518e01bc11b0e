"""What the head is made of: tissues and their relaxation times at 3 T."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

FAT_SHIFT = -3.4e-6
"""Chemical shift of the main line of fat against water, as a fraction of the resonance frequency."""


class Label(IntEnum):
    """Labels of the phantom; the first three are those of the `dseg` file."""

    NONE = 0
    """Air and bone: no signal."""
    GM = 1
    WM = 2
    CSF = 3
    FAT = 4
    MUSCLE = 5
    MARROW = 6
    VITREOUS = 7


@dataclass(frozen=True, kw_only=True)
class Tissue:
    """Relaxation times and proton density of a tissue.

    Parameters
    ----------
    t1, t2
        Relaxation times [s].
    m0
        Equilibrium magnetisation against cerebrospinal fluid.
    chemical_shift
        Fraction of the resonance frequency.
    """

    t1: float
    t2: float
    m0: float
    chemical_shift: float = 0.0


TISSUES: dict[Label, Tissue] = {
    Label.GM: Tissue(t1=1.400, t2=0.085, m0=0.80),
    Label.WM: Tissue(t1=0.939, t2=0.062, m0=0.70),
    Label.CSF: Tissue(t1=4.000, t2=1.500, m0=1.00),
    Label.FAT: Tissue(t1=0.371, t2=0.133, m0=0.80, chemical_shift=FAT_SHIFT),
    Label.MUSCLE: Tissue(t1=1.412, t2=0.050, m0=0.75),
    Label.MARROW: Tissue(t1=0.586, t2=0.049, m0=0.60, chemical_shift=FAT_SHIFT),
    Label.VITREOUS: Tissue(t1=4.250, t2=0.600, m0=1.00),
}
"""White matter: T1 and T2 of Birk et al., Sci Rep 15:4825 (2025). Muscle: Stanisz et al., MRM 54:507 (2005),
3 T. Fat: subcutaneous fat of Gold et al., AJR 183:343 (2004), 3 T. Grey matter and cerebrospinal fluid: round
values within the spread that is reported at 3 T (grey matter 1.3-1.8 s and 75-110 ms: Wansapura et al., JMRI
9:531 (1999), Stanisz et al. 2005). Marrow: de Bazelaire et al., Radiology 230:652 (2004), 3 T, vertebrae; it
is taken for fat, in trabeculae that take up a quarter. Vitreous humour: T1 of Richdale et al., JMRI 30:924
(2009), 7 T; T2 a round value above that of the aqueous humour (0.45 s, Patz et al., JMRI 26:510, 2007, 1.5 T).
M0: water content by volume of white matter, grey matter and cerebrospinal fluid, about 0.70 : 0.80 : 1."""
