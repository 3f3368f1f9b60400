"""How answers and progress are shown."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.type.money_pb2 import Money
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

PIPE_WIDTH = 150
PLAIN_SECONDS = 5.0


def console(*, stderr: bool = False) -> Console:
    """A console that does not cut tables to 80 columns when piped."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else PIPE_WIDTH, soft_wrap=False)


def show_json(message: Message, *, one_line: bool = False) -> None:
    """The message as the contract's JSON on standard output."""
    text = MessageToJson(message, preserving_proto_field_name=True, ensure_ascii=False, indent=None if one_line else 2)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> Table:
    """A plain table; columns named in ``right`` are set to the right."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def money(value: Money) -> str:
    """``4.99 USD``; empty when there is none."""
    if not value.currency_code:
        return ""
    return f"{value.units + value.nanos / 1e9:,.2f} {value.currency_code}"


def name_of(number: int, names: Sequence[str], prefix: str) -> str:
    """An enum value for people: ``CHANNEL_BUY_AGAIN`` becomes ``buy again``."""
    full = names[number] if 0 <= number < len(names) else str(number)
    return full.removeprefix(prefix).replace("_", " ").lower()


class Meter:
    """Progress of one long step with rate and time left: a bar on a terminal, a line every few seconds elsewhere."""

    def __init__(self, where: Console, title: str, *, total: float | None = None, unit: str = "") -> None:
        self._console = where
        self._title = title
        self._total = total
        self._unit = unit
        self._began = self._shown = time.monotonic()
        self._done = 0.0
        self._note = ""
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            columns = ("{task.description}", "{task.fields[amount]}", "{task.fields[note]}")
            texts = [TextColumn(column, markup=False) for column in columns]
            self._bar = Progress(
                texts[0], BarColumn(30), texts[1], TimeRemainingColumn(), texts[2], console=self._console
            )
            self._task = self._bar.add_task(self._title, total=self._total, amount="", note="")
            self._bar.start()
        else:
            self._console.print(f"{self._title} ...", markup=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif kind is None:
            self._line("done")

    def update(self, done: float, *, total: float | None = None, note: str = "") -> None:
        """``done`` counts from the start of the step."""
        self._done, self._note = done, note
        self._total = total if total is not None else self._total
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=self._total, amount=self._amount(), note=note)
        elif time.monotonic() - self._shown >= PLAIN_SECONDS:
            self._line(self._left())

    def _amount(self) -> str:
        seconds = max(time.monotonic() - self._began, 1e-3)
        of = f"/{self._total:,.0f}" if self._total else ""
        rate = f", {self._done / seconds:,.0f}/s" if self._unit else ""
        return f"{self._done:,.0f}{of} {self._unit}{rate}".replace(" ,", ",")

    def _left(self) -> str:
        if not self._total or self._done <= 0:
            return ""
        seconds = (self._total - self._done) / self._done * (time.monotonic() - self._began)
        return f"about {max(seconds, 0):.0f} s left"

    def _line(self, tail: str) -> None:
        self._shown = time.monotonic()
        elapsed = self._shown - self._began
        parts = [part for part in (self._amount() if self._unit else "", self._note, tail) if part]
        self._console.print(f"{self._title}: {'; '.join(parts)} ({elapsed:.0f} s)", markup=False)
