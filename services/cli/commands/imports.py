"""``mercato import products|events|documents``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import orjson
import typer

from services.cli.client import connect
from services.cli.errors import CliError, SomeRejected
from services.cli.importing.items import DOCUMENTS, EVENTS, PRODUCTS, ItemReader, Kind
from services.cli.importing.mapping import MappingError, RowMapping, parse_mapping
from services.cli.importing.rejects import RejectsFile
from services.cli.importing.rows import Source
from services.cli.importing.stream import ImportStream, Tally
from services.cli.output import Meter, console
from services.cli.settings import CliSettings, settings_of

Files = Annotated[
    list[Path], typer.Argument(help="JSON Lines in the contract's form, CSV or Parquet; each may be .gz.")
]
Maps = Annotated[
    list[str] | None,
    typer.Option(
        "--map", help="FIELD=COLUMN[|transform…] or FIELD:=VALUE; may be repeated. Example: 'price=cost|cents:USD'."
    ),
]
Rejects = Annotated[
    Path | None, typer.Option("--rejects", help="Where refused lines go; default <first file>.rejects.jsonl here.")
]


def register(app: typer.Typer) -> None:
    """Adds the group ``import``."""
    group = typer.Typer(help="Import products, events or documents.", no_args_is_help=True, rich_markup_mode=None)

    @group.command("products")
    def products(context: typer.Context, files: Files, maps: Maps = None, rejects: Rejects = None) -> None:
        """Import products."""
        _command(context, PRODUCTS, files, maps, rejects)

    @group.command("events")
    def events(context: typer.Context, files: Files, maps: Maps = None, rejects: Rejects = None) -> None:
        """Import user events."""
        _command(context, EVENTS, files, maps, rejects)

    @group.command("documents")
    def documents(context: typer.Context, files: Files, maps: Maps = None, rejects: Rejects = None) -> None:
        """Import support documents; a .md or .txt file is one document, its id the file's name."""
        _command(context, DOCUMENTS, files, maps, rejects)

    app.add_typer(group, name="import")


def _command(
    context: typer.Context, kind: Kind, files: list[Path], maps: list[str] | None, rejects: Path | None
) -> None:
    settings = settings_of(context)
    try:
        mapping = parse_mapping(maps, kind.item.DESCRIPTOR) if maps else None
    except MappingError as error:
        raise CliError(str(error)) from None
    sources = [Source(path) for path in files]
    with RejectsFile(rejects or Path(f"{files[0].name}.rejects.jsonl")) as sink:
        reader, tally = asyncio.run(import_files(settings, kind, mapping, sources, sink))
    _report(settings, kind, reader, tally, sink)


async def import_files(
    settings: CliSettings, kind: Kind, mapping: RowMapping | None, sources: Sequence[Source], sink: RejectsFile
) -> tuple[ItemReader, Tally]:
    """Sends all files, with progress by bytes read."""
    reader = ItemReader(kind, mapping, sink)
    total = sum(source.size for source in sources)
    async with connect(settings) as gateway:
        with _FileMeter(kind, total, sources) as meter:
            stream = ImportStream(gateway, kind, sink, meter.show)
            await stream.run(reader.batches(sources))
    return reader, stream.tally


class _FileMeter(Meter):
    """Progress in items; how many there will be is estimated from the bytes read so far."""

    def __init__(self, kind: Kind, total_bytes: int, sources: Sequence[Source]) -> None:
        super().__init__(console(stderr=True), f"importing {kind.name}", unit=kind.name)
        self._bytes = total_bytes
        self._sources = sources

    def show(self, tally: Tally, note: str) -> None:
        """After each acknowledgement."""
        fraction = sum(source.position for source in self._sources) / self._bytes
        total = tally.sent / fraction if fraction else None
        refused = f"{tally.rejected} rejected" if tally.rejected else ""
        self.update(tally.answered, total=total, note=note or refused)


def _report(settings: CliSettings, kind: Kind, reader: ItemReader, tally: Tally, sink: RejectsFile) -> None:
    """What became of the lines; raises SomeRejected where there are rejects."""
    counts = {name.removesuffix("_count"): tally.counts[name] for name in kind.counts}
    out = console()
    if settings.json:
        summary = {"read": reader.read, **counts, "rejected": sink.count, "reconnects": tally.reconnects}
        print(orjson.dumps(summary, option=orjson.OPT_INDENT_2).decode())
    else:
        parts = ", ".join(f"{number:,} {name}" for name, number in counts.items())
        out.print(f"{kind.name}: {reader.read:,} read: {parts}, {sink.count:,} rejected", markup=False)
    if sink.count:
        rules = "\n".join(f"  {number:>7,} × {rule}" for rule, number in sink.rules.most_common(8))
        raise SomeRejected(f"{sink.count:,} {kind.name} were rejected, see {sink.path}\n{rules}")
