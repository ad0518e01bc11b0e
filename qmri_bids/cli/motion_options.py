"""The options of motion."""

from __future__ import annotations

import argparse


def add_motion_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of motion to a parser."""
    motion = parser.add_argument_group("motion")
    motion.add_argument(
        "--fd-threshold",
        type=float,
        default=None,
        metavar="MM",
        help="leave volumes out of the estimation before which the head moved by more than this (framewise displacement): phase "
        "cycles of pc-bSSFP and saturated images of Z-spectra; off by default",
    )


def check_motion_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse thresholds that mean nothing."""
    threshold = options.fd_threshold
    if threshold is None:
        return
    if not 0.0 < threshold < 100.0:
        parser.error(f"--fd-threshold must be positive, in millimetres, found {threshold:g}")
    if "motion" in options.ignore:
        parser.error("--fd-threshold needs the motion that --ignore motion leaves out: give one of the two")
