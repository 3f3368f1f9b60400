"""``mercato ask``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from mercato.gateway.v1.support_service_pb2 import ANSWER_OUTCOME_ANSWERED, AskRequest, Citation, Conclusion

from services.cli.client import Gateway, with_gateway
from services.cli.output import console, show_json
from services.cli.settings import settings_of


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("ask")(ask)


def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="What a customer asks.")],
    user: Annotated[str, typer.Option(help="The customer's account.")] = "",
    citations: Annotated[int, typer.Option("-n", min=0, max=1000, help="Most citations; 0: the default.")] = 0,
) -> None:
    """Answer a question from the shop's documents, as the answer comes."""
    settings = settings_of(context)
    request = AskRequest(question=question, user_id=user, max_citations=citations)

    async def work(gateway: Gateway) -> None:
        cited: list[Citation] = []
        async for part in gateway.stream(gateway.support.Ask, request):
            if settings.json:
                show_json(part, one_line=True)
            elif part.HasField("citation"):
                cited.append(part.citation)
            elif part.HasField("text"):
                sys.stdout.write(part.text.text)
                sys.stdout.flush()
            elif part.HasField("conclusion"):
                _conclude(cited, part.conclusion)

    with_gateway(settings, work)


def _conclude(cited: list[Citation], conclusion: Conclusion) -> None:
    out = console()
    out.print()
    if conclusion.outcome != ANSWER_OUTCOME_ANSWERED and conclusion.handover:
        out.print(conclusion.handover, markup=False)
    for citation in cited:
        place = " › ".join([citation.title, *(name for name in citation.headings if name != citation.title)])
        out.print(f"\\[{citation.number}] {place} ({citation.document_id}, {citation.score:.2f})", style="dim")
    out.print(f"confidence {conclusion.confidence:.2f}, threshold {conclusion.threshold:.2f}", style="dim")
