"""Every public rpc can be called over HTTP, each at paths of its own, in the style of AIP-127 and AIP-136."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from importlib import resources

import pytest
from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, MethodDescriptor

PACKAGE = "mercato.gateway.v1"
PATH = re.compile(r"/v1(/[a-z][A-Za-z]*|/\{[a-z_.]+\})+(:[a-z][A-Za-z]*)?")
VARIABLE = re.compile(r"\{([a-z_.]+)\}")


def public_methods() -> list[MethodDescriptor]:
    files = descriptor_pb2.FileDescriptorSet.FromString((resources.files(PACKAGE) / "descriptors.binpb").read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)  # type: ignore[no-untyped-call]
    own = [pool.FindFileByName(file.name) for file in files.file if file.package == PACKAGE]
    return [method for file in own for service in file.services_by_name.values() for method in service.methods]


METHODS = public_methods()


def bindings(method: MethodDescriptor) -> Iterator[tuple[str, str, http_pb2.HttpRule]]:
    """Verb, path and rule of each way to call the method."""
    # The pool of its own knows no extension classes: parse the options again with those of this process.
    options = descriptor_pb2.MethodOptions.FromString(method.GetOptions().SerializeToString())
    rule = options.Extensions[annotations_pb2.http]
    for each in (rule, *rule.additional_bindings):
        verb = each.WhichOneof("pattern")
        if verb:
            yield verb, getattr(each, verb), each


def field_at(message: Descriptor, path: str) -> object:
    *parents, last = path.split(".")
    for parent in parents:
        message = message.fields_by_name[parent].message_type
    return message.fields_by_name.get(last)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_an_rpc_has_a_path_and_its_variables_are_fields(method: MethodDescriptor) -> None:
    found = list(bindings(method))
    assert found, f"{method.full_name} has no google.api.http annotation"
    for verb, path, rule in found:
        assert PATH.fullmatch(path), path
        for variable in VARIABLE.findall(path):
            assert field_at(method.input_type, variable) is not None, f"{path}: no field {variable}"
        assert (verb in ("post", "patch", "put")) == bool(rule.body), f"{path}: {verb} with body {rule.body!r}"


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_streams_of_requests_take_the_whole_body(method: MethodDescriptor) -> None:
    if method.client_streaming:
        assert [(verb, rule.body) for verb, _, rule in bindings(method)] == [("post", "*")]


def test_no_two_rpcs_share_a_path() -> None:
    places = [(verb, VARIABLE.sub("{}", path)) for method in METHODS for verb, path, _ in bindings(method)]
    assert [place for place, count in Counter(places).items() if count > 1] == []
