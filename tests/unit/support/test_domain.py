from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.support.calibrate import choose_threshold, fit, left_out
from services.support.domain import Calibration, Document, Evidence, cut_passages, split_sentences, word_coverage

TEXT = """# Returns

## Time
You have 30 days. Keep the receipt.

Opened food cannot be returned.

## Money
""" + " ".join(f"Sentence number {n} says something about money." for n in range(40))


def test_passages_keep_their_headings_and_their_order() -> None:
    passages = cut_passages(TEXT, 60)
    assert passages[0].headings == ("Returns", "Time")
    assert passages[0].text == "You have 30 days. Keep the receipt.\nOpened food cannot be returned."
    assert {passage.headings for passage in passages[1:]} == {("Returns", "Money")}
    assert [passage.number for passage in passages] == list(range(len(passages)))


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=3000), st.integers(20, 60))
def test_no_passage_is_too_long_and_no_word_is_lost(text: str, limit: int) -> None:
    body = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    passages = cut_passages(body, limit)
    assert all(0 < len(passage.text.split()) <= limit for passage in passages)
    assert " ".join(passage.text for passage in passages).split() == body.split()


def test_a_text_without_headings_is_cut_too() -> None:
    assert [passage.headings for passage in cut_passages("One.\n\nTwo.", 50)] == [()]


def test_sentences_are_word_for_word() -> None:
    assert split_sentences("We ship before 2 p.m. It costs 5.95 dollars. Really!\n- an item") == [
        "We ship before 2 p.m.",
        "It costs 5.95 dollars.",
        "Really!",
        "- an item",
    ]


def test_a_changed_text_or_rule_is_another_revision() -> None:
    document = Document("d", "Title", "Text")
    assert document.revision(90) == Document("other", "Title", "Text").revision(90)
    assert len({document.revision(90), document.revision(80), Document("d", "Title", "Text.").revision(90)}) == 3


@pytest.mark.parametrize(
    ("question", "texts", "share"),
    [
        ("Can I return shoes?", ["Returning shoes is easy"], 1.0),
        ("Can I return shoes?", ["Shoes"], 0.5),
        ("Why?", [], 1.0),
    ],
)
def test_word_coverage(question: str, texts: list[str], share: float) -> None:
    assert word_coverage(question, texts) == share


def test_confidence_is_a_probability_whatever_the_evidence() -> None:
    calibration = Calibration((1000.0, 1000.0, 0.0), -1000.0, 0.5)
    assert 0.0 <= calibration.confidence(Evidence(-1.0, -1.0, 0.0)) < 1e-9
    assert calibration.confidence(Evidence(1.0, 1.0, 0.0)) <= 1.0


def test_the_threshold_keeps_wrong_answers_to_one_in_twenty() -> None:
    random = np.random.default_rng(1)
    right = (random.random(200) < 0.6).astype(float)
    features = np.column_stack([right + random.normal(0, 0.4, 200), random.random(200), random.random(200)])
    weights, _ = fit(features, right)
    assert weights[0] > 3 * abs(weights[1])
    confidences = left_out(features, right)
    threshold = choose_threshold(confidences, right)
    answered = confidences >= threshold
    assert np.mean(right[answered] == 0) <= 0.05
    assert np.mean(answered[right == 1]) > 0.5
