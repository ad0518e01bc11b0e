"""The README of the simulated dataset."""

from collections.abc import Mapping, Sequence

from qmri_bids.phantom.heads.image import FACE_TRANSITION
from qmri_bids.phantom.scans.physics import PhysicsSettings
from qmri_bids.phantom.scans.semisolid import LINE_NAMES, Semisolid
from qmri_bids.phantom.scans.truth import BRAIN_RIM
from qmri_bids.phantom.subjects import HEAD, Scanned
from qmri_bids.physics.pools import Lineshape

_TEXT = """# A {what}, scanned by phase-cycled bSSFP

No person was scanned: every image is computed. The settings:

| setting | value |
|---|---|
{settings}

## What was measured

- `anat/…_VFA`: balanced SSFP at 3 T, TR 4.8 ms, TE 2.4 ms, flip angle 15°, one volume for every RF phase
  increment (`RFPhaseIncrement` in the sidecar, degrees, absolute). Magnitude, real and imaginary part are in
  units of M0 = 1; a phase has the scale of Siemens, ±4096 for ±π. The phase grows with precession of positive
  off-resonance (e^{{+iθ}}).
- `fmap/…_TB1TFL`: a turbo-FLASH image (`acq-anat`) and the flip angle of its preparation pulse (`acq-famp`,
  degrees × 10, nominally 80°), 0 where there is too little signal; or `fmap/…_TB1map` in percent, 0 where
  there is too little signal. It has coarser, tilted voxels, and the head lies a little differently.

## How

{object}
- Each voxel is divided into points (at most 2 mm apart); their signals are summed into k-space, which is truncated to the matrix:
  partial volume and Gibbs ringing are those of a scan.{planar}
- Complex Gaussian noise with standard deviation 0.074/(√2·SNR) in real and imaginary part.
{physics}

## The truth

`derivatives/truth` holds, in the space and on the voxels of the reference cycle (index N//2, counted from 0):

- `T1map`, `T2map` [s]: a mixed voxel has no single value; the map is that of the mean relaxation rate, weighted
  by M0, of its {counted}. `M0map`: the mean. NaN where there is none. Use `probseg` to tell pure voxels.
- `fieldmap` [Hz, of water], `TB1map` [percent]: the mean over the points with a signal{scalp}.
- `probseg`: the share of the voxel's volume; `dseg`: the largest share inside the mask, named in its table.
{mask}
- `…desc-poses_timeseries.tsv`: where the head was. A point of the head at x (RAS, mm, of the scanner) in the
  reference cycle lies at x' = Rz Ry Rx x + translation in the volume of that row; rotations are about (0, 0,
  0), in degrees.
"""

_SIMPLE = """- Signals are the closed form of the steady state (Freeman and Hill 1971), off-resonance and chemical shift included.
- Not simulated: approach to the steady state, magnetisation transfer, flow, motion within a cycle, several
  receiver channels."""
_FULL = """- bSSFP signals are the exact steady state of the Bloch equations, by steps through the finite excitation pulse
  (`RFPulseDuration` [s] and `RFPulseShape` in the sidecar), off-resonance and chemical shift included. Grey and
  white matter and muscle exchange with a semisolid pool, the same in all scans of the session: the settings above have its
  numbers. The excitation pulse saturates it with the rate π G(0) ω1². The true T1 is what an inversion recovery finds (`T1map`) and
  that of free water follows from it and the pools (`desc-free_T1map`); the true M0 is that of free water. `desc-MT_fractionmap`
  and `desc-MT_exchangemap` are the pool's fraction F and rate to water kr; from water it is kf = F kr.
- Not simulated: approach to the steady state, line width within a point, flow, motion within a cycle, several receiver channels."""
_CYCLES = """
- Frequency of the whole head and gain differ between the cycles; the truth has them in `desc-cycles_timeseries.tsv`."""

_SATURATION = """
## CEST and MT scans

- `anat/…_cest`: magnitudes at 3 T, one volume a row of `…_cestcontext.tsv`; the sidecar holds the whole protocol. `acq-MRFMT` and
  `acq-MRFamide` are the two stages of a spin-lock fingerprint (their water exchanges with amide and the semisolid pool alone),
  `acq-APTw` and `acq-Zspec` Z-spectra, `acq-WASABI` measures B0 and B1. Images of spectra and WASABI start from full relaxation.
- `anat/…_MTR`, `anat/…_MTS`: spoiled gradient echoes, TR 28 ms and 6°, without and with a Gaussian MT pulse (10 ms, 5 µT root mean
  square, 2 kHz), and TR 18 ms and 20°.
- Signals follow the Bloch-McConnell equations with the {times}, off-resonance and B1 of every point (interpolated in tables, within
  3e-4 of M0). Pools by tissue: a semisolid pool {line}, amide (+3.5 ppm), amine (+2 ppm), NOE
  (-3.5 ppm); none in cerebrospinal fluid and fat. B1 scales saturation and readout. The crusher after the saturation takes no time.
- The head drifts from volume to volume, and lies in each scan as it likes, within the range of the motion above.
- Noise: the signal of grey matter in the M0 image, or in the echo without MT pulse, over the ratio above.
- Not simulated: T2* decay and distortion of the readout, several readout shots.
- The truth of each scan is in the space of its reference volume, the first M0 or the first echo: maps as above, `desc-poses`
  against that volume, `desc-session` for where the head was against the bSSFP reference cycle, `desc-MT` and `desc-amide`
  `fractionmap` (relative to water) and `exchangemap` [1/s, pool to water], `desc-noisefree` `MTRmap` and `MTsat` [percent].
"""

_SEPARATE = {"times": "T1, T2", "line": "with a Lorentzian line (T2 40 µs, -2.5 ppm)"}

_TEMPLATE = """- Brain: the ICBM 152 template (2009a, symmetric) that nilearn ships, scaled and deformed for every subject;
  around it skull, muscle, a rim of fat, and air in sinuses and ear canals. Every point is of one tissue. T1, T2 and M0 vary
  smoothly inside every tissue.
- Off-resonance: the dipole field of air against tissue, shimmed to second order over the brain. Tissue,
  off-resonance and transmit field move with the head; the receiver phase rests with the scanner."""

_IMAGE = """- Anatomy: a T1-weighted image. Inside the brain its intensity tells shares of grey matter, white matter and fluid;
  outside of it intensity and place tell fat, muscle, marrow, the eyes, bone and air. A point between voxels of the image is a
  mixture of theirs. T1, T2 and M0 are those of the literature at 3 T and vary smoothly inside every tissue by up to 3 %. Fat and
  marrow are shifted by -3.4 ppm; bone and air give no signal.
- Off-resonance: the dipole field of the air in the head and around it, shimmed to second order over the brain; below the image
  the neck goes on. Tissue, off-resonance and transmit field move with the head; the receiver phase rests with the scanner.{face}
{decisions}"""
_FACE = """ Face and
  neck follow the skull by {share:.0%} less, over {transition:g} mm below it: the poses are those of the skull and the brain."""

_OBJECT = """{decisions}
- Every body holds one liquid; bodies have no walls. Off-resonance within ±25 Hz and a transmit field within 12 % of its nominal
  value are smooth and move with the object; the receiver phase rests with the scanner."""

_PLANAR = """ Every slice is
  encoded in its plane alone; along its normal it is excited with the profile of a box, without gaps. What lies beyond the field of
  view gives no signal."""

_BRAIN_MASK = "- `desc-brain_mask`: where grey matter, white matter and fluid fill at least half the voxel."
_RIM_MASK = f"""- `desc-brain_mask`: the brain and {BRAIN_RIM:g} mm around it, mostly fluid, as a brain extraction finds it;
  `desc-tissue_mask`: the brain alone."""
_OBJECT_MASK = "- `desc-object_mask`: where liquids fill at least half the voxel."


def what(scanned: Scanned) -> str:
    """Return what is scanned in two or three words."""
    return "Digital head" if scanned.phantom == HEAD else f"Digital phantom ({scanned.phantom})"


def said_of(scanned: Scanned) -> dict[str, object]:
    """Return the settings that tell what is scanned; nothing for the head from the templates."""
    if scanned.phantom != HEAD:
        return {"phantom": scanned.phantom}
    if scanned.anatomy is None:
        return {}
    return {
        "anatomy": scanned.anatomy.name,
        **({} if scanned.brain is None else {"its brain": scanned.brain.name}),
        "scale": f"{scanned.scale:g}",
        "share of the motion that face and neck do not follow": f"{scanned.face_motion:g}",
    }


def readme(
    settings: Mapping[str, object],
    *,
    with_saturation: bool = False,
    scanned: Scanned | None = None,
    decisions: Sequence[str] = (),
    planar: bool = False,
    physics: PhysicsSettings | None = None,
) -> str:
    """Return the text with the settings of the simulation.

    Parameters
    ----------
    settings
        Settings of the simulation by name.
    with_saturation
        Whether CEST or MT scans are there.
    scanned
        What is scanned, by default the head from the templates.
    decisions
        What was decided about it, in sentences.
    planar
        Whether the scans are slices of their own.
    physics
        Physics of the bSSFP signal, and the pools that all scans share.
    """
    scanned = Scanned() if scanned is None else scanned
    physics = PhysicsSettings() if physics is None else physics
    head = scanned.phantom == HEAD
    said = "\n".join(f"- {sentence}" for sentence in decisions)
    face = _FACE.format(share=scanned.face_motion, transition=FACE_TRANSITION) if scanned.face_motion else ""
    if scanned.is_template:
        made, mask = _TEMPLATE, _BRAIN_MASK
    elif head:
        made, mask = _IMAGE.format(face=face, decisions=said), _RIM_MASK
    else:
        made, mask = _OBJECT.format(decisions=said), _OBJECT_MASK
    text = _TEXT.format(
        what=what(scanned).lower(),
        settings="\n".join(f"| {name} | {value} |" for name, value in settings.items()),
        object=made,
        planar=_PLANAR if planar else "",
        counted="grey matter, white matter and cerebrospinal fluid" if head else "liquids",
        scalp=", the scalp included" if head else "",
        mask=mask,
        physics=(_SIMPLE if physics.pools is None else _FULL)
        + (_CYCLES if physics.drift or physics.gain_scatter else ""),
    )
    if not with_saturation:
        return text
    return text + _SATURATION.format(**(_SEPARATE if physics.pools is None else _shared(physics.pools)))


def _shared(pools: Semisolid) -> dict[str, str]:
    """Return what the text on scans with saturation says of pools that bSSFP met, too."""
    how = (
        "with x, y and z"
        if pools.line is Lineshape.LORENTZIAN
        else f"of z alone that is saturated with the rate π ω1² g of its {LINE_NAMES[pools.line]} line"
    )
    return {
        "times": "T1 of free water, T2",
        "line": f"at -2.5 ppm, {how}, and with R1, fraction and rate of the bSSFP scan",
    }
