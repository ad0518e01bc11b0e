"""The page of a group: panels, time, memory and size for 200 and for 10,000 participants, and its statistics against others'.

The records are made from those of four sessions of simulated heads (`--records OUT_DIR`, derivatives of
`qmri-tools simulate --subjects 2 --sessions 2 --t1w --mt mts --cest aptw`), with changed values and a made-up atlas.
Without `--records` they are simulated and processed first, which takes about ten minutes.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rows import AtLeast, AtMost, Row, Within, save
from scipy import stats

HERE = Path(__file__).parent
SITES = ("Tübingen", "Basel", "Zürich")
SEED = 24

WITHIN, BETWEEN = 0.02, 0.05
"""Standard deviations, relative, between sessions of a participant and between participants."""

REGIONS = 20
"""Of the atlas that is made up."""

FAR = "0007"
"""Participant whose values lie apart."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=Path, help="derivatives with the records of which groups are made")
    parser.add_argument(
        "--only", nargs="+", choices=("200", "10000", "statistics"), default=("200", "10000", "statistics")
    )
    parser.add_argument("--keep", type=Path, help="folder for the groups, which are kept there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        records = options.records or processed(folder)
        rows: list[Row] = []
        if "200" in options.only:
            rows += scale(records, folder, number=200, seconds=20.0, megabytes=5.0)
        if "10000" in options.only:
            rows += scale(records, folder, number=10_000, seconds=120.0, megabytes=10.0)
        if "statistics" in options.only:
            rows += statistics(records, folder)
        save("report_group", rows)


def processed(folder: Path) -> Path:
    """Simulate and process two participants of two sessions, and return the derivatives."""
    program = [sys.executable, "-m"]
    size = ["--matrix", "48", "56", "48", "--voxel-size", "4"]
    simulate = ["--subjects", "2", "--sessions", "2", *size, "--t1w", "--mt", "mts", "--cest", "aptw"]
    subprocess.run([*program, "qmri_bids.cli.tools", "simulate", str(folder / "bids"), *simulate], check=True)
    subprocess.run(
        [*program, "qmri_bids.cli.run", str(folder / "bids"), str(folder / "four"), "participant"], check=True
    )
    return folder / "four"


def made(records: Path, folder: Path, *, number: int, sessions: int = 1) -> tuple[Path, Path]:
    """Make a dataset and derivatives of many participants from the records of a few, with changed values."""
    generator = np.random.default_rng(SEED)
    sources = [json.loads(path.read_text()) for path in sorted(records.glob("sub-*/log/sub-*_record.json"))]
    heads = [
        (source, session)
        for source in sources
        for session in dict.fromkeys(run["session"] for run in source["runs"] if run["state"] == "done")
    ]
    output_dir, bids_dir = folder / f"out-{number}-{sessions}", folder / f"bids-{number}-{sessions}"
    for path in (output_dir, bids_dir):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    lines = ["participant_id\tage\tsex\tsite\tgroup"]
    for place in range(number):
        label = f"{place + 1:04d}"
        (bids_dir / f"sub-{label}").mkdir()
        age = "n/a" if place % 17 == 3 else f"{generator.uniform(20, 80):.0f}"
        lines.append(
            f"sub-{label}\t{age}\t{'FM'[place % 2]}\t{SITES[place % 3]}\t{'n/a' if place % 11 == 5 else 'control'}"
        )
        source, session = heads[place % len(heads)]
        record = {key: value for key, value in source.items() if key != "runs"} | {"participant": label, "runs": []}
        between = 1.0 + BETWEEN * generator.standard_normal()
        for repeat in range(sessions):
            factor = between * (1.0 + WITHIN * generator.standard_normal()) * (1.6 if label == FAR else 1.0)
            record["runs"] += changed(source, session, label=label, repeat=repeat, factor=factor, generator=generator)
        if place % 50 == 49:
            record["runs"][0] |= {
                "state": "failed",
                "messages": ["Motion: the images cannot be aligned."],
                "level": "bad",
            }
        write_regions(output_dir, record, generator=generator)
        path = output_dir / f"sub-{label}" / "log" / f"sub-{label}_record.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(record, ensure_ascii=False, indent=2))
        (output_dir / f"sub-{label}.html").write_text("<title>report</title>")
    (bids_dir / "participants.tsv").write_text("\n".join(lines) + "\n")
    (bids_dir / "dataset_description.json").write_text(json.dumps({"Name": "made", "BIDSVersion": "1.10.0"}))
    return bids_dir, output_dir


def changed(
    source: dict[str, Any], session: str, *, label: str, repeat: int, factor: float, generator: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """Yield the runs of one session with other values, under the name of another participant."""
    old = f"sub-{source['participant']}"
    for run in source["runs"]:
        if run["session"] != session or run["state"] != "done":
            continue
        own = copy.deepcopy(run)
        own["session"] = str(repeat + 1)
        own["outputs"] = [
            re.sub(r"ses-\w+?(?=[_/])", f"ses-{repeat + 1}", name.replace(old, f"sub-{label}"))
            for name in run["outputs"]
        ]
        for row in own["statistics"]:
            scale_of = factor * (1.0 + 0.005 * generator.standard_normal())
            for key in ("median", "lower_quartile", "upper_quartile", "mean"):
                row[key] = None if row[key] is None else row[key] * scale_of
        for measure in [*own["measures"], *(each for check in own["checks"] for each in check["measures"])]:
            measure["about"] = measure.get("about", "").replace(old, f"sub-{label}")
            if measure["value"] is not None:
                measure["value"] *= float(np.exp(0.1 * generator.standard_normal()))
        yield own


def write_regions(output_dir: Path, record: dict[str, Any], *, generator: np.random.Generator) -> None:
    """Give the first run of a record a table of the regions of an atlas."""
    run = record["runs"][0]
    name = f"sub-{record['participant']}/anat/sub-{record['participant']}_acq-pcbssfp_atlas-made_stats.tsv"
    lines = ["index\tname\tmap\tsize\tn\tmedian\tiqr\tmean\tsd\tstated_sd\tsem"]
    for quantity, value in (("T1map", 1.1), ("T2map", 0.07)):
        for region in range(1, REGIONS + 1):
            median = value * (1.0 + 0.01 * region) * (1.0 + 0.05 * generator.standard_normal())
            lines.append(
                f"{region}\tregion of number {region}\t{quantity}\t90\t88\t{median:.6g}\t0.1\t{median:.6g}\t0.05\t0.01\t0.02"
            )
    (output_dir / name).parent.mkdir(parents=True, exist_ok=True)
    (output_dir / name).write_text("\n".join(lines) + "\n")
    run["outputs"].append(name)


def scale(records: Path, folder: Path, *, number: int, seconds: float, megabytes: float) -> list[Row]:
    """Collect a group in a process of its own and measure it."""
    bids_dir, output_dir = made(records, folder, number=number)
    measure = (
        "import resource, sys; from qmri_bids.cli.run import main; code = main(sys.argv[1:]); "
        "used = resource.getrusage(resource.RUSAGE_SELF); "
        "print('USED', used.ru_maxrss / 2**20, used.ru_utime + used.ru_stime)"
    )
    start = time.perf_counter()
    command = [sys.executable, "-c", measure, str(bids_dir), str(output_dir), "group"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    taken = time.perf_counter() - start
    used = re.search(r"USED (\S+) (\S+)", done.stdout)
    assert used is not None, done.stderr
    peak, processor = (float(each) for each in used.groups())
    html = (output_dir / "group.html").read_text(encoding="utf-8")
    titles = re.findall(r"<figcaption><strong>(.*?)</figcaption>", html)
    quality = pd.read_csv(output_dir / "group_quality.tsv", sep="\t")
    measures = quality[quality.measure != "quality_mask"].dropna(subset="value")
    tissues = pd.read_csv(output_dir / "group_tissues.tsv", sep="\t").dropna(subset="median")
    scan = ["kind", "series"]
    for table in (measures, tissues):
        table["series"] = table["run"].str.replace(r"_?run-\d+", "", regex=True)
    expected = measures.groupby([*scan, "measure", "of"], dropna=False).ngroups
    expected += 2  # one a map of the atlas
    expected += tissues.groupby([*scan, "map", "tissue"]).ngroups
    single = sum("n = 1<" in title for title in titles)
    files = sum(".nii" in title for title in titles)
    drawn = len(titles)
    name = f"group of {number:,}"
    return [
        Row(
            figure=f"{name}: panels over measures",
            unit="",
            bar=Within(1.0, 1.0),
            value=drawn / expected,
            baseline=f"{drawn}",
        ),
        Row(figure=f"{name}: panels named by a file, or of one run", unit="", bar=0, value=files + single),
        # Of one thread: what the call takes where it has a core to itself, however busy the machine is.
        Row(
            figure=f"{name}: time of the processor",
            unit="s",
            bar=AtMost(seconds),
            value=processor,
            baseline=f"{taken:.0f} s on the clock beside the other jobs of this machine",
        ),
        Row(figure=f"{name}: size of the page", unit="MB", bar=AtMost(megabytes), value=len(html.encode()) / 1e6),
        Row(figure=f"{name}: peak memory", unit="GiB", bar=AtMost(2.0), value=peak),
    ]


def statistics(records: Path, folder: Path) -> list[Row]:
    """Compare the tables with pandas and SciPy, and intervals with what they promise."""
    bids_dir, output_dir = made(records, folder, number=40, sessions=2)
    command = [sys.executable, "-m", "qmri_bids.cli.run", str(bids_dir), str(output_dir), "group"]
    subprocess.run(command, capture_output=True, text=True, check=False)
    retest = pd.read_csv(output_dir / "group_retest.tsv", sep="\t").query("atlas.isna()")
    tissues = pd.read_csv(output_dir / "group_tissues.tsv", sep="\t")
    worst = 0.0
    for row in retest.itertuples():
        own = tissues[(tissues.kind == row.kind) & (tissues["map"] == row.measure) & (tissues.tissue == row.of)]
        wide = own.pivot(index="participant_id", columns="session_id", values="median").dropna()
        pair = wide.to_numpy()
        cov = np.sqrt(np.mean(np.var(pair, axis=1, ddof=1) / np.mean(pair, axis=1) ** 2))
        difference = pair[:, 1] - pair[:, 0]
        checks = [(100.0 * cov, row.wcv), (difference.mean() + 1.96 * difference.std(ddof=1), row.upper_limit)]
        worst = max([worst, *(abs(found / own_value - 1.0) for own_value, found in checks if np.isfinite(found))])
    outliers = pd.read_csv(output_dir / "group_outliers.tsv", sep="\t", dtype={"participant_id": str})
    scored = 0.0
    for row in outliers[outliers.measure.isin(tissues["map"]) & outliers.atlas.isna()].itertuples():
        own = tissues[(tissues.kind == row.kind) & (tissues["map"] == row.measure) & (tissues.tissue == row.of)][
            "median"
        ]
        score = (row.value - own.median()) / stats.median_abs_deviation(own, scale="normal")
        scored = max(scored, abs(row.score / score - 1.0))
    within = float(retest[(retest.measure == "T1") & (retest.of == "white matter")].wcv.iloc[0])
    return [
        Row(figure="within-subject CoV and limits, against pandas", unit="", bar=AtMost(1e-4), value=worst),
        Row(figure="robust scores against SciPy", unit="", bar=AtMost(1e-3), value=scored),
        Row(
            figure="within-subject CoV of T1 in white matter, 40 participants, made with 2.06 %",
            unit="%",
            bar=Within(1.6, 2.6),
            value=within,
        ),
        *coverage(),
    ]


def coverage() -> list[Row]:
    """Count how often the intervals hold the truth: normal errors of 2 % of the mean, two sessions."""
    from qmri_bids.group.retest import limits_of_agreement, within_variation

    generator = np.random.default_rng(SEED + 1)
    rows = []
    for subjects, trials in ((4, 4000), (20, 2000)):
        held_cov = held_limit = 0
        for _ in range(trials):
            truth = 900.0 * (1.0 + 0.05 * generator.standard_normal(subjects))
            pairs = truth[:, None] * (1.0 + WITHIN * generator.standard_normal((subjects, 2)))
            found = within_variation(list(pairs))
            held_cov += found.low <= WITHIN <= found.high
            _, _, upper = limits_of_agreement(generator.standard_normal(subjects))
            held_limit += upper.low <= 1.96 <= upper.high
        what = f"{subjects} participants: 95 % intervals that hold the true"
        bar = AtLeast(93.0)
        rows.append(Row(figure=f"{what} CoV", unit="%", bar=bar, value=100.0 * held_cov / trials))
        rows.append(Row(figure=f"{what} upper limit", unit="%", bar=bar, value=100.0 * held_limit / trials))
    return rows


if __name__ == "__main__":
    main()
