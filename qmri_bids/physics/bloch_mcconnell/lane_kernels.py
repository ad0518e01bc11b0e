"""Small matrices of eight voxels at a time: products, and the exponential with its adjoint.

An element of a matrix is `LANES` numbers, one a voxel, next to each other in memory: whatever the size of the matrix, a product
is then fused multiply-adds of whole vectors. The compiler does not find this by itself, hence `lane_dot`.

Matrices are affine maps of n components, kept as n rows of n + 1 columns, the last for the constant, and as their difference from
the identity: F = e^A - 1. F does not lose the slow rates beside the fast ones, and doubles by F ← 2F + F². `split` tells that the
first `split` components do not mix with the others (transverse and longitudinal magnetisation without RF); 0 tells nothing.

Sources: Paterson and Stockmeyer, SIAM J Comput 2:60 (1973), for the order of the polynomial; Al-Mohy and Higham, SIAM J Matrix
Anal Appl 30:1639 (2009), for the derivative of scaling and squaring.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

LANES = 8
"""Voxels that are computed together: doubles of one vector register of today's largest kind."""

LARGEST_NORM = 0.5
"""Norm up to which the polynomial of degree 12 is exact to 4e-14 of the exponent."""

MOST_DOUBLINGS = 60
"""More than this only a value that is not a rate asks for."""

POLYNOMIAL_SLOTS = 6
"""Matrices of a workspace that hold the powers and the partial sums of the polynomial."""

_TAYLOR = np.array([1.0 / math.factorial(order) for order in range(13)])


def _lane_dot(
    typing_context: Any,
    a: Any,
    a_start: Any,
    a_step: Any,
    b: Any,
    b_start: Any,
    b_step: Any,
    count: Any,
    c: Any,
    c_start: Any,
) -> Any:
    """Generate: add Σ_k a[k] b[k] to c, each of `LANES` numbers; starts and steps count numbers of flat arrays, count ≥ 1."""
    index = types.intp
    signature = types.none(a, index, index, b, index, index, index, c, index)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = (arguments[0], arguments[3], arguments[7])
        kinds = (signature.args[0], signature.args[3], signature.args[7])
        pa, pb, pc = (
            context.make_array(kind)(context, builder, each).data for kind, each in zip(kinds, arrays, strict=True)
        )
        _, start_a, step_a, _, start_b, step_b, terms, _, start_c = arguments
        vector = ir.VectorType(ir.DoubleType(), LANES)

        def at(pointer: Any, offset: Any) -> Any:
            return builder.bitcast(builder.gep(pointer, [offset]), vector.as_pointer())

        target = at(pc, start_c)
        begun = builder.load(target, align=8)
        before = builder.block
        loop = builder.append_basic_block("lane_dot")
        after = builder.append_basic_block("lane_dot_end")
        builder.branch(loop)
        builder.position_at_end(loop)
        number = ir.IntType(64)
        term, place_a, place_b = (builder.phi(number) for _ in range(3))
        total = builder.phi(vector)
        left = builder.load(at(pa, place_a), align=8)
        right = builder.load(at(pb, place_b), align=8)
        summed = builder.fadd(builder.fmul(left, right, flags=["contract"]), total, flags=["contract"])
        following = builder.add(term, ir.Constant(number, 1))
        for phi, first, later in (
            (term, ir.Constant(number, 0), following),
            (place_a, start_a, builder.add(place_a, step_a)),
            (place_b, start_b, builder.add(place_b, step_b)),
            (total, begun, summed),
        ):
            phi.add_incoming(first, before)
            phi.add_incoming(later, loop)
        builder.cbranch(builder.icmp_signed("<", following, terms), loop, after)
        builder.position_at_end(after)
        builder.store(summed, target, align=8)
        return context.get_dummy_value()

    return signature, generate


lane_dot: Any = intrinsic(_lane_dot)
"""The sum of products for compiled code: lane_dot(a, a_start, a_step, b, b_start, b_step, count, c, c_start)."""


@njit(nogil=True, cache=True, error_model="numpy")
def add_product(a: NDArray, b: NDArray, c: NDArray, n: int, split: int) -> None:
    """Add to c the map a after b, the constant of a left out: c += a b."""
    row = (n + 1) * LANES
    for i in range(split):
        for j in range(split):
            lane_dot(a, i * row, LANES, b, j * LANES, row, split, c, i * row + j * LANES)
    for i in range(split, n):
        for j in range(split, n + 1):
            start = split * row + j * LANES
            lane_dot(a, i * row + split * LANES, LANES, b, start, row, n - split, c, i * row + j * LANES)


@njit(nogil=True, cache=True, error_model="numpy")
def add_left_adjoint(slope: NDArray, b: NDArray, a_slope: NDArray, n: int, split: int) -> None:
    """Add to the adjoint of a what c = a b hands it: slope bᵀ."""
    row = (n + 1) * LANES
    for i in range(split):
        for k in range(split):
            lane_dot(slope, i * row, LANES, b, k * row, LANES, split, a_slope, i * row + k * LANES)
    for i in range(split, n):
        for k in range(split, n):
            start, other = i * row + split * LANES, k * row + split * LANES
            lane_dot(slope, start, LANES, b, other, LANES, n + 1 - split, a_slope, i * row + k * LANES)


@njit(nogil=True, cache=True, error_model="numpy")
def add_right_adjoint(a: NDArray, slope: NDArray, b_slope: NDArray, n: int, split: int) -> None:
    """Add to the adjoint of b what c = a b hands it: aᵀ slope."""
    row = (n + 1) * LANES
    for k in range(split):
        for j in range(split):
            lane_dot(a, k * LANES, row, slope, j * LANES, row, split, b_slope, k * row + j * LANES)
    for k in range(split, n):
        for j in range(split, n + 1):
            start, other = split * row + k * LANES, split * row + j * LANES
            lane_dot(a, start, row, slope, other, row, n - split, b_slope, k * row + j * LANES)


@njit(nogil=True, cache=True, error_model="numpy")
def add_outer(slopes: NDArray, states: NDArray, number: int, out: NDArray, n: int, split: int) -> None:
    """Add Σ_t slope_t state_tᵀ, the adjoint of a map that was applied `number` times, to `out`."""
    row = (n + 1) * LANES
    for i in range(split):
        for j in range(split):
            lane_dot(slopes, i * LANES, row, states, j * LANES, row, number, out, i * row + j * LANES)
    for i in range(split, n):
        for j in range(split, n + 1):
            lane_dot(slopes, i * LANES, row, states, j * LANES, row, number, out, i * row + j * LANES)


@njit(nogil=True, cache=True, error_model="numpy")
def doublings_for(norm: float) -> int:
    """Return how often an exponent of this norm must be halved; the most there are where it is not a number."""
    doublings = 0
    while doublings < MOST_DOUBLINGS and not norm <= LARGEST_NORM:
        norm *= 0.5
        doublings += 1
    return doublings


@njit(nogil=True, cache=True, error_model="numpy")
def exponential(work: NDArray, n: int, split: int, doublings: int) -> int:
    """Compute e^A - 1 with A = 2^doublings work[0]; return the slot of the result.

    Parameters
    ----------
    work
        Workspace, shape (slots, n (n + 1) LANES) with `POLYNOMIAL_SLOTS` + 1 + doublings slots or more; slot 0 holds the halved
        exponent, the others what the adjoint needs afterwards.
    n, split
        Components, and how many at the front stand apart.
    doublings
        How often the exponent was halved.
    """
    a, a2, a3, a4, inner, outer, first = work[0], work[1], work[2], work[3], work[4], work[5], work[6]
    c = _TAYLOR
    a2[:] = 0.0
    add_product(a, a, a2, n, split)
    a3[:] = 0.0
    add_product(a, a2, a3, n, split)
    a4[:] = 0.0
    add_product(a2, a2, a4, n, split)
    for e in range(a.size):
        inner[e] = c[9] * a[e] + c[10] * a2[e] + c[11] * a3[e] + c[12] * a4[e]
        outer[e] = c[5] * a[e] + c[6] * a2[e] + c[7] * a3[e] + c[8] * a4[e]
        first[e] = a[e] + c[2] * a2[e] + c[3] * a3[e] + c[4] * a4[e]
    add_product(a4, inner, outer, n, split)
    add_product(a4, outer, first, n, split)
    for slot in range(POLYNOMIAL_SLOTS, POLYNOMIAL_SLOTS + doublings):
        before, after = work[slot], work[slot + 1]
        for e in range(a.size):
            after[e] = 2.0 * before[e]
        add_product(before, before, after, n, split)
    return POLYNOMIAL_SLOTS + doublings


@njit(nogil=True, cache=True, error_model="numpy")
def exponential_adjoint(work: NDArray, slopes: NDArray, n: int, split: int, doublings: int) -> None:
    """Turn the adjoint of `exponential`'s result into that of the halved exponent, in slopes[0].

    Parameters
    ----------
    work
        Workspace as `exponential` left it.
    slopes
        Matrices, shape (7, n (n + 1) LANES); slot 0 holds the adjoint of the result, the others are scratch.
    n, split, doublings
        Components, how many at the front stand apart, and how often the exponent was halved: those given to `exponential`.
    """
    a, a2, a4, inner, outer = work[0], work[1], work[3], work[4], work[5]
    c = _TAYLOR
    here, other = slopes[0], slopes[1]
    for slot in range(POLYNOMIAL_SLOTS + doublings - 1, POLYNOMIAL_SLOTS - 1, -1):
        for e in range(a.size):
            other[e] = 2.0 * here[e]
        add_left_adjoint(here, work[slot], other, n, split)
        add_right_adjoint(work[slot], here, other, n, split)
        here, other = other, here
    d_inner, d_outer, d2, d3, d4 = slopes[2], slopes[3], slopes[4], slopes[5], slopes[6]
    d_outer[:] = 0.0
    add_right_adjoint(a4, here, d_outer, n, split)
    d_inner[:] = 0.0
    add_right_adjoint(a4, d_outer, d_inner, n, split)
    for e in range(a.size):
        other[e] = here[e] + c[5] * d_outer[e] + c[9] * d_inner[e]
        d2[e] = c[2] * here[e] + c[6] * d_outer[e] + c[10] * d_inner[e]
        d3[e] = c[3] * here[e] + c[7] * d_outer[e] + c[11] * d_inner[e]
        d4[e] = c[4] * here[e] + c[8] * d_outer[e] + c[12] * d_inner[e]
    add_left_adjoint(here, outer, d4, n, split)
    add_left_adjoint(d_outer, inner, d4, n, split)
    add_left_adjoint(d4, a2, d2, n, split)
    add_right_adjoint(a2, d4, d2, n, split)
    add_left_adjoint(d3, a2, other, n, split)
    add_right_adjoint(a, d3, d2, n, split)
    add_left_adjoint(d2, a, other, n, split)
    add_right_adjoint(a, d2, other, n, split)
    if doublings % 2 == 0:
        slopes[0][:] = other
