"""The judge of a redesign: does the program still say and write what it did, to the bit?

    python benchmarks/judge.py run TREE FOLDER [--data DATA] [--only PART ...]
    python benchmarks/judge.py compare OLD NEW
    python benchmarks/judge.py both OLD_COMMIT [--keep FOLDER] [--only PART ...]

`run` calls the programs of the source tree TREE, with this interpreter, on simulated datasets, and leaves what they print and
write in FOLDER, one folder a part and in it one a call. The datasets lie in DATA, by default `data` beside FOLDER; where they
are not there yet, the programs of TREE make them. They are made once and shared: two runs see the same files. `compare` prints
every difference between two such folders and ends with 1 if there is one. `both` compares this tree with an old commit of it.
With `--only` parts or single calls (`b1/none`) are run and compared; a call that reads what another wrote needs that too.

What is run stands in `judge_calls.py`, on what in `judge_data.py`, and what counts as a difference in `judge_compare.py`: what may
differ between any two runs (dates, durations, folders) is left out there, with a reason each, and so are differences that are
wanted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from judge_calls import PARTS, run_parts
from judge_compare import compare, print_differences
from judge_data import make_data

HERE = Path(__file__).resolve().parents[1]
"""The source tree of this script."""


@contextmanager
def old_tree(commit: str) -> Iterator[Path]:
    """Yield a work tree of a commit that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="judge-tree-") as temporary:
        tree = Path(temporary) / "tree"
        git = ("git", "-C", str(HERE), "worktree")
        subprocess.run([*git, "add", "--detach", "--quiet", tree, commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", tree], check=True)


def run(tree: Path, folder: Path, *, data: Path, parts: Sequence[str], jobs: int) -> None:
    make_data(tree, data)
    run_parts(tree, folder, data=data, parts=parts, jobs=jobs)


def judge(old: Path, new: Path, *, parts: Sequence[str] | None = None) -> int:
    differences = compare(old, new, parts=parts)
    print_differences(differences)
    return 1 if any(found.reason is None for found in differences) else 0


def both(commit: str, folder: Path, *, parts: Sequence[str], jobs: int) -> int:
    with old_tree(commit) as tree:
        run(tree, folder / "old", data=folder / "data", parts=parts, jobs=jobs)
    run(HERE, folder / "new", data=folder / "data", parts=parts, jobs=jobs)
    return judge(folder / "old", folder / "new", parts=parts)


def known_part(text: str) -> str:
    """Return what names a part or one of its calls, as it is."""
    part, _, name = text.partition("/")
    if part not in PARTS or (name and name not in [call.name for call in PARTS[part]()]):
        raise argparse.ArgumentTypeError(f"expected a part ({', '.join(PARTS)}) or one of its calls, found {text}")
    return text


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run", help="run the program of a source tree")
    one.add_argument("tree", type=Path)
    one.add_argument("folder", type=Path)
    one.add_argument("--data", type=Path, help="the datasets; default: data beside FOLDER")
    two = commands.add_parser("compare", help="compare two runs")
    two.add_argument("old", type=Path)
    two.add_argument("new", type=Path)
    all_of_it = commands.add_parser("both", help="run an old commit and this tree, and compare")
    all_of_it.add_argument("commit")
    all_of_it.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="where datasets and outputs stay; default: nowhere"
    )
    for command in (one, two, all_of_it):
        command.add_argument(
            "--only", nargs="+", type=known_part, metavar="PART", help=f"of {', '.join(PARTS)}, or calls as part/call"
        )
    for command in (one, all_of_it):
        command.add_argument("--jobs", type=int, default=2, help="calls at one time, each on one core; default: 2")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    options = build_parser().parse_args(arguments)
    if options.command == "compare":
        return judge(options.old.resolve(), options.new.resolve(), parts=options.only)
    parts = tuple(options.only or PARTS)
    if options.command == "run":
        folder = options.folder.resolve()
        data = (options.data or folder.parent / "data").resolve()
        run(options.tree.resolve(), folder, data=data, parts=parts, jobs=options.jobs)
        return 0
    if options.keep is not None:
        return both(options.commit, options.keep.resolve(), parts=parts, jobs=options.jobs)
    with tempfile.TemporaryDirectory(prefix="judge-") as temporary:
        return both(options.commit, Path(temporary).resolve(), parts=parts, jobs=options.jobs)


if __name__ == "__main__":
    sys.exit(main())
