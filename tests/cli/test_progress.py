"""The bar on a terminal, and the lines of the log that it must not tear."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator

import pytest

from qmri_bids.cli.progress import Bar, TerminalHandler, progress_listener
from qmri_bids.workflows.steps import LogLines


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """Return the lines as a person sees them."""
        return [re.split(r"\r\033\[K", line)[-1] for line in self.getvalue().split("\n")]


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    log = logging.getLogger("test_progress")
    log.propagate = False
    log.setLevel(logging.INFO)
    yield log
    log.handlers.clear()


def test_lines_of_the_log_stand_above_the_bar(log: logging.Logger) -> None:
    terminal = Terminal()
    handler = TerminalHandler(terminal)
    log.addHandler(handler)
    bar = Bar(handler)
    bar.start(4)
    bar.begin("sub-01_VFA", "correct_motion")
    log.info("first line")
    bar.begin("sub-02_VFA", "load")
    bar.end("sub-02_VFA", "load", seconds=1.0, ok=True, cached=False)
    log.info("second line")
    first, second, last = terminal.screen()
    assert (first, second) == ("first line", "second line")
    assert re.fullmatch(r"\[#{6}-{18}\] 1/4 00:0\d  sub-01_VFA: correct_motion \(00:0\d\)", last)
    bar.close()
    assert terminal.screen() == ["first line", "second line", ""]
    log.info("third line")
    assert terminal.screen()[2:] == ["third line", ""]


def test_the_bar_names_the_step_that_runs_longest_and_fits_the_terminal() -> None:
    bar = Bar(TerminalHandler(Terminal()))
    bar.start(3)
    bar.start(2)  # the engine is called again for runs that are freed of others
    bar.close()
    now = bar._started
    assert bar.line(now=now + 3725.0, columns=200) == f"[{'-' * 24}] 0/5 1:02:05"
    bar.begin("sub-01_VFA", "estimate")
    bar.begin("sub-02_VFA", "load")
    assert bar.line(now=now, columns=200).endswith("sub-01_VFA: estimate (00:00) and 1 more")
    line = bar.line(now=now, columns=50)
    assert len(line) < 50
    assert line.endswith("…")


def test_a_step_that_fails_is_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    bar = Bar(TerminalHandler(Terminal()))
    with caplog.at_level(logging.INFO, logger="qmri_bids"):
        bar.end("sub-01_VFA", "load", seconds=2.0, ok=False, cached=False)
        bar.end("sub-01_VFA", "mask", seconds=2.0, ok=True, cached=False)
    assert caplog.messages == ["sub-01_VFA: load FAILED (2.0 s)"]


def test_a_bar_is_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [TerminalHandler(io.StringIO())])
    assert isinstance(progress_listener(), LogLines)
    monkeypatch.setattr(logging.getLogger(), "handlers", [TerminalHandler(Terminal())])
    assert isinstance(progress_listener(), Bar)
