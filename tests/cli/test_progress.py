"""The bar on a terminal, and the lines of the log that it must not tear."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator

import pytest

from qmri_bids.cli.progress import Bar, TerminalHandler, progress_listener
from qmri_bids.engine.steps import LogLines

COLUMNS = 70


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """Return the lines as a person sees them, without colours."""
        lines = [""]
        for part in re.split(r"(\n|\r|\x1b\[1A|\x1b\[2K)", re.sub(r"\x1b\[[\d;?]*[mhl]", "", self.getvalue())):
            if part == "\n":
                lines.append("")
            elif part == "\x1b[1A":
                lines.pop()
            elif part in ("\r", "\x1b[2K"):
                lines[-1] = ""
            else:
                lines[-1] += part
        return [line.rstrip() for line in lines]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


@pytest.fixture
def handler(terminal: Terminal) -> TerminalHandler:
    return TerminalHandler(terminal)


@pytest.fixture
def log(handler: TerminalHandler) -> Iterator[logging.Logger]:
    log = logging.getLogger("test_progress")
    log.propagate = False
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    yield log
    log.handlers.clear()


def test_lines_of_the_log_stand_above_the_bar(
    terminal: Terminal, handler: TerminalHandler, log: logging.Logger
) -> None:
    assert handler.console is not None
    bar = Bar(handler.console)
    bar.start(3)
    bar.start(2)  # the engine is called again for runs that are freed of others
    bar.begin("sub-01_VFA", "correct_motion")
    log.info("first line [1/2] with brackets, longer than the terminal is wide: it is not cut")
    bar.begin("sub-02_VFA", "load")
    bar.end("sub-02_VFA", "load", seconds=1.0, ok=True, cached=False)
    bar.begin("sub-02_VFA", "mask")
    log.info("second line")
    first, second, last, *_ = terminal.screen()
    assert first == "first line [1/2] with brackets, longer than the terminal is wide: it is not cut"
    assert second == "second line"
    assert re.match(r"\S+ +1/5 0:00:0\d sub-01_VFA: correct_mo", last)
    assert last.endswith("…")
    assert len(last) <= COLUMNS
    bar.close()
    assert terminal.screen()[:3] == [first, second, ""]
    log.info("third line")
    assert terminal.screen()[2] == "third line"


def test_a_step_that_fails_is_a_line_of_the_log(handler: TerminalHandler, caplog: pytest.LogCaptureFixture) -> None:
    assert handler.console is not None
    bar = Bar(handler.console)
    with caplog.at_level(logging.INFO, logger="qmri_bids"):
        bar.end("sub-01_VFA", "load", seconds=2.0, ok=False, cached=False)
        bar.end("sub-01_VFA", "mask", seconds=2.0, ok=True, cached=False)
    assert caplog.messages == ["sub-01_VFA: load FAILED (2.0 s)"]


def test_a_bar_is_for_terminals_only(handler: TerminalHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [TerminalHandler(io.StringIO())])
    assert isinstance(progress_listener(), LogLines)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    assert isinstance(progress_listener(), Bar)
