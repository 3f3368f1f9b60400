"""Every method of the contracts has the class that its callers expect."""

import pytest

from shared.context.priority import Priority
from shared.server.limits.classes import class_of


@pytest.mark.parametrize(
    ("priority", "names"),
    [
        (
            Priority.INTERACTIVE,
            "Recommend Search SimilarProducts Ask GetProduct BatchGetProducts WriteUserEvents FindCandidates Rank"
            " GetProfileFeatures EncodeTexts EncodeBehaviour SearchPassages",
        ),
        (
            Priority.STANDARD,
            "UpdateProduct UpdateOffers DeleteProduct ListProducts EraseUserData GetStatus StopRollout",
        ),
        (Priority.BULK, "ImportProducts ImportDocuments WriteUserEventStream EncodeProducts UpsertProducts"),
        (Priority.BACKGROUND, "ExportUserData Train ReadEvents RebuildIndex WatchReleases"),
    ],
)
def test_classes(priority: Priority, names: str) -> None:
    assert {class_of(f"/mercato.gateway.v1.Service/{name}") for name in names.split()} == {priority}
