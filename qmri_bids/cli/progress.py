"""Progress for a person: a bar that lives on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from qmri_bids.engine.steps import Listener

logger = logging.getLogger("qmri_bids")


class TerminalHandler(logging.StreamHandler[TextIO]):
    """Writes lines of the log; on a terminal they stand above a bar.

    Parameters
    ----------
    stream
        Standard error by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream or sys.stderr)
        self.console: Console | None = None
        if self.stream.isatty():
            from rich.console import Console

            self.console = Console(file=self.stream, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        if self.console is None:
            super().emit(record)
        else:
            self.console.print(self.format(record))


class Bar:
    """Progress as the last line of a terminal: how much is done, for how long, and what is being done.

    Parameters
    ----------
    console
        The terminal to which the log goes, too.
    """

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.table import Column

        running = TextColumn(
            "{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
        )
        columns = BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), running
        self._progress = Progress(*columns, console=console, transient=True, expand=True)
        self._task: TaskID = self._progress.add_task("", total=0)
        self._running: list[tuple[str, str]] = []
        self._total = 0

    def start(self, total: int) -> None:
        """Show the bar; a second call adds steps to it."""
        self._total += total
        self._progress.update(self._task, total=self._total)
        self._progress.start()

    def begin(self, label: str, step: str) -> None:
        """Show that a step begins."""
        self._running.append((label, step))
        self._progress.update(self._task, description=self._shown(), refresh=True)

    def end(self, label: str, step: str, *, seconds: float, ok: bool, cached: bool) -> None:
        """Count a step that has ended; one that failed is a line of the log, too."""
        if (label, step) in self._running:
            self._running.remove((label, step))
        if not ok:
            logger.error("%s: %s FAILED (%.1f s)", label, step, seconds)
        else:
            logger.debug("%s: %s done (%.1f s%s)", label, step, seconds, ", kept" if cached else "")
        self._progress.update(self._task, advance=1, description=self._shown(), refresh=True)

    def close(self) -> None:
        """Remove the bar."""
        self._running.clear()
        self._progress.stop()

    def _shown(self) -> str:
        """Return the step that runs longest, which is what a person waits for, and how many others run."""
        if not self._running:
            return ""
        label, step = self._running[0]
        others = len(self._running) - 1
        return f"{label}: {step}" + (f" and {others} more" if others else "")


def progress_listener() -> Listener:
    """Return a bar where the log goes to a terminal, lines of the log elsewhere."""
    from qmri_bids.engine.steps import LogLines

    for handler in logging.getLogger().handlers:
        if isinstance(handler, TerminalHandler) and handler.console is not None:
            return Bar(handler.console)
    return LogLines()
