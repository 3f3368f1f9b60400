"""What can be imported, and how a row becomes an item of the contract."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from mercato.gateway.v1.product_pb2 import Product
from mercato.gateway.v1.product_service_pb2 import ImportProductsRequest
from mercato.gateway.v1.support_document_pb2 import SupportDocument
from mercato.gateway.v1.support_service_pb2 import ImportDocumentsRequest
from mercato.gateway.v1.user_event_pb2 import UserEvent
from mercato.gateway.v1.user_event_service_pb2 import WriteUserEventStreamRequest

from services.cli.client import Gateway
from services.cli.importing.mapping import MappingError, RowMapping, ValueMismatch, by_name
from services.cli.importing.rejects import RejectsFile, Violation, from_line
from services.cli.importing.rows import Row, Source

MAX_BATCH_BYTES = 2 * 1024 * 1024
_NESTED = re.compile(r"Failed to parse (\w+) field: ")
_UNKNOWN = re.compile(r'has no field named "([^"]*)"(?: at "([^"]*)")?')


@dataclass(frozen=True)
class Kind:
    """One kind of item: its message, its rpc, and the counts that an acknowledgement carries."""

    name: str
    item: type[Message]
    id_field: str
    max_items: int
    counts: tuple[str, ...]
    request: Callable[[Sequence[Any]], Any]
    method: Callable[[Gateway], Any]


PRODUCTS = Kind(
    name="products",
    item=Product,
    id_field="product_id",
    max_items=500,
    counts=("created_count", "updated_count", "unchanged_count"),
    request=lambda items: ImportProductsRequest(products=items),
    method=lambda gateway: gateway.products.ImportProducts,
)
EVENTS = Kind(
    name="events",
    item=UserEvent,
    id_field="event_id",
    max_items=500,
    counts=("accepted_count", "duplicate_count", "quarantined_count"),
    request=lambda items: WriteUserEventStreamRequest(events=items),
    method=lambda gateway: gateway.events.WriteUserEventStream,
)
DOCUMENTS = Kind(
    name="documents",
    item=SupportDocument,
    id_field="document_id",
    max_items=100,
    counts=("created_count", "updated_count", "unchanged_count"),
    request=lambda items: ImportDocumentsRequest(documents=items),
    method=lambda gateway: gateway.support.ImportDocuments,
)
KINDS = {kind.name: kind for kind in (PRODUCTS, EVENTS, DOCUMENTS)}


@dataclass(slots=True)
class Batch:
    """Items that travel together, and where each came from."""

    items: list[Any] = field(default_factory=list)
    origins: list[tuple[str, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.items)


class ItemReader:
    """Turns files into batches; what cannot become an item goes to the rejects."""

    def __init__(self, kind: Kind, mapping: RowMapping | None, rejects: RejectsFile) -> None:
        self._kind = kind
        self._mapping = mapping
        self._rejects = rejects
        self.read = 0
        self.rejected = 0

    def batches(self, sources: Sequence[Source]) -> Iterator[Batch]:
        """Batches of all files in order. Raises CliError for a damaged file."""
        located = ((item, (row.file, row.line)) for source in sources for row, item in self._items(source))
        yield from batched(self._kind, located)

    def _items(self, source: Source) -> Iterator[tuple[Row, Message]]:
        names: dict[frozenset[str], RowMapping] = {}
        tabular = not any(part in source.path.name.lower() for part in (".json", ".ndjson", ".md", ".txt"))
        for row in source.rows():
            self.read += 1
            try:
                values = self._values(row, names, tabular=tabular)
                item = parse_item(self._kind, values)
            except ValueMismatch as error:
                self._reject(row, error.violation)
            except (ValueError, TypeError, LookupError, ArithmeticError) as error:
                # Whatever a value can do to the code that reads it, it costs its own row alone.
                self._reject(row, Violation("", f"cannot be read: {error}", "field.type"))
            else:
                yield row, item

    def _values(self, row: Row, names: dict[frozenset[str], RowMapping], *, tabular: bool) -> dict[str, Any]:
        if row.problem is not None or row.values is None:
            raise ValueMismatch(row.problem or Violation("", "empty", "line.object"))
        if self._mapping is not None:
            return self._mapping.apply(row.values)
        if not tabular:
            return row.values
        columns = frozenset(row.values)
        if columns not in names:
            try:
                names[columns] = by_name(row.values, self._kind.item.DESCRIPTOR)
            except MappingError as error:
                raise ValueMismatch(Violation("", f"{error}; name columns with --map", "field.unknown")) from None
        return names[columns].apply(row.values)

    def _reject(self, row: Row, violation: Violation) -> None:
        found = (row.values or {}).get(self._kind.id_field)
        self.rejected += 1
        self._rejects.add(from_line(row.file, row.line, found if isinstance(found, str) else "", [violation]))


def batched(kind: Kind, items: Iterator[tuple[Any, tuple[str, int]]]) -> Iterator[Batch]:
    """Cuts a stream of items with their origins by number and by bytes."""
    batch, size = Batch(), 0
    for item, origin in items:
        added = item.ByteSize()
        if batch and (len(batch) >= kind.max_items or size + added > MAX_BATCH_BYTES):
            yield batch
            batch, size = Batch(), 0
        batch.items.append(item)
        batch.origins.append(origin)
        size += added
    if batch:
        yield batch


def parse_item(kind: Kind, values: dict[str, Any]) -> Message:
    """An item from the contract's JSON. Raises ValueMismatch for unknown fields and wrong types."""
    try:
        return ParseDict(values, kind.item())
    except (ParseError, TypeError, ValueError, RecursionError) as error:
        raise ValueMismatch(_violation(str(error))) from None


def _violation(message: str) -> Violation:
    text = message.splitlines()[0] if message else "not valid"
    if unknown := _UNKNOWN.search(text):
        above = (unknown[2] or "").partition(".")[2]
        path = f"{above}.{unknown[1]}" if above else unknown[1]
        return Violation(path, "the contract has no such field", "field.unknown")
    path = ".".join(_NESTED.findall(text))
    return Violation(path, _NESTED.sub("", text), "field.type")
