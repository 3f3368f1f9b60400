from mercato.errors.v1 import error_reason_pb2

from shared.errors.reasons import Reason

PREFIX = "ERROR_REASON_"


def test_reasons_mirror_the_contract() -> None:
    contract = {
        name.removeprefix(PREFIX)
        for name in error_reason_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"].values_by_name
    } - {"UNSPECIFIED"}
    assert {reason.value for reason in Reason} == contract


def test_each_reason_is_its_own_name() -> None:
    assert all(reason.name == reason.value for reason in Reason)
