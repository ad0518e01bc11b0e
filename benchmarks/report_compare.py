"""`qmri-tools compare` on digital heads: every figure made, and what the figures say where physics knows the answer.

    python benchmarks/report_compare.py [--only relaxometry pools] [--demo BIDS_DIR OUT_DIR] [--fingerprint BIDS_DIR OUT_DIR]
        [--keep DIR]

The demo is the head of `qmri-tools simulate` (2 mm, 12 cycles, SNR 25), the fingerprint one of 8 mm; both are simulated and
processed unless folders of such a run are given; --keep leaves the pages there. Heads and scans are the phantom's own, which
shares no signal with the estimators.
"""

from __future__ import annotations

import argparse
import base64
import csv
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rows import AtLeast, AtMost, Row, Within, save

RELAXOMETRY_FIGURES = {
    "figure 4: differences to MIRACLE": ("differences-maps",),
    "figures 6, 7: fewer cycles": ("cycles-t1", "cycles-t2"),
    "figures S5 to S7: added noise": ("noise-t1", "noise-t2"),
    "figure 8: epochs": ("epochs-curves", "epochs-maps"),
    "figure S9: time": ("time-curves",),
    "figure S10: wrong B1": ("b1-curves",),
}
POOL_FIGURES = ("pools-mt-fraction", "pools-mt-rate", "pools-amide-fraction", "pools-amide-rate")
COMMAND = "from qmri_bids.cli.{0} import main; import sys; sys.exit(main())"
Table = dict[tuple[str, ...], dict[str, str]]


def call(module: str, *arguments: object) -> float:
    """Run a program and return its time [s]."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", COMMAND.format(module), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{module} {' '.join(map(str, arguments))}: {done.stderr[-2000:]}")
    return time.perf_counter() - began


def processed(given: list[Path] | None, folder: Path, *simulate: object) -> tuple[Path, Path]:
    if given is not None:
        return given[0], given[1]
    bids, out = folder / "bids", folder / "out"
    call("tools", "simulate", bids, *simulate)
    call("run", bids, out, "participant", "--work-dir", folder / "work", "--skip-bids-validation")
    return bids, out


def table(folder: Path, name: str, *keys: str) -> Table:
    (path,) = (folder / "tables").glob(f"*_desc-{name}_compare.tsv")
    with path.open(encoding="utf-8") as stream:
        return {tuple(row[key] for key in keys): row for row in csv.DictReader(stream, delimiter="\t")}


def pictures(page: str) -> dict[str, int]:
    """Return the bytes of each picture of a page by its anchor, without the name of the part."""
    found = re.findall(r'<figure id="[a-z0-9]+-([^"]+)">.*?base64,([^"]+)"', page, re.DOTALL)
    return {name: len(base64.b64decode(data)) for name, data in found}


def spread(row: dict[str, str], name: str) -> float:
    return (float(row[f"{name}_upper_quartile"]) - float(row[f"{name}_lower_quartile"])) / 1.349


def relaxometry(given: list[Path] | None, keep: Path | None) -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        bids, out = processed(given, Path(scratch))
        compared = (keep or Path(scratch)) / "demo"
        seconds = call(
            "tools", "compare", bids, out, "--output", compared, "--run-label", "pcbssfp", "--train-networks", 4
        )
        (folder,) = compared.iterdir()
        page = (folder / "compare.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
        made = pictures(page)
        rows = [
            Row(
                figure=f"demo, {title}: pictures made",
                unit="",
                bar=AtLeast(len(names)),
                value=float(sum(made.get(name, 0) > 5000 for name in names)),
            )
            for title, names in RELAXOMETRY_FIGURES.items()
        ]
        share = re.search(r"finds the T1 of \S+ within 0.1 % in ([\d.]+) % of the voxels", page)
        assert share is not None
        rows += [
            Row(figure="demo: page", unit="MB", bar=None, value=1e-6 * len(page.encode())),
            Row(figure="demo: time of all parts, one thread", unit="s", bar=None, value=seconds),
            Row(
                figure="demo: voxels whose T1 prepared again is that of OUT_DIR within 0.1 %",
                unit="%",
                bar=AtLeast(95.0),
                value=float(share[1]),
            ),
        ]
        apart = table(folder, "differences", "estimator", "parameter", "tissue")
        for name in dict.fromkeys(key[0] for key in apart if key[0] != "miracle"):
            for parameter in ("T1", "T2"):
                row = apart[name, parameter, "WM"]
                rows.append(
                    Row(
                        figure=f"demo, WM: {parameter} of {name} minus MIRACLE, median",
                        unit="%",
                        bar=None,
                        value=100.0 * float(row["relative_median"]),
                        baseline=f"± {100.0 * float(row['relative_median_standard_error']):.2g} %, spread over voxels "
                        f"{100.0 * spread(row, 'relative'):.2g} %",
                    )
                )
        rows += _fewer(folder) + _noise(folder) + _b1(folder) + _epochs(folder) + _time(folder)
    return rows


def _fewer(folder: Path) -> list[Row]:
    found = table(folder, "cycles", "estimator", "cycles", "parameter", "tissue")
    rows = []
    for cycles in ("6", "4"):
        for parameter in ("T1", "T2"):
            row = found["ml", cycles, parameter, "WM"]
            rows += [
                Row(
                    figure=f"demo, WM, ml: stated sd of {parameter} from {cycles} cycles over that from 12",
                    unit="",
                    bar=Within(1.3, 1.7) if (cycles, parameter) == ("6", "T1") else None,
                    value=float(row["stated_growth_median"]),
                    baseline=f"√(12/{cycles}) = {np.sqrt(12 / int(cycles)):.2f}",
                ),
                Row(
                    figure=f"demo, WM, ml: two sets of {cycles} cycles, difference in {parameter} over stated sd, spread",
                    unit="",
                    bar=AtMost(1.15) if cycles == "6" else None,  # doubt about fluid may make the stated sd larger
                    value=spread(row, "repeat_over_stated"),
                    baseline=f"MIRACLE {spread(found['miracle', cycles, parameter, 'WM'], 'repeat_over_stated'):.2f}",
                ),
            ]
    return rows


def _noise(folder: Path) -> list[Row]:
    found = table(folder, "noise", "estimator", "parameter", "tissue")
    return [
        Row(
            figure=f"demo, {tissue}: sd of {parameter} over draws of added noise over stated sd, {name}",
            unit="",
            bar=Within(0.85, 1.15) if name in ("ml", "pinn") else None,
            value=float(found[name, parameter, tissue]["ratio_median"]),
            baseline=f"± {float(found[name, parameter, tissue]['ratio_median_standard_error']):.2g}",
        )
        for name in dict.fromkeys(key[0] for key in found)
        for parameter in ("T1", "T2")
        for tissue in ("WM", "GM")
    ]


def _b1(folder: Path) -> list[Row]:
    found = table(folder, "b1", "estimator", "factor", "parameter", "tissue")
    rows = []
    for factor in ("0.8", "1.2"):
        expected = 100.0 * (float(factor) ** -2 - 1.0)
        for parameter in ("T1", "T2"):
            row = found["ml", factor, parameter, "WM"]
            low, high = sorted((0.9 * expected, 1.1 * expected)) if parameter == "T1" else (-1.0, 1.0)
            rows.append(
                Row(
                    figure=f"demo, WM, ml: change of {parameter} with B1 × {factor}",
                    unit="%",
                    bar=Within(low, high),
                    value=100.0 * float(row["relative_median"]),
                    baseline=f"small flip angles {expected if parameter == 'T1' else 0.0:.1f} %, MIRACLE "
                    f"{100.0 * float(found['miracle', factor, parameter, 'WM']['relative_median']):.1f} %",
                )
            )
    return rows


def _epochs(folder: Path) -> list[Row]:
    found = table(folder, "epochs", "system", "epoch", "parameter", "tissue")
    last = max(int(key[1]) for key in found)
    return [
        Row(
            figure=f"demo, brain, {system}: agreement of {parameter} after epoch 1 with epoch {last}",
            unit="CoD",
            bar=None,
            value=float(found[system, "1", parameter, "brain"]["agreement"]),
            baseline=f"epoch {last - 1}: {float(found[system, str(last - 1), parameter, 'brain']['agreement']):.4f}",
        )
        for system in dict.fromkeys(key[0] for key in found)
        for parameter in ("T1", "T2")
    ]


def _time(folder: Path) -> list[Row]:
    found = table(folder, "time", "estimator", "kind", "edge")
    return [
        Row(
            figure=f"demo, {name}: time at {edge} mm, extrapolated",
            unit="s",
            bar=None,
            value=float(row["seconds"]),
            baseline=f"± {float(row['seconds_standard_deviation']):.2g} s",
        )
        for (name, kind, edge), row in found.items()
        if kind == "extrapolated" and edge in ("1.3", "0.4")
    ]


def pools(given: list[Path] | None, keep: Path | None) -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        bids, out = processed(given, Path(scratch), "--matrix", 24, 28, 24, "--voxel-size", 8, "--cest", "mrf")
        compared = (keep or Path(scratch)) / "fingerprint"
        call("tools", "compare", bids, out, "--output", compared, "--run-label", "MRF")
        (folder,) = compared.iterdir()
        made = pictures((folder / "compare.html").read_text(encoding="utf-8"))
        rows = [
            Row(
                figure="fingerprint, ways beside each other: pictures made",
                unit="",
                bar=AtLeast(len(POOL_FIGURES)),
                value=float(sum(made.get(name, 0) > 5000 for name in POOL_FIGURES)),
            )
        ]
        found = table(folder, "pools", "way", "parameter", "tissue")
        for way in dict.fromkeys(key[0] for key in found if key[0] != "voxelwise fit"):
            for parameter in ("MT_fraction", "MT_rate", "amide_fraction", "amide_rate"):
                row = found[way, parameter, "WM"]
                fit = float(found["voxelwise fit", parameter, "WM"]["value_median"])
                rows.append(
                    Row(
                        figure=f"fingerprint, WM, {way}: {parameter} minus voxelwise fit, median",
                        unit="%",
                        bar=AtMost(1.0) if way == "pretrained, refined" else None,
                        value=100.0 * float(row["difference_median"]) / fit,
                        baseline=f"spread over voxels {spread(row, 'over_stated'):.2f} of the stated sd",
                    )
                )
        times = table(folder, "poolstime", "way")
        rows += [
            Row(figure=f"fingerprint, {way}: time", unit="s", bar=None, value=float(row["seconds"]))
            for (way,), row in times.items()
        ]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=("relaxometry", "pools"), default=("relaxometry", "pools"))
    parser.add_argument("--demo", nargs=2, type=Path, metavar=("BIDS_DIR", "OUT_DIR"))
    parser.add_argument("--fingerprint", nargs=2, type=Path, metavar=("BIDS_DIR", "OUT_DIR"))
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep pages, tables and maps there")
    options = parser.parse_args()
    if "relaxometry" in options.only:
        save("report_compare", relaxometry(options.demo, options.keep))
    if "pools" in options.only:
        save("report_compare", pools(options.fingerprint, options.keep))


if __name__ == "__main__":
    main()
