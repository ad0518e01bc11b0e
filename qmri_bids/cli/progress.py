"""Progress for a person: a bar that lives on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from qmri_bids.workflows.steps import Listener

logger = logging.getLogger("qmri_bids")

WIDTH = 24
"""Characters of the bar."""

REFRESH = 0.5
"""How often the time that is shown goes on [s]."""


class TerminalHandler(logging.StreamHandler[TextIO]):
    """Writes lines of the log above the last line of the terminal, which a bar may hold.

    Guarded by the lock of the handler, which `logging` makes anew in a process that is forked: a lock of another library could
    stay closed there for ever.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream or sys.stderr)
        self._line = ""
        self._process = os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, and the bar below it again."""
        line = self._line if os.getpid() == self._process else ""
        if line:
            self._draw("")
        super().emit(record)
        if line:
            self._draw(line)

    def show(self, line: str) -> None:
        """Show a last line instead of the one before; an empty one removes it."""
        self.acquire()
        try:
            self._draw(line)
        finally:
            self.release()

    def _draw(self, line: str) -> None:
        self._line = line
        self.stream.write(f"\r\033[K{line}")
        self.stream.flush()


class Bar:
    """Progress as the last line of a terminal: how much is done, what is being done, and for how long.

    Parameters
    ----------
    handler
        Writes the log to the terminal.
    """

    def __init__(self, handler: TerminalHandler) -> None:
        self._handler = handler
        self._total, self._ended = 0, 0
        self._started = time.monotonic()
        self._running: dict[tuple[str, str], float] = {}
        self._stop = threading.Event()
        self._clock: threading.Thread | None = None

    def start(self, total: int) -> None:
        """Show the bar; a second call adds steps to it."""
        self._total += total
        if self._clock is None:
            self._stop.clear()
            self._clock = threading.Thread(target=self._go_on, daemon=True)
            self._clock.start()
        self._show()

    def begin(self, label: str, step: str) -> None:
        """Show that a step begins."""
        self._running[label, step] = time.monotonic()
        self._show()

    def end(self, label: str, step: str, *, seconds: float, ok: bool, cached: bool) -> None:
        """Count a step that has ended; one that failed is a line of the log, too."""
        self._running.pop((label, step), None)
        self._ended += 1
        if not ok:
            logger.error("%s: %s FAILED (%.1f s)", label, step, seconds)
        else:
            logger.debug(
                "%s: %s done (%.1f s%s)", label, step, seconds, ", kept from an earlier call" if cached else ""
            )
        self._show()

    def close(self) -> None:
        """Remove the bar."""
        self._stop.set()
        if self._clock is not None:
            self._clock.join()
            self._clock = None
        self._running.clear()
        self._handler.show("")

    def line(self, *, now: float, columns: int) -> str:
        """Return what the bar shows.

        Parameters
        ----------
        now
            Time by the monotonic clock [s].
        columns
            Width of the terminal.
        """
        ended, total = self._ended, max(self._total, self._ended, 1)
        full = WIDTH * ended // total
        text = f"[{'#' * full}{'-' * (WIDTH - full)}] {ended}/{total} {_clock(now - self._started)}"
        # The step that runs longest is what a person waits for.
        running = sorted(dict(self._running).items(), key=lambda item: item[1])
        if running:
            (label, step), begun = running[0]
            text += f"  {label}: {step} ({_clock(now - begun)})"
        if len(running) > 1:
            text += f" and {len(running) - 1} more"
        return text if len(text) < columns else text[: max(columns - 2, 0)] + "…"

    def _show(self) -> None:
        self._handler.show(self.line(now=time.monotonic(), columns=shutil.get_terminal_size().columns))

    def _go_on(self) -> None:
        while not self._stop.wait(REFRESH):
            self._show()


def progress_listener() -> Listener:
    """Return a bar where the log goes to a terminal, lines of the log elsewhere."""
    from qmri_bids.workflows.steps import LogLines

    for handler in logging.getLogger().handlers:
        if isinstance(handler, TerminalHandler) and handler.stream.isatty():
            return Bar(handler)
    return LogLines()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
