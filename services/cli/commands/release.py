"""``mercato release``: list, show, promote, rollback, and trials in the shadow or as a canary."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from google.protobuf.message import Message
from mercato.gateway.v1 import operations_service_pb2 as pb
from rich.console import Console

from services.cli.client import ask
from services.cli.output import name_of, table

release_app = typer.Typer(help="See, promote, try and roll back releases.", no_args_is_help=True, rich_markup_mode=None)

ReleaseId = Annotated[str, typer.Argument(help="The release's id, as `mercato release list` shows it.")]
Size = Annotated[int, typer.Option("-n", min=1, max=1000, help="How many.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(release_app, name="release")


@release_app.command("list")
def list_releases(context: typer.Context, page_size: Size = 20) -> None:
    """List releases, newest first."""

    def show(out: Console, answer: Message) -> None:
        assert isinstance(answer, pb.ListReleasesResponse)
        columns = ("release", "made", "kind", "purchases", "people", "products", "gate", "")
        out.print(table("Releases", columns, [_row(one) for one in answer.releases], right=columns[3:6]))

    request = pb.ListReleasesRequest(page_size=page_size)
    ask(context, lambda gateway: gateway.call(gateway.operations.ListReleases, request), show)


@release_app.command("show")
def show_release(
    context: typer.Context, release: Annotated[str, typer.Argument(help="The release; empty: the current one.")] = ""
) -> None:
    """Show one release: what it learnt from, how good it is, what its gate said, what it is made of."""

    def show(out: Console, answer: Message) -> None:
        assert isinstance(answer, pb.GetReleaseResponse)
        _show_release(out, answer.release)

    request = pb.GetReleaseRequest(release_id=release)
    ask(context, lambda gateway: gateway.call(gateway.operations.GetRelease, request), show)


@release_app.command("promote")
def promote(context: typer.Context, release: ReleaseId) -> None:
    """Make a release the current one, whatever its gate said."""

    def show(out: Console, answer: Message) -> None:
        assert isinstance(answer, pb.PromoteReleaseResponse)
        out.print(f"current release: {answer.release.release_id}", markup=False)

    request = pb.PromoteReleaseRequest(release_id=release)
    ask(context, lambda gateway: gateway.call(gateway.operations.PromoteRelease, request), show)


@release_app.command("rollback")
def rollback(context: typer.Context) -> None:
    """Make the release current again that the present one replaced."""

    def show(out: Console, answer: Message) -> None:
        assert isinstance(answer, pb.RollbackReleaseResponse)
        out.print(f"current release: {answer.release.release_id}", markup=False)

    ask(
        context,
        lambda gateway: gateway.call(gateway.operations.RollbackRelease, pb.RollbackReleaseRequest()),
        show,
    )


@release_app.command("try")
def try_release(
    context: typer.Context,
    release: ReleaseId,
    share: Annotated[float, typer.Option(min=0.0001, max=1.0, help="Share of people.")] = 0.05,
    shadow: Annotated[bool, typer.Option("--shadow", help="Compute and compare it, but never show it.")] = False,
) -> None:
    """Try a release beside the current one, as a canary; one that does harm is stopped by itself."""
    mode = pb.ROLLOUT_MODE_SHADOW if shadow else pb.ROLLOUT_MODE_CANARY

    def show(out: Console, answer: Message) -> None:
        assert isinstance(answer, pb.StartRolloutResponse)
        _show_rollout(out, answer.rollout)
        out.print("next: mercato release trial", markup=False)

    request = pb.StartRolloutRequest(release_id=release, mode=mode, share=share)
    ask(context, lambda gateway: gateway.call(gateway.operations.StartRollout, request), show)


@release_app.command("trial")
def trial(context: typer.Context) -> None:
    """Show the latest trial and what it led to so far."""

    def show(out: Console, answer: Message) -> None:
        assert isinstance(answer, pb.GetRolloutResponse)
        _show_rollout(out, answer.rollout)

    ask(context, lambda gateway: gateway.call(gateway.operations.GetRollout, pb.GetRolloutRequest()), show)


@release_app.command("stop")
def stop(context: typer.Context) -> None:
    """End the trial; everybody gets the current release."""

    def show(out: Console, answer: Message) -> None:
        assert isinstance(answer, pb.StopRolloutResponse)
        _show_rollout(out, answer.rollout)

    ask(context, lambda gateway: gateway.call(gateway.operations.StopRollout, pb.StopRolloutRequest()), show)


def _row(release: pb.Release) -> tuple[str, ...]:
    counts = (release.purchase_count, release.user_count, release.product_count)
    return (
        release.release_id,
        release.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M"),
        name_of(release.kind, pb.TrainingKind.keys(), "TRAINING_KIND_"),
        *(f"{count:,}" for count in counts),
        _gate(release),
        "current" if release.current else "",
    )


def _gate(release: pb.Release) -> str:
    if not release.HasField("gate"):
        return "not measured"
    return "passed" if release.gate.passed else "refused"


def _show_release(out: Console, release: pb.Release) -> None:
    """One release, part by part."""
    current = ", current" if release.current else ""
    kind = name_of(release.kind, pb.TrainingKind.keys(), "TRAINING_KIND_")
    out.print(f"{release.release_id} ({kind}{current}), content {release.content_hash[:16]}", markup=False)
    parent = release.parent_release_id or "none"
    until = release.data_end_time.ToDatetime().strftime("%Y-%m-%d %H:%M")
    out.print(f"learnt when {parent} was current, from events until {until}", markup=False)
    card = json.loads(release.data_card) if release.data_card else {}
    if card:
        rows = ", ".join(f"{count:,} {kind.lower()}" for kind, count in card["rows_by_kind"].items())
        out.print(f"{rows}; {card['user_count']:,} people, {card['product_count']:,} products", markup=False)
        out.print(f"data set {card['sha256'][:16]}: {'; '.join(card['provenance']['filters'])}", markup=False)
    out.print(f"gate: {_gate(release)}", markup=False)
    for check in release.gate.checks:
        out.print(f"  {check}", markup=False)
    if release.metrics:
        columns = ("measure", "slice", "model", "value", "95 %", "people")
        measured = [
            (one.name, one.slice, one.model, f"{one.value:.4f}", f"{one.low:.4f} to {one.high:.4f}", f"{one.count:,}")
            for one in release.metrics
        ]
        out.print(table("Measured on the latest days", columns, measured, right=("value", "people")))
    parts = [(one.name, f"{one.size_bytes:,}", one.sha256[:16]) for one in release.artifacts]
    out.print(table("Artifacts", ("name", "bytes", "sha256"), parts, right=("bytes",)))


def _show_rollout(out: Console, rollout: pb.Rollout) -> None:
    mode = name_of(rollout.mode, pb.RolloutMode.keys(), "ROLLOUT_MODE_")
    state = "running" if rollout.running else "ended"
    out.print(
        f"{rollout.release_id} against {rollout.baseline_release_id}: {mode}, {rollout.share:.1%} of people, {state}",
        markup=False,
    )
    if rollout.finding:
        out.print(rollout.finding, markup=False)
    if rollout.arms:
        rows = [
            (arm.release_id, f"{arm.shown_count:,}", f"{arm.clicked_count:,}", f"{arm.purchased_count:,}")
            for arm in rollout.arms
        ]
        columns = ("release", "shown", "clicked", "bought")
        out.print(table("People", columns, rows, right=columns[1:]))
        low, high = rollout.difference_low, rollout.difference_high
        out.print(f"difference in click-through, valid at any time: {low:+.4f} to {high:+.4f}", markup=False)
