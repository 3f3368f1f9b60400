"""Reads files row by row with bounded memory. A bad row is a row with a problem, and the rest goes on."""

from __future__ import annotations

import csv
import gzip
import math
import tempfile
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from services.cli.errors import CliError
from services.cli.importing.rejects import Violation

MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_UNPACKED_RATIO, MIN_UNPACKED_BYTES = 100, 256 * 1024 * 1024
"""A packed Parquet file may unpack to so many times its size, and to so many bytes in any case."""
TEXT_SUFFIXES = frozenset({".md", ".txt"})
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, pa.ArrowException, OSError)


@dataclass(slots=True)
class Row:
    """One item of a file: its values, or what is wrong with it."""

    file: str
    line: int
    values: dict[str, Any] | None = None
    problem: Violation | None = None


class Source:
    """One file. ``fraction`` says how much of it was read, from 0 to 1."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise CliError(f"{path}: no such file")
        self.path = path
        self._bytes = max(path.stat().st_size, 1)
        self._position = 0

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._bytes

    @property
    def position(self) -> int:
        """Bytes read so far, as they stand on disk."""
        return min(self._position, self._bytes)

    def rows(self) -> Iterator[Row]:
        """All rows. Raises CliError when the file itself is damaged, after the rows before the damage."""
        line = 0
        try:
            with self.path.open("rb") as raw:
                for row in self._read(raw):
                    line = row.line
                    self._position = raw.tell() if not raw.closed else self._bytes
                    yield row
        except DAMAGED as error:
            raise CliError(f"{self.path}: damaged or unreadable after line {line}: {error}") from error
        self._position = self._bytes

    def _read(self, raw: IO[bytes]) -> Iterator[Row]:
        suffixes = [suffix.lower() for suffix in self.path.suffixes]
        packed = suffixes[-1:] == [".gz"]
        kind = (suffixes[:-1] if packed else suffixes)[-1:] or [""]
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if packed else raw
        name = str(self.path)
        if kind[0] in (".jsonl", ".ndjson", ".json"):
            yield from json_rows(name, stream)
        elif kind[0] in (".csv", ".tsv"):
            yield from csv_rows(name, stream, "\t" if kind[0] == ".tsv" else ",")
        elif kind[0] in (".parquet", ".pq"):
            yield from parquet_rows(name, _seekable(stream, self._bytes) if packed else stream)
        elif kind[0] in TEXT_SUFFIXES:
            yield text_row(name, self.path.name.partition(".")[0], stream)
        else:
            raise CliError(
                f"{self.path}: unknown kind of file; known: .jsonl, .csv, .tsv, .parquet, .md, .txt, each also .gz"
            )


def json_rows(name: str, stream: IO[bytes]) -> Iterator[Row]:
    """One JSON object a line; empty lines are passed over."""
    for number, line in enumerate(_lines(stream), 1):
        if line is None:
            yield Row(name, number, problem=_too_long())
        elif line.strip():
            yield _json_row(name, number, line)


def _json_row(name: str, number: int, line: bytes) -> Row:
    try:
        value = orjson.loads(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
    except orjson.JSONDecodeError as error:
        bad_text = not _is_utf8(line)
        rule = "line.utf8" if bad_text else "line.json"
        return Row(name, number, problem=Violation("", "invalid UTF-8" if bad_text else f"invalid JSON: {error}", rule))
    if not isinstance(value, dict):
        return Row(name, number, problem=Violation("", "the line is not a JSON object", "line.object"))
    return Row(name, number, values=value)


def csv_rows(name: str, stream: IO[bytes], delimiter: str) -> Iterator[Row]:
    """Rows by the header's names; an empty cell is left out.

    A stray quote opens a cell that goes on over the lines below it. What such a record cannot be read for costs its
    first line alone: the lines after it are read again by themselves.
    """
    lines = _CsvLines(stream)
    csv.field_size_limit(MAX_LINE_BYTES)
    header = _csv_header(name, lines, delimiter)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(name, lines.first, problem=Violation("", f"invalid CSV: {error}", "line.csv"))
            lines.again()
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            continue
        if not cells and not lines.too_long:
            continue
        row = _csv_row(Row(name, lines.first), header, cells, too_long=lines.too_long)
        yield row
        if row.problem is not None and row.problem.rule == "line.columns":
            lines.again()


def _csv_header(name: str, lines: _CsvLines, delimiter: str) -> list[str]:
    try:
        header = next(csv.reader(lines, delimiter=delimiter, strict=True), None)
    except csv.Error as error:
        raise CliError(f"{name}: the header line is no CSV: {error}") from None
    if not header:
        raise CliError(f"{name}: no header line")
    return header


def _csv_row(row: Row, header: list[str], cells: list[str], *, too_long: bool) -> Row:
    if too_long:
        row.problem = _too_long()
    elif any("\udc80" <= letter <= "\udcff" for cell in cells for letter in cell if letter > "\ud7ff"):
        row.problem = Violation("", "invalid UTF-8", "line.utf8")
    elif len(cells) != len(header):
        row.problem = Violation("", f"{len(cells)} cells, but the header has {len(header)}", "line.columns")
    else:
        row.values = {key: cell for key, cell in zip(header, cells, strict=True) if cell != ""}
    return row


def parquet_rows(name: str, stream: IO[bytes]) -> Iterator[Row]:
    """Rows of all row groups; a null is left out. Binary columns are text in UTF-8, as older writers store it."""
    number = 0
    for batch in pq.ParquetFile(stream).iter_batches(batch_size=500):
        for place in range(batch.num_rows):
            number += 1
            yield _parquet_row(name, number, batch, place)


def _parquet_row(name: str, number: int, batch: pa.RecordBatch, place: int) -> Row:
    kept: dict[str, Any] = {}
    for column, values in zip(batch.schema.names, batch.columns, strict=True):
        try:
            value = values[place].as_py()
            value = value.decode() if isinstance(value, bytes) else value
        except UnicodeDecodeError:
            return Row(name, number, problem=Violation(column, "invalid UTF-8", "line.utf8"))
        except (ValueError, OverflowError) as error:
            return Row(name, number, problem=Violation(column, f"cannot be read: {error}", "field.type"))
        if isinstance(value, float) and not math.isfinite(value):
            return Row(name, number, problem=Violation(column, "not a finite number", "field.finite"))
        if value is not None:
            kept[column] = value
    return Row(name, number, values=kept)


def text_row(name: str, stem: str, stream: IO[bytes]) -> Row:
    """A whole file as one document: its title is the first heading, else the file's name."""
    content = stream.read(MAX_LINE_BYTES + 1)
    if len(content) > MAX_LINE_BYTES:
        return Row(name, 1, problem=_too_long())
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Row(name, line, problem=Violation("text", "invalid UTF-8", "line.utf8"))
    headings = (line.lstrip("#").strip() for line in text.splitlines() if line.startswith("#"))
    return Row(name, 1, values={"document_id": stem, "title": next(headings, "") or stem, "text": text})


class _CsvLines:
    """Lines as text; bytes that are no UTF-8 come as lone surrogates, lines over the limit are cut and noted.

    Remembers the lines of the record that is being read, so that all but the first can be read again.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._lines = _lines(stream)
        self._waiting: deque[str] = deque()
        self._record: list[str] = []
        self.count = 0
        """Number of the line read last."""
        self.too_long = False

    @property
    def first(self) -> int:
        """Number of the record's first line."""
        return self.count - max(len(self._record), 1) + 1

    def begin(self) -> None:
        """A new record begins."""
        self._record.clear()
        self.too_long = False

    def again(self) -> None:
        """The record's lines but the first come again."""
        self._waiting.extendleft(reversed(self._record[1:]))
        self.count -= max(len(self._record) - 1, 0)
        self._record.clear()

    def __iter__(self) -> _CsvLines:
        return self

    def __next__(self) -> str:
        text = self._waiting.popleft() if self._waiting else self._read()
        self.count += 1
        self._record.append(text)
        return text

    def _read(self) -> str:
        line = next(self._lines)
        if line is None:
            self.too_long = True
            return "\n"
        text = line.decode(errors="surrogateescape")
        return text.removeprefix("\ufeff") if self.count == 0 else text


def _lines(stream: IO[bytes]) -> Iterator[bytes | None]:
    """Lines; None for one above the limit, whose rest is passed over without being kept."""
    while line := stream.readline(MAX_LINE_BYTES + 1):
        if len(line) <= MAX_LINE_BYTES:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(MAX_LINE_BYTES)
        yield None


def _seekable(stream: IO[bytes], packed_bytes: int) -> IO[bytes]:
    """Unpacked into a temporary file: Parquet is read from its end. Raises CliError for what unpacks too far."""
    most = max(packed_bytes * MAX_UNPACKED_RATIO, MIN_UNPACKED_BYTES)
    copy = cast(IO[bytes], tempfile.TemporaryFile())  # noqa: SIM115 - closed with the reader that holds it
    while block := stream.read(1 << 20):
        copy.write(block)
        if copy.tell() > most:
            copy.close()
            raise CliError(f"unpacks to more than {MAX_UNPACKED_RATIO} times its {packed_bytes:,} bytes: not imported")
    copy.seek(0)
    return copy


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _too_long() -> Violation:
    return Violation("", f"longer than {MAX_LINE_BYTES // 1024 // 1024} MiB", "line.too_long")
