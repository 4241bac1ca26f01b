"""`docs/reference/trusted-controllers.md`: what trust asks for, and every shipped rule."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

from driftd.diff.relations import RELATIONS
from driftd.diff.trusted import Trust, controllers


def text() -> str:
    """The page as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _page("trusted-controllers")
    for name, relation in RELATIONS.items():
        meaning = " ".join((relation.__doc__ or "").split())
        yield f"| `{name}` | {meaning} |"
    for one in controllers():
        yield f"\n## {one.controller}\n"
        yield f"{one.evidence}\n"
        yield "| Manager | Object | Places | Asked for | Reason |"
        yield "|---|---|---|---|---|"
        for rule in one.writes:
            yield f"| {' | '.join(_cells(rule))} |"
    yield ""
    yield _page("untrusted-writers")


def _page(name: str) -> str:
    return (files("driftd.cli") / "pages" / f"{name}.md").read_text("utf-8").rstrip("\n")


def _cells(rule: Trust) -> Iterator[str]:
    managers = ", ".join(f"`{name}`" for name in rule.managers) or "nobody: the API server"
    how = [*(one for one in rule.operations if one != "Update" or len(rule.operations) > 1)]
    how += [
        f"/{one}" if one else "the object" for one in rule.subresources if any(rule.subresources)
    ]
    yield f"{managers} ({', '.join(how)})" if how else managers
    named = f" `{rule.name}`" if rule.name else ""
    yield ", ".join(_object(one) for one in rule.objects) + named
    yield ", ".join(f"`{_place(path)}`" for path in rule.paths)
    yield "; ".join(_asked(rule)) or "nothing more"
    yield rule.reason


def _object(name: str) -> str:
    return "any" if name == "*" else f"`{name}`"


def _place(path: tuple[str, ...]) -> str:
    """A place as severity rules write it; names with a dot in brackets."""
    return "".join(f"[{n}]" if "." in n else f".{n}" for n in path).lstrip(".")


def _asked(rule: Trust) -> Iterator[str]:
    if rule.named:
        yield f"named: `{rule.named}`"
    if rule.namer:
        yield "value: the name of what names it"
    if rule.values:
        yield "value: `{}`".format(rule.values.replace("|", "\\|"))
    if rule.relation:
        yield f"relation: `{rule.relation}`"
    for one in rule.excepted:
        yield f"except {one.form}: `{_place(one.path)}`"
