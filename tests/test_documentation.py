"""What documentation and automation name is there: pages, headings, targets of the Makefile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / ".github").rglob("*.md")))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
_TARGET = re.compile(r"^([\w-]+):", re.MULTILINE)
_MAKE = re.compile(r"(?:^|`|run: )make((?: [\w-]+)+)", re.MULTILINE)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def links(page: Path) -> Iterator[str]:
    """Yield where a page points to, but for other sites."""
    for target in _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        if "://" not in target and not target.startswith("mailto:"):
            yield target


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = _HEADING.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def steps(workflow: Path) -> Iterator[str]:
    """Yield the commands of a workflow, those of a matrix with each of its values."""
    for job in yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        for step in job["steps"]:
            commands = [step.get("run", "")]
            for key, values in matrix.items():
                commands = [text.replace(f"${{{{ matrix.{key} }}}}", value) for text in commands for value in values]
            yield from commands


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)} points to {link}"
        assert not anchor or anchor in anchors(target), f"{name(page)} points to {link}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached, open_pages = set(), [ROOT / "README.md"]
    while open_pages:
        page = open_pages.pop()
        reached.add(page)
        targets = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
        open_pages += [target for target in targets if target.suffix == ".md" and target not in reached]
    assert set((ROOT / "docs").glob("*.md")) <= reached
    assert ROOT / "CONTRIBUTING.md" in reached


@pytest.mark.parametrize("page", [*PAGES, ROOT / ".ci" / "run"], ids=name)
def test_targets_of_make_that_are_named_exist(page: Path) -> None:
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    named = {target for line in _MAKE.findall(page.read_text(encoding="utf-8")) for target in line.split()}
    assert named <= targets


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=name)
def test_workflows_may_only_read_and_run_what_a_contributor_can(workflow: Path) -> None:
    content = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    assert content["permissions"] == {"contents": "read"}
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    for command in steps(workflow):
        assert "pip install" not in command, "the Makefile installs, under constraints.txt"
        if command.startswith("make "):
            assert set(command.split()[1:]) <= targets


@pytest.mark.parametrize("form", FORMS, ids=name)
def test_forms_for_issues_are_whole(form: Path) -> None:
    content = yaml.safe_load(form.read_text(encoding="utf-8"))
    if form.name == "config.yml":
        assert set(content) <= {"blank_issues_enabled", "contact_links"}
        return
    assert {"name", "description", "body"} <= set(content)
    questions = [part for part in content["body"] if part["type"] != "markdown"]
    assert len({part["id"] for part in questions}) == len(questions)
    assert all(part["attributes"]["label"] for part in questions)


def test_hooks_run_what_the_development_extra_installs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    programs = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in hooks}
    assert {hook["language"] for hook in hooks} == {"system"}
    assert programs == {"ruff", "mypy", "lint-imports"}
