"""Compiled Levenberg-Marquardt fit of the profile in natural coordinates, voxel by voxel.

The complex amplitude is profiled out (variable projection in the approximation of Kaufman, BIT 15:49, 1975): with the profile f and
its derivatives g_k, Gram sums G_kl = Σ conj(g_k) g_l and projections h_k = Σ conj(g_k) S of one pass over the cycles give the
amplitude A = h_0/G_00, the residual, the gradient and the Gauss-Newton matrix of (E2, b, θ).

The iteration moves logit E2, logit b and θ, and so stays admissible. Steps are taken by rational maps of the same first order as
exponential and rotation: the loop holds no transcendental function. All sums are in double precision, whatever the input, because
the residual is a difference of two sums that nearly cancel.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

LIMIT = 1e-6
"""E2 and b are kept in (LIMIT, 1 - LIMIT): T2 from TR/14 to a million TR."""

LARGEST_STEP = 1.5
"""Largest step of a logit, and of θ [rad]: beyond it the rational maps are poor and the quadratic model is not to be trusted."""

LARGEST_LAST_STEP = 0.1
"""Largest step of a logit or of θ [rad] taken without evaluating its end."""

STEP_TO_STDEV = 0.01
"""Converged when the last step was below this fraction of the standard deviation, or …"""

RELATIVE_STEP = 1e-7
"""… below this in every logit and in θ: noise-free data have no standard deviation."""

# NaN and infinity keep their meaning: only what does not assume them away is relaxed.
_FAST = {"contract", "reassoc", "nsz", "arcp"}


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def gram(
    real: NDArray, imag: NDArray, cosine: NDArray, sine: NDArray, e: float, b: float, c: float, s: float
) -> tuple[Any, ...]:
    """Return G_00, G_0k (real, imaginary), Re G_kl, and h_k (real, imaginary) at a point, c = cos θ and s = sin θ."""
    g00 = 0.0
    g0er = g0ei = g0br = g0bi = g0tr = g0ti = 0.0
    gee = geb = get = gbb = gbt = gtt = 0.0
    h0r = h0i = her = hei = hbr = hbi = htr = hti = 0.0
    for j in range(real.size):
        cos_psi = c * cosine[j] + s * sine[j]
        sin_psi = s * cosine[j] - c * sine[j]
        inverse = 1.0 / (1.0 - b * cos_psi)
        er = -cos_psi * inverse
        ei = sin_psi * inverse
        fr = inverse + e * er
        fi = e * ei
        br = -fr * er
        bi = -fi * er
        tr = fi - fr * b * ei
        ti = -e * er - fi * b * ei
        g00 += fr * fr + fi * fi
        g0er += fr * er + fi * ei
        g0ei += fr * ei - fi * er
        g0br += fr * br + fi * bi
        g0bi += fr * bi - fi * br
        g0tr += fr * tr + fi * ti
        g0ti += fr * ti - fi * tr
        gee += er * er + ei * ei
        geb += er * br + ei * bi
        get += er * tr + ei * ti
        gbb += br * br + bi * bi
        gbt += br * tr + bi * ti
        gtt += tr * tr + ti * ti
        sr = real[j]
        si = imag[j]
        h0r += fr * sr + fi * si
        h0i += fr * si - fi * sr
        her += er * sr + ei * si
        hei += er * si - ei * sr
        hbr += br * sr + bi * si
        hbi += br * si - bi * sr
        htr += tr * sr + ti * si
        hti += tr * si - ti * sr
    gram = (g00, g0er, g0ei, g0br, g0bi, g0tr, g0ti, gee, geb, get, gbb, gbt, gtt)
    return (*gram, h0r, h0i, her, hei, hbr, hbi, htr, hti)


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def normal_equations(sums: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return A (real, imaginary), |A|²G_00, the six entries of the information on (E2, b, θ), and the descent direction."""
    g00, g0er, g0ei, g0br, g0bi, g0tr, g0ti, gee, geb, get, gbb, gbt, gtt, h0r, h0i, her, hei, hbr, hbi, htr, hti = sums
    inverse = 1.0 / g00
    ar = h0r * inverse
    ai = h0i * inverse
    power = ar * ar + ai * ai
    ree = power * (gee - (g0er * g0er + g0ei * g0ei) * inverse)
    reb = power * (geb - (g0er * g0br + g0ei * g0bi) * inverse)
    ret = power * (get - (g0er * g0tr + g0ei * g0ti) * inverse)
    rbb = power * (gbb - (g0br * g0br + g0bi * g0bi) * inverse)
    rbt = power * (gbt - (g0br * g0tr + g0bi * g0ti) * inverse)
    rtt = power * (gtt - (g0tr * g0tr + g0ti * g0ti) * inverse)
    # Re conj(A) (h_k - conj(G_0k) A)
    de = ar * her + ai * hei - power * g0er
    db = ar * hbr + ai * hbi - power * g0br
    dt = ar * htr + ai * hti - power * g0tr
    return ar, ai, power * g00, ree, reb, ret, rbb, rbt, rtt, de, db, dt


@njit(nogil=True, cache=True, error_model="numpy")
def solve_normal(
    xx: float, xy: float, xz: float, yy: float, yz: float, zz: float, x: float, y: float, z: float
) -> tuple[float, float, float, bool]:
    """Solve a positive definite 3×3 system by LDLᵀ; the last value tells whether it was."""
    if not xx > 0.0:
        return 0.0, 0.0, 0.0, False
    ly = xy / xx
    lz = xz / xx
    dy = yy - ly * xy
    if not dy > 1e-14 * yy:
        return 0.0, 0.0, 0.0, False
    lyz = (yz - ly * xz) / dy
    dz = zz - lz * xz - lyz * lyz * dy
    if not dz > 1e-14 * zz:
        return 0.0, 0.0, 0.0, False
    v = y - ly * x
    w = (z - lz * x - lyz * v) / dz
    v = v / dy - lyz * w
    return x / xx - ly * v - lz * w, v, w, True


@njit(nogil=True, cache=True, error_model="numpy")
def moved_logit(value: float, step: float) -> float:
    """Return a value in (0, 1) after a step of its logit; e^step by its (2, 2) Padé approximant, positive everywhere."""
    square = step * step / 12.0
    up = value * (1.0 + 0.5 * step + square)
    down = (1.0 - value) * (1.0 - 0.5 * step + square)
    return min(max(up / (up + down), LIMIT), 1.0 - LIMIT)


@njit(nogil=True, cache=True, error_model="numpy")
def profile_covariance(equations: tuple[Any, ...], sums: tuple[Any, ...], out: NDArray) -> bool:
    """Write the covariance of (E2, b, θ, log|A|) for unit noise; return whether the information is invertible."""
    _, _, amplitude_information, ree, reb, ret, rbb, rbt, rtt, _, _, _ = equations
    aee = rbb * rtt - rbt * rbt
    aeb = ret * rbt - reb * rtt
    aet = reb * rbt - ret * rbb
    determinant = ree * aee + reb * aeb + ret * aet
    if not determinant > 1e-14 * ree * rbb * rtt:
        out[:] = np.inf
        return False
    inverse = 1.0 / determinant
    out[0, 0] = aee * inverse
    out[0, 1] = out[1, 0] = aeb * inverse
    out[0, 2] = out[2, 0] = aet * inverse
    out[1, 1] = (ree * rtt - ret * ret) * inverse
    out[1, 2] = out[2, 1] = (reb * ret - ree * rbt) * inverse
    out[2, 2] = (ree * rbb - reb * reb) * inverse
    # log A = noise of its own - Σ_k Re(G_0k)/G_00 · (error of k): independent of the errors of E2, b and θ.
    g00 = sums[0]
    share = (sums[1] / g00, sums[3] / g00, sums[5] / g00)
    variance = 1.0 / amplitude_information
    for column in range(3):
        cross = -(share[0] * out[0, column] + share[1] * out[1, column] + share[2] * out[2, column])
        out[3, column] = cross
        out[column, 3] = cross
        variance -= share[column] * cross
    out[3, 3] = variance
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def fit_voxels(
    cycles: NDArray,
    cosine: NDArray,
    sine: NDArray,
    iterations: int,
    e2: NDArray,
    b: NDArray,
    theta: NDArray,
    amplitude: NDArray,
    covariance: NDArray,
    residual_sum: NDArray,
    signal_sum: NDArray,
    converged: NDArray,
) -> None:
    """Fit every voxel; `e2`, `b`, `theta` hold the start and are overwritten, the arrays after them are filled.

    Parameters
    ----------
    cycles
        Complex signal, shape (V, N).
    cosine, sine
        Cosine and sine of the increments, shape (N,), double precision.
    iterations
        Most evaluations after the first.
    e2, b, theta
        Natural coordinates, θ in rad, shape (V,), double precision, admissible.
    amplitude, covariance, residual_sum, signal_sum, converged
        Fields of `profile_fit.NaturalFit`, to be filled. Voxels without finite signal become NaN, not converged.
    """
    number = cycles.shape[1]
    freedom = max(2 * number - 5, 1)
    real = np.empty(number)
    imag = np.empty(number)
    for voxel in range(cycles.shape[0]):
        energy = 0.0
        for j in range(number):
            real[j] = cycles[voxel, j].real
            imag[j] = cycles[voxel, j].imag
            energy += real[j] * real[j] + imag[j] * imag[j]
        signal_sum[voxel] = energy
        if not (energy > 0.0 and energy < np.inf):
            e2[voxel] = b[voxel] = theta[voxel] = residual_sum[voxel] = np.nan
            amplitude[voxel] = complex(np.nan, np.nan)
            covariance[voxel] = np.nan
            converged[voxel] = False
            continue
        scale = math.sqrt(energy)
        inverse = 1.0 / scale
        for j in range(number):
            real[j] *= inverse
            imag[j] *= inverse
        e, w = e2[voxel], b[voxel]
        c, s = math.cos(theta[voxel]), math.sin(theta[voxel])
        sums = gram(real, imag, cosine, sine, e, w, c, s)
        equations = normal_equations(sums)
        residual = 1.0 - equations[2]
        damping = 1e-3
        settled = False
        amplitude_turn = complex(1.0, 0.0)
        for _ in range(iterations):
            _, _, _, ree, reb, ret, rbb, rbt, rtt, de, db, dt = equations
            slope_e = e * (1.0 - e)
            slope_b = w * (1.0 - w)
            xx = ree * slope_e * slope_e
            yy = rbb * slope_b * slope_b
            raised = 1.0 + damping
            step_e, step_b, step_t, regular = solve_normal(
                xx * raised,
                reb * slope_e * slope_b,
                ret * slope_e,
                yy * raised,
                rbt * slope_b,
                rtt * raised,
                de * slope_e,
                db * slope_b,
                dt,
            )
            if not regular:
                if damping > 1.0:
                    break
                damping = 10.0 * damping + 1e-3
                continue
            decrement = step_e * de * slope_e + step_b * db * slope_b + step_t * dt
            longest = max(abs(step_e), abs(step_b), abs(step_t))
            if longest > LARGEST_STEP:
                shorten = LARGEST_STEP / longest
                step_e *= shorten
                step_b *= shorten
                step_t *= shorten
            new_e = moved_logit(e, step_e)
            new_w = moved_logit(w, step_b)
            quarter = 0.25 * step_t * step_t
            turn_c = (1.0 - quarter) / (1.0 + quarter)
            turn_s = step_t / (1.0 + quarter)
            new_c = c * turn_c - s * turn_s
            new_s = s * turn_c + c * turn_s
            small = decrement < STEP_TO_STDEV * STEP_TO_STDEV * max(residual, 0.0) / freedom or longest < RELATIVE_STEP
            if small and damping < 0.1 and longest < LARGEST_LAST_STEP:
                # So small a step needs no evaluation: residual and amplitude follow to first order.
                settled = True
                residual -= decrement
                change_e, change_b = new_e - e, new_w - w
                real_share = sums[1] * change_e + sums[3] * change_b + sums[5] * step_t
                imag_share = sums[2] * change_e + sums[4] * change_b + sums[6] * step_t
                amplitude_turn = 1.0 - complex(real_share, imag_share) / sums[0]
                e, w, c, s = new_e, new_w, new_c, new_s
                break
            new_sums = gram(real, imag, cosine, sine, new_e, new_w, new_c, new_s)
            new_equations = normal_equations(new_sums)
            new_residual = 1.0 - new_equations[2]
            # 1e-15: rounding of a sum that is 1; without it a step at the optimum is refused for ever.
            if new_residual <= residual + 1e-15:
                e, w, c, s = new_e, new_w, new_c, new_s
                sums, equations, residual = new_sums, new_equations, new_residual
                damping *= 0.1
            else:
                damping = max(10.0 * damping, 1e-3)
                if damping > 1e8:
                    break
        inside = e > 2.0 * LIMIT and e < 1.0 - 2.0 * LIMIT and w > 2.0 * LIMIT and w < 1.0 - 2.0 * LIMIT
        e2[voxel], b[voxel], theta[voxel] = e, w, math.atan2(s, c)
        amplitude[voxel] = complex(equations[0], equations[1]) * amplitude_turn * scale
        residual_sum[voxel] = max(residual, 0.0) * energy
        regular = profile_covariance(equations, sums, covariance[voxel])
        for row in range(4):
            for column in range(4):
                covariance[voxel, row, column] /= energy
        converged[voxel] = settled and inside and regular
