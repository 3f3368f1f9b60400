"""Between the contract and the domain. Pure functions; contract messages stop here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mercato.errors.v1 import error_reason_pb2
from mercato.gateway.v1 import item_result_pb2, recommendation_pb2, support_document_pb2
from mercato.gateway.v1 import support_service_pb2 as public_pb2
from mercato.support.v1 import support_service_pb2 as pb

from services.support.domain import Answer, Document, Missing, Outcome, Part
from services.support.ports import Written
from shared.errors.base import Violation
from shared.validation.validator import violations_of_item


def document_from_proto(message: support_document_pb2.SupportDocument) -> Document:
    """Reads a valid document."""
    return Document(message.document_id, message.title, message.text, message.uri, message.language_code)


def document_to_proto(document: Document) -> support_document_pb2.SupportDocument:
    """Writes a document."""
    message = support_document_pb2.SupportDocument(
        document_id=document.document_id,
        title=document.title,
        text=document.text,
        uri=document.uri,
        language_code=document.language_code,
        passage_count=document.passage_count,
    )
    if document.update_time is not None:
        message.update_time.FromDatetime(document.update_time)
    return message


def split_valid(
    messages: Sequence[support_document_pb2.SupportDocument],
) -> tuple[list[Document], list[item_result_pb2.ItemError]]:
    """The valid documents, and an error for each of the others."""
    documents: list[Document] = []
    rejected: list[item_result_pb2.ItemError] = []
    for index, message in enumerate(messages):
        violations = violations_of_item(message)
        if not violations and not message.text.strip():
            violations = [Violation("text", "must hold more than spaces", "support_document.text")]
        if violations:
            rejected.append(_item_error(index, message.document_id, violations))
        else:
            documents.append(document_from_proto(message))
    return documents, rejected


def _item_error(index: int, document_id: str, violations: Sequence[Violation]) -> item_result_pb2.ItemError:
    return item_result_pb2.ItemError(
        index=index,
        item_id=document_id,
        reason=error_reason_pb2.ERROR_REASON_INVALID_REQUEST,
        message="; ".join(f"{item.field}: {item.description}" for item in violations),
        violations=[
            item_result_pb2.FieldViolation(field=item.field, description=item.description, rule=item.rule)
            for item in violations
        ],
    )


def import_response(
    written: Sequence[Written], rejected: Sequence[item_result_pb2.ItemError]
) -> pb.ImportDocumentsResponse:
    """Counts what became of a batch."""
    return pb.ImportDocumentsResponse(
        created_count=sum(item.created for item in written),
        updated_count=sum(item.updated for item in written),
        unchanged_count=sum(item.unchanged for item in written),
        rejected=rejected,
    )


def answer_parts(answer: Answer) -> Iterator[pb.AskResponse]:
    """The stream of an answer: citations, text, conclusion."""
    for number, quote in enumerate(answer.quotes, start=1):
        citation = public_pb2.Citation(
            number=number,
            document_id=quote.passage.document_id,
            title=quote.passage.title,
            headings=quote.passage.headings,
            passage=quote.passage.text,
            score=max(0.0, min(1.0, quote.cosine)),
            uri=quote.passage.uri,
        )
        yield pb.AskResponse(citation=citation)
    for number, quote in enumerate(answer.quotes, start=1):
        separator = "\n" if number > 1 else ""
        text = f"{separator}{' '.join(quote.sentences)} [{number}]"
        yield pb.AskResponse(text=public_pb2.AnswerText(text=text))
    yield pb.AskResponse(
        conclusion=public_pb2.Conclusion(
            outcome=_OUTCOMES[answer.outcome],
            confidence=answer.confidence,
            threshold=answer.threshold,
            handover=answer.handover,
            missing_stages=[_missing_to_proto(answer.missing)] if answer.missing is not None else (),
        )
    )


def _missing_to_proto(missing: Missing) -> recommendation_pb2.MissingStage:
    return recommendation_pb2.MissingStage(
        stage=_STAGES[missing.part], cause=missing.cause, substitute=recommendation_pb2.SUBSTITUTE_HANDOVER
    )


_STAGES = {
    Part.ENCODER: recommendation_pb2.STAGE_ENCODER,
    Part.INDEX: recommendation_pb2.STAGE_RETRIEVAL,
    Part.DOCUMENTS: recommendation_pb2.STAGE_DOCUMENTS,
}
_OUTCOMES = {
    Outcome.ANSWERED: public_pb2.ANSWER_OUTCOME_ANSWERED,
    Outcome.UNANSWERED: public_pb2.ANSWER_OUTCOME_UNANSWERED,
}
