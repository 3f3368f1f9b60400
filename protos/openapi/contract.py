"""The descriptors of the public contract with their comments, by full name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2

PACKAGE = "mercato.gateway.v1"
MESSAGES, ENUMS, SERVICES = 4, 5, 6  # field numbers in FileDescriptorProto: parts of a comment's place
FIELDS, NESTED, NESTED_ENUMS, METHODS, VALUES = 2, 3, 4, 2, 2


@dataclass(frozen=True)
class Binding:
    """One way to call a method over HTTP."""

    verb: str
    path: str
    body: str


@dataclass
class Contract:
    """What the image of all contracts holds, ready to look up."""

    messages: dict[str, descriptor_pb2.DescriptorProto] = field(default_factory=dict)
    enums: dict[str, descriptor_pb2.EnumDescriptorProto] = field(default_factory=dict)
    services: dict[str, descriptor_pb2.ServiceDescriptorProto] = field(default_factory=dict)
    """Public ones only."""
    comments: dict[str, str] = field(default_factory=dict)
    """By full name of service, method, message, field, enum and value."""


def read(image: bytes) -> Contract:
    """Reads a ``FileDescriptorSet`` made with source information."""
    contract = Contract()
    for file in descriptor_pb2.FileDescriptorSet.FromString(image).file:
        places = {
            tuple(location.path): _joined(location.leading_comments)
            for location in file.source_code_info.location
            if location.leading_comments
        }
        reader = _Reader(contract, places)
        for index, message in enumerate(file.message_type):
            reader.message(f"{file.package}.{message.name}", message, (MESSAGES, index))
        for index, enum in enumerate(file.enum_type):
            reader.enum(f"{file.package}.{enum.name}", enum, (ENUMS, index))
        for index, service in enumerate(file.service if file.package == PACKAGE else ()):
            reader.service(f"{file.package}.{service.name}", service, (SERVICES, index))
    return contract


def bindings(method: descriptor_pb2.MethodDescriptorProto) -> Iterator[Binding]:
    """The ways to call a method, the main one first."""
    rule: http_pb2.HttpRule = method.options.Extensions[annotations_pb2.http]
    for each in (rule, *rule.additional_bindings):
        if verb := each.WhichOneof("pattern"):
            yield Binding(verb, getattr(each, verb), each.body)


class _Reader:
    """Enters one file's definitions."""

    def __init__(self, contract: Contract, places: dict[tuple[int, ...], str]) -> None:
        self._contract = contract
        self._places = places

    def message(self, name: str, message: descriptor_pb2.DescriptorProto, place: tuple[int, ...]) -> None:
        self._contract.messages[name] = message
        self._comment(name, place)
        for index, member in enumerate(message.field):
            self._comment(f"{name}.{member.name}", (*place, FIELDS, index))
        for index, nested in enumerate(message.nested_type):
            self.message(f"{name}.{nested.name}", nested, (*place, NESTED, index))
        for index, enum in enumerate(message.enum_type):
            self.enum(f"{name}.{enum.name}", enum, (*place, NESTED_ENUMS, index))

    def enum(self, name: str, enum: descriptor_pb2.EnumDescriptorProto, place: tuple[int, ...]) -> None:
        self._contract.enums[name] = enum
        self._comment(name, place)
        for index, value in enumerate(enum.value):
            self._comment(f"{name}.{value.name}", (*place, VALUES, index))

    def service(self, name: str, service: descriptor_pb2.ServiceDescriptorProto, place: tuple[int, ...]) -> None:
        self._contract.services[name] = service
        self._comment(name, place)
        for index, method in enumerate(service.method):
            self._comment(f"{name}.{method.name}", (*place, METHODS, index))

    def _comment(self, name: str, place: tuple[int, ...]) -> None:
        if text := self._places.get(place):
            self._contract.comments[name] = text


def _joined(comment: str) -> str:
    """Paragraphs stay, lines are joined."""
    paragraphs = comment.strip().split("\n \n") if "\n \n" in comment else comment.strip().split("\n\n")
    return "\n\n".join(" ".join(line.strip() for line in paragraph.splitlines()) for paragraph in paragraphs)
