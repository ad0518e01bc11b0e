"""The options of resources: processes, threads, memory, the engine, and where intermediate results lie."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from qmri_bids.cli.machine import available_cores, available_memory

MOST_THREADS = 8
"""Threads of one step by default: beyond that they gain little."""

MEGABYTES = {"K": 2.0**-10, "M": 1.0, "G": 2.0**10, "T": 2.0**20}
"""Suffixes of amounts of memory."""

DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


def memory(text: str) -> float:
    """Return an amount of memory in GB (2³⁰ bytes) from a number of MB, or one with a suffix K, M, G or T.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none.

    Examples
    --------
    >>> memory("8G"), memory("512")
    (8.0, 0.5)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), flags=re.IGNORECASE)
    amount = float(match[1]) * MEGABYTES[match[2].upper() or "M"] / MEGABYTES["G"] if match else 0.0
    if amount <= 0.0:
        raise argparse.ArgumentTypeError(f"expected MB, or a number with K, M, G or T, for instance 8G, found {text!r}")
    return amount


def device(text: str) -> str:
    """Return the name of a device: auto, cpu, cuda or cuda:N.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none.
    """
    if not DEVICE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"expected auto, cpu, cuda or cuda:N, found {text!r}")
    return text


def add_resource_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of resources to a parser."""
    resources = parser.add_argument_group("resources")
    resources.add_argument(
        "--nprocs",
        "--nthreads",
        "--n-cpus",
        type=int,
        metavar="N",
        help="cores to use in all; by default those this process may use (affinity, quota of the container, SLURM)",
    )
    resources.add_argument(
        "--omp-nthreads",
        type=int,
        metavar="N",
        help=f"threads of one step, at most --nprocs; by default --nprocs, up to {MOST_THREADS}",
    )
    resources.add_argument(
        "--mem",
        "--mem-mb",
        dest="memory_gb",
        type=memory,
        metavar="MB",
        help="memory to use in all, in MB or with a suffix K, M, G or T (8G); by default what is free (limit of the container, "
        "SLURM, machine)",
    )
    resources.add_argument(
        "--low-mem", action="store_true", help="take less memory and more time where a step has the choice"
    )
    resources.add_argument(
        "--use-plugin",
        "--nipype-plugin-file",
        type=Path,
        metavar="FILE",
        help="YAML, TOML or JSON file with the Nipype plugin that runs the steps (plugin, plugin_args), for instance SLURM",
    )
    resources.add_argument(
        "--device",
        type=device,
        default="auto",
        metavar="NAME",
        help="where networks run: auto (a GPU where there is one), cpu, cuda or cuda:N; default: %(default)s",
    )
    resources.add_argument(
        "--random-seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of all random numbers; two calls with one seed give identical maps; default: %(default)s",
    )
    resources.add_argument(
        "-w",
        "--work-dir",
        type=Path,
        default=Path("work"),
        metavar="PATH",
        help="folder of intermediate results, outside bids_dir; default: ./work",
    )
    resources.add_argument(
        "--clean-workdir", action="store_true", help="empty the part of work_dir of these participants first"
    )
    resources.add_argument("--stop-on-first-crash", action="store_true", help="stop at the first run that fails")
    resources.add_argument("--notrack", action="store_true", help="accepted for habit's sake: there is no telemetry")


def check_resource_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Fill in what the machine offers, and refuse what makes no sense; `options.resources` says what was found."""
    found = []
    if options.nprocs is None:
        cores = available_cores()
        options.nprocs = cores.amount
        found.append(f"--nprocs {cores.amount} ({cores.source})")
    if options.nprocs < 1:
        parser.error(f"--nprocs must be at least 1, found {options.nprocs}")
    if options.omp_nthreads is None:
        options.omp_nthreads = min(options.nprocs, MOST_THREADS)
        found.append(f"--omp-nthreads {options.omp_nthreads}")
    if not 1 <= options.omp_nthreads <= options.nprocs:
        parser.error(
            f"--omp-nthreads must lie within 1 to --nprocs, which is {options.nprocs}, found {options.omp_nthreads}"
        )
    if options.memory_gb is None and (memory_found := available_memory()) is not None:
        options.memory_gb = memory_found.amount / 2**30
        found.append(f"--mem {memory_found.amount // 2**20} ({memory_found.source})")
    if not 0 <= options.random_seed < 2**32:
        parser.error(f"--random-seed must lie within 0 to 2^32 - 1, found {options.random_seed}")
    if options.use_plugin is not None:
        options.use_plugin = options.use_plugin.resolve()
        if not options.use_plugin.is_file():
            parser.error(f"--use-plugin {options.use_plugin} is not a file")
    options.resources = ("Not given, taken from this machine: " + ", ".join(found),) if found else ()
