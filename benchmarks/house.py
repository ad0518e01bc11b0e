"""The house counted: what a reader of the source tree meets, beside the same count at an earlier commit.

    python benchmarks/house.py [--before COMMIT]

Rows are printed and saved in `results/house.json`. A *module* is a Python file of the package other than `__init__.py`; an
*import* is any import statement of a module, at the top or inside a function, for types alone or not, of another module of the
package. Counting rules, row by row:

modules
    Modules of the package.
thousand lines of Python
    Lines of all Python files of the package, `__init__.py`, docstrings and empty lines included.
lines of Python against before
    The same, divided by that of the earlier commit.
lines of JSON data
    Lines of all JSON files of the package but for those beside network weights, which training writes.
fullest folder
    Modules of the folder that holds most; those of folders inside it are not counted.
modules that one sibling alone imports
    Modules that one module alone imports, where that module lies in the same folder: half of it, and not a room. Tests, benchmarks
    and `__init__.py` import nothing here.
circles of imports
    Groups of modules that import each other in a circle (strongly connected components of more than one module).
arrows upwards
    Imports of a module of a higher layer, or of another part of the same layer (where `|` parts it, not `:`), by the contracts of
    layers in the tree's own `pyproject.toml`. A module that no layer names is an arrow itself: nobody holds it in place.
places that ask the kind of a run
    Calls of `isinstance` and `issubclass` whose second argument names a class of runs, comparisons of `type(…)` with one, class
    patterns of `match`, tables (dict displays) of which a key is one, functions registered to `singledispatch` for one, and
    comparisons of `run.kind`. Classes of runs are those of `KINDS["types of a run"]` and all that inherit from them.
types of a run, …
    Classes of `KINDS` that the tree defines. Every name of that table must be defined in one of both trees.
lines of tests changed
    Lines that differ between both trees in `TEST_FOLDERS`: Python files as `ast.unparse` writes them without import statements
    (so that neither comments nor line breaks count), other files as they are; lines that are gone and lines that are new are both
    counted. Names in `RENAMED` are replaced in the older text before, and tests in `DELETED` are left out of it.

What cannot be counted without a worked example (files that a new estimator, map or kind of run touches) is not here.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import io
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rows import Row, save

HERE = Path(__file__).resolve().parents[1]
PACKAGE = "qmri_bids"
BEFORE = "b3fb140"
"""The tree before the house was redesigned."""

KINDS: Mapping[str, Sequence[str]] = {
    "types of a run": ("PcBssfpRun", "CestRun", "MtrRun", "MtsRun", "ExchangeRun", "B1Run"),
    "types of where a map comes from": ("Offer", "_Offer", "KnownSource", "B0Source", "FieldmapChoice", "Take"),
    "types of a result": (
        "Estimate",
        "RelaxationMaps",
        "ExchangeEstimate",
        "ZSpectrumMaps",
        "B1Estimate",
        "PosteriorMaps",
    ),
    "types of what steps left": (
        "RunFiles",
        "MapFiles",
        "SaturationFiles",
        "ExchangeFiles",
        "RunResults",
        "MapResults",
        "SaturationResults",
        "ExchangeResults",
    ),
}
"""Classes that say one idea, by the idea."""

TEST_FOLDERS = ("physics", "estimation", "preprocessing", "conformance", "e2e", "cli", "bids", "group")
"""Tests that a redesign leaves as they are but for import lines."""

RENAMED: Sequence[tuple[str, str, str]] = ()
"""Names that changed: pattern, what stands in its place, and why. Holds for paths of test files, too."""

DELETED: Mapping[str, str] = {}
"""Tests that are gone with the code that only they used, `tests/folder/file.py` or `tests/folder/file.py::test`, and why."""


@dataclass(frozen=True)
class Import:
    """One module imports another."""

    source: str
    target: str


@dataclass(frozen=True)
class Tree:
    """A source tree."""

    root: Path

    @cached_property
    def package(self) -> Path:
        return self.root / PACKAGE

    @cached_property
    def files(self) -> Mapping[str, Path]:
        """Python files of the package by the dotted name of what they define."""
        found = {}
        for path in sorted(self.package.rglob("*.py")):
            parts = path.relative_to(self.root).with_suffix("").parts
            found[".".join(parts[:-1] if path.name == "__init__.py" else parts)] = path
        return found

    @cached_property
    def modules(self) -> tuple[str, ...]:
        return tuple(name for name, path in self.files.items() if path.name != "__init__.py")

    @cached_property
    def syntax(self) -> Mapping[str, ast.Module]:
        return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in self.files.items()}

    @cached_property
    def imports(self) -> frozenset[Import]:
        return frozenset(
            Import(source, target)
            for source in self.modules
            for target in self._imported(source)
            if target != source and target in self.modules
        )

    def _imported(self, source: str) -> Iterator[str]:
        for node in ast.walk(self.syntax[source]):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                parent = node.module or ""
                if node.level:
                    up = source.split(".")[: -node.level]
                    parent = ".".join([*up, *filter(None, [node.module])])
                # `from package import module` and `from module import name` look alike.
                yield from (f"{parent}.{alias.name}" for alias in node.names)
                yield parent

    @cached_property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        """Names of classes, with those of their bases."""
        found: dict[str, tuple[str, ...]] = {}
        for module in self.syntax.values():
            for node in ast.walk(module):
                if isinstance(node, ast.ClassDef):
                    found[node.name] = found.get(node.name, ()) + tuple(_names(node.bases))
        return found


def _names(nodes: Sequence[ast.AST]) -> list[str]:
    """Return the names that expressions hold, of a dotted one the last."""
    found = []
    for each in (inner for node in nodes for inner in ast.walk(node)):
        if isinstance(each, ast.Name):
            found.append(each.id)
        elif isinstance(each, ast.Attribute):
            found.append(each.attr)
    return found


def lines_of(paths: Sequence[Path]) -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def json_lines(tree: Tree) -> int:
    return lines_of([path for path in tree.package.rglob("*.json") if path.parent.name != "weights"])


def folder_sizes(tree: Tree) -> Counter[str]:
    return Counter(name.rpartition(".")[0] for name in tree.modules)


def half_modules(tree: Tree) -> list[Import]:
    importers = defaultdict(set)
    for found in tree.imports:
        importers[found.target].add(found.source)
    return [
        Import(source, target)
        for target, sources in sorted(importers.items())
        if len(sources) == 1
        for source in sources
        if source.rpartition(".")[0] == target.rpartition(".")[0]
    ]


def circles(tree: Tree) -> list[list[str]]:
    """Return the groups of modules that import each other in a circle (Tarjan's algorithm)."""
    targets = defaultdict(list)
    for found in sorted(tree.imports, key=lambda each: (each.source, each.target)):
        targets[found.source].append(found.target)
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for target in targets[module]:
            if target not in number:
                visit(target)
                lowest[module] = min(lowest[module], lowest[target])
            elif target in stack:
                lowest[module] = min(lowest[module], number[target])
        if lowest[module] == number[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1:
                groups.append(group)

    for module in tree.modules:
        if module not in number:
            visit(module)
    return groups


def arrows_upwards(tree: Tree) -> list[str]:
    """Return the imports that break a contract of layers, and the modules that no layer names."""
    settings = tomllib.loads((tree.root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    found = []
    for contract in (each for each in settings["contracts"] if each["type"] == "layers"):
        layers = [[part.strip(" ()") for part in re.split(r"[|:]", layer)] for layer in contract["layers"]]
        prefixes = [f"{container}." for container in contract.get("containers", [])] or [""]
        place = {
            prefix + part: (prefix, rank, part)
            for prefix in prefixes
            for rank, layer in enumerate(layers)
            for part in layer
        }

        def layer_of(module: str, place: Mapping[str, tuple[str, int, str]] = place) -> tuple[str, int, str] | None:
            parents = (module.rsplit(".", count)[0] for count in range(module.count(".") + 1))
            return next((place[parent] for parent in parents if parent in place), None)

        for each in sorted(tree.imports, key=lambda each: (each.source, each.target)):
            source, target = layer_of(each.source), layer_of(each.target)
            if source is None or target is None or source[0] != target[0] or source[2] == target[2]:
                continue
            side_by_side = source[1] == target[1] and ":" in contract["layers"][source[1]]
            if source[1] >= target[1] and not side_by_side:
                found.append(f"{each.source} → {each.target}")
        if not contract.get("containers"):
            found += [f"{module}: in no layer" for module in tree.modules if layer_of(module) is None]
    return found


def run_classes(tree: Tree) -> frozenset[str]:
    known = {name for name in KINDS["types of a run"] if name in tree.classes}
    while more := {name for name, bases in tree.classes.items() if known & set(bases)} - known:
        known |= more
    return frozenset(known)


def kind_questions(tree: Tree) -> list[str]:
    """Return the places that ask the kind of a run, as `file:line how`."""
    runs = run_classes(tree)

    def names_run(*nodes: ast.AST | None) -> bool:
        return bool(runs & set(_names([node for node in nodes if node is not None])))

    def question(node: ast.AST) -> str | None:
        match node:
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, classes]) if names_run(classes):
                return "isinstance"
            case ast.Dict(keys=keys) if any(
                isinstance(key, ast.Name | ast.Attribute) and names_run(key) for key in keys
            ):
                return "table"
            case ast.MatchClass(cls=pattern) if names_run(pattern):
                return "match"
            case ast.Compare(left=left, comparators=others):
                sides = [left, *others]
                if any(isinstance(side, ast.Call) and _names([side.func]) == ["type"] for side in sides):
                    return "type" if names_run(*sides) else None
                return "run.kind" if any(_is_kind_of_run(side) for side in sides) else None
            case ast.FunctionDef(decorator_list=decorators, args=arguments) if arguments.args:
                registered = [each for each in decorators if "register" in _names([each])]
                if registered and names_run(*registered, arguments.args[0].annotation):
                    return "singledispatch"
        return None

    return [
        f"{tree.files[name].relative_to(tree.root)}:{getattr(node, 'lineno', 0)} {how}"
        for name in tree.files
        for node in ast.walk(tree.syntax[name])
        if (how := question(node))
    ]


def _is_kind_of_run(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "kind" and _names([node.value])[-1:] == ["run"]


class WithoutImports(ast.NodeTransformer):
    """Takes import statements out of a module."""

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if getattr(node, "body", True) == []:
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node


def test_files(tree: Tree) -> dict[str, Path]:
    return {
        path.relative_to(tree.root).as_posix(): path
        for folder in TEST_FOLDERS
        for path in sorted((tree.root / "tests" / folder).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def renamed(text: str) -> str:
    for pattern, replacement, _ in RENAMED:
        text = re.sub(pattern, replacement, text)
    return text


def told(path: Path, *, text: str, without: Sequence[str] = ()) -> list[str]:
    """Return the lines of a test file that count, without the tests named."""
    if path.suffix != ".py":
        return text.splitlines()
    module = ast.parse(text)
    module.body = [node for node in module.body if getattr(node, "name", None) not in without]
    return ast.unparse(WithoutImports().visit(module)).splitlines()


def changed_test_lines(before: Tree, now: Tree) -> dict[str, int]:
    """Return how many lines differ, by file."""
    old = {name: path for name, path in test_files(before).items() if name not in DELETED}
    new = test_files(now)
    texts = {}
    for name, path in old.items():
        gone = [key.partition("::")[2] for key in DELETED if key.startswith(f"{name}::")]
        texts[renamed(name)] = told(path, text=renamed(path.read_text(encoding="utf-8")), without=gone)
    found = {}
    for name in sorted(texts.keys() | new.keys()):
        first = texts.get(name, [])
        second = told(new[name], text=new[name].read_text(encoding="utf-8")) if name in new else []
        found[name] = sum(line[0] in "+-" for line in list(difflib.unified_diff(first, second, n=0))[2:])
    return {name: number for name, number in found.items() if number}


@dataclass(frozen=True)
class Count:
    """What one tree counts, by figure, with what stands behind each number."""

    figures: Mapping[str, float]
    behind: Mapping[str, Sequence[str]]


def count(tree: Tree) -> Count:
    (fullest, most) = folder_sizes(tree).most_common(1)[0]
    behind = {
        "fullest folder": [fullest],
        "modules that one sibling alone imports": [f"{each.target} ← {each.source}" for each in half_modules(tree)],
        "circles of imports": [", ".join(group) for group in circles(tree)],
        "arrows upwards": arrows_upwards(tree),
        "places that ask the kind of a run": kind_questions(tree),
        **{title: [name for name in names if name in tree.classes] for title, names in KINDS.items()},
    }
    figures = {
        "modules": len(tree.modules),
        "thousand lines of Python": lines_of(list(tree.files.values())) / 1000.0,
        "lines of JSON data": json_lines(tree),
        **{name: len(places) for name, places in behind.items()},
        "fullest folder": most,
    }
    return Count(figures, behind)


BARS: Mapping[str, float] = {
    "fullest folder": 15,
    "modules that one sibling alone imports": 25,
    "circles of imports": 0,
    "arrows upwards": 0,
    "places that ask the kind of a run": 0,
    **dict.fromkeys(KINDS, 1),
}
"""Upper limits; the other figures have none."""


def rows(before: Tree, now: Tree, *, commit: str) -> list[Row]:
    for title, names in KINDS.items():
        if missing := [name for name in names if name not in before.classes and name not in now.classes]:
            raise SystemExit(f"KINDS, {title}: expected classes of one of both trees, found no {', '.join(missing)}")
    old, new = count(before), count(now)
    found = [
        Row(figure=name, unit="", bar=BARS.get(name), value=value, baseline=f"{commit}: {old.figures[name]:.4g}")
        for name, value in new.figures.items()
    ]
    share = new.figures["thousand lines of Python"] / old.figures["thousand lines of Python"]
    changed = changed_test_lines(before, now)
    found.insert(
        2, Row(figure="lines of Python against before", unit="", bar=0.88, value=share, baseline=f"{commit}: 1")
    )
    found.append(
        Row(figure="lines of tests changed", unit="", bar=0, value=sum(changed.values()), baseline=f"{commit}: 0")
    )
    return found


def show(before: Tree, now: Tree) -> None:
    """Print what stands behind the numbers of the tree as it is."""
    behind = dict(count(now).behind)
    behind["lines of tests changed"] = [f"{name}: {lines}" for name, lines in changed_test_lines(before, now).items()]
    for name, places in behind.items():
        print(f"\n{name}", *places, sep="\n    ")


def extract(commit: str, folder: Path) -> Tree:
    """Write the files of a commit into a folder."""
    archive = subprocess.run(["git", "-C", str(HERE), "archive", commit], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return Tree(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--before", default=BEFORE, metavar="COMMIT", help="the tree to count beside; default: %(default)s"
    )
    parser.add_argument("--show", action="store_true", help="print what stands behind the numbers, too; save nothing")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="house-") as temporary:
        before, now = extract(options.before, Path(temporary)), Tree(HERE)
        if options.show:
            show(before, now)
        else:
            save("house", rows(before, now, commit=options.before))
    return 0


if __name__ == "__main__":
    sys.exit(main())
