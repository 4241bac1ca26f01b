"""`driftd freeze`, `unfreeze`, `snooze`, `override`, `orders`: what persons tell the guards."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from driftd.cli import calls, exit_code, options
from driftd.cli.store_flags import store_flags

if TYPE_CHECKING:
    from driftd.sync.orders import Order


def _order_flags(*, lasts: bool, reason: bool) -> Any:
    """`--for` and `--reason`, each required or not."""
    flags = (
        options.flag(
            "--reason",
            metavar="TEXT",
            help="Why: it is shown and kept.",
            **({"required": True} if reason else {"default": ""}),
        ),
        options.flag(
            "--for",
            "lasts",
            type=options.Duration(),
            metavar="DURATION",
            required=lasts,
            help="How long, such as 30m or 2h.",
        ),
    )

    def decorate(command: Any) -> Any:
        for flag in flags:
            command = flag(command)
        return command

    return decorate


def _give_flags(command: Any) -> Any:
    return _order_flags(lasts=False, reason=False)(command)


def _override_flags(command: Any) -> Any:
    return _order_flags(lasts=True, reason=True)(command)


@click.command("freeze", short_help="Stop healing: everywhere, on a cluster, or of an application.")
@click.argument("application", metavar="[APP]", required=False)
@options.flag("--cluster", metavar="NAME", default="", help="Only what lives on this cluster.")
@_give_flags
@store_flags
def freeze_command(
    application: str | None,
    cluster: str,
    lasts: float | None,
    reason: str,
    config: Path,
    store: str | None,
) -> int:
    """Stop healing: everywhere, on a cluster, or of an application. What drifts is still told.

    It holds from the next write on, also while the store cannot be used. Without --for it holds
    until `driftd unfreeze`.

    Exit codes: 0; 2 if the order cannot be kept.
    """
    fields = {"application": application or "", "cluster": cluster, "reason": reason}
    return _give(config, store, lasts, {"kind": "freeze", **fields})


@click.command("unfreeze", short_help="Let healing go on where driftd freeze has stopped it.")
@click.argument("application", metavar="[APP]", required=False)
@options.flag("--cluster", metavar="NAME", default="", help="The cluster that was frozen.")
@store_flags
def unfreeze_command(application: str | None, cluster: str, config: Path, store: str | None) -> int:
    """Let healing go on where `driftd freeze` has stopped it: with the same APP and cluster.

    A freeze by settings, file or annotation is taken back where it was made.

    Exit codes: 0; 1 if nothing was frozen there; 2 if the order cannot be kept.
    """
    fields = {"application": application or "", "cluster": cluster}
    return _take_back(config, store, {"kind": "freeze", **fields}, "frozen")


@click.command("snooze", short_help="Leave drift of an application or an object alone for a time.")
@click.argument("application", metavar="APP")
@click.argument("object_", metavar="[KIND/NAME]", required=False)
@_give_flags
@options.flag("--end", is_flag=True, help="End it now.")
@store_flags
def snooze_command(
    application: str,
    object_: str | None,
    lasts: float | None,
    reason: str,
    end: bool,
    config: Path,
    store: str | None,
) -> int:
    """Leave drift of an application or of one object alone for a time: it is told, not healed.

    Exit codes: 0; 1 if there is nothing to end; 2 if the order cannot be kept.
    """
    if end is (lasts is not None):
        raise click.UsageError("needs --for DURATION, or --end")
    fields = {"application": application, "object": _object(object_)}
    if end:
        return _take_back(config, store, {"kind": "snooze", **fields}, "snoozed")
    return _give(config, store, lasts, {"kind": "snooze", "reason": reason, **fields})


@click.command("override", short_help="Let a guard of healing pass what it holds back, for a time.")
@click.argument("application", metavar="APP")
@click.argument("guard", metavar="GUARD")
@_override_flags
@store_flags
def override_command(
    application: str, guard: str, lasts: float, reason: str, config: Path, store: str | None
) -> int:
    """Let a guard pass what it holds back of an application, for a time: GUARD is its number, as
    `driftd history` and `driftd episodes` show it, such as G-04.

    It is recorded before it holds. G-05, G-07, G-17 and G-19 let nobody pass: there the settings,
    Git or the freeze are to be changed.

    Exit codes: 0; 2 if the order cannot be kept or recorded.
    """
    fields = {"application": application, "guard": guard.upper(), "reason": reason}
    return _give(config, store, lasts, {"kind": "override", **fields})


@click.command("orders", short_help="List what persons have ordered: freezes, snoozes, overrides.")
@store_flags
@options.output_format("table", "json", "yaml")
def orders_command(config: Path, store: str | None, output: str) -> int:
    """List what persons have ordered and is in force: freezes, snoozes and overrides.

    Exit codes: 0; 2 if the orders cannot be read.
    """
    found = calls.standing_orders(config, store, datetime.now(UTC))
    if output == "table":
        sys.stdout.writelines(f"{line}\n" for line in _lines(found))
        return exit_code.NO_DRIFT
    from msgspec import to_builtins

    from driftd.cli import formats

    items = [to_builtins(one, builtin_types=()) for one in found]
    document = {"apiVersion": "driftd.io/v1", "kind": "OrderList", "items": items}
    (formats.write_json if output == "json" else formats.write_yaml)(document)
    return exit_code.NO_DRIFT


def _give(config: Path, store: str | None, lasts: float | None, fields: dict[str, Any]) -> int:
    now = datetime.now(UTC)
    until = None if lasts is None else now + timedelta(seconds=lasts)
    given = calls.order(config, store, {**fields, "until": until}, now, _note)
    sys.stdout.write(f"{_told(given)}\n")
    return exit_code.NO_DRIFT


def _take_back(config: Path, store: str | None, fields: dict[str, Any], what: str) -> int:
    now = datetime.now(UTC)
    ended = calls.take_back(config, store, fields, now, _note)
    if not ended:
        sys.stdout.write(f"nothing was {what} there\n")
        sys.stdout.writelines(
            f"in force: {_told(one)}\n"
            for one in calls.standing_orders(config, store, now)
            if one.kind == fields["kind"]
        )
        return exit_code.DRIFT
    sys.stdout.writelines(f"no longer {what}: {one.scope}\n" for one in ended)
    return exit_code.NO_DRIFT


def _note(text: str) -> None:
    click.echo(f"note: {text}", err=True)


def _told(one: Order) -> str:
    from driftd.cli.terminal import printable
    from driftd.clock import rfc3339

    what = {"freeze": "frozen", "snooze": "snoozed", "override": f"{one.guard} overridden for"}
    until = f" until {rfc3339(one.until)}" if one.until is not None else ""
    why = f" ({one.reason})" if one.reason else ""
    return printable(f"{what[one.kind]} {one.scope}{until}, by {one.by}{why}")


def _lines(found: Sequence[Order]) -> list[str]:
    return [_told(one) for one in found] or ["no order is in force"]


def _object(text: str | None) -> str:
    if text and not (text.count("/") in (1, 2) and all(text.split("/"))):
        raise click.BadParameter(
            f"{text!r} names no object; write KIND/NAME or KIND/NAMESPACE/NAME",
            param_hint="'KIND/NAME'",
        )
    return text or ""
