"""New objects of custom kinds that the cluster does not serve: whether Git brings a definition."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Final

from driftd.cluster.reader import Discovery
from driftd.controller.checkout_scopes import may_define
from driftd.controller.desired import definitions
from driftd.controller.preview_pairs import Pair, Touched
from driftd.controller.preview_scopes import Kind
from driftd.controller.workspace import Workspace

_DEFINITION: Final = "CustomResourceDefinition"
_NOWHERE: Final = (
    "neither the cluster nor Git has a CustomResourceDefinition of {kind} ({api}): deploying it "
    "fails unless something else installs that first"
)
_PERHAPS: Final = (
    "the cluster has no CustomResourceDefinition of {kind} ({api}), and whether Git brings one is "
    "not known, since not all of its applications could be rendered: deploying it fails without"
)


async def tell_undefined(
    workspace: Workspace,
    objects: Sequence[Touched],
    known: Sequence[Pair],
    discovery: Discovery | None,
    stand: Callable[[Sequence[Pair]], Awaitable[None]],
    *,
    every: bool,
) -> None:
    """Note at each new object that no definition of its kind is known.

    `known` are all applications of the cluster; those that nothing is known of are rendered by
    `stand`. `every` if there are no others. A definition counts wherever it may be one: in any
    file of the checkout that has all its names, and in what the applications render.
    """
    wanted = {kind for one in objects if (kind := _unserved(one, discovery)) is not None}
    wanted -= set(_declared(known))
    if wanted:
        wanted -= await may_define(workspace, wanted)
    if not wanted:
        return
    await stand([one for one in known if one.new is None and one.standing is None])
    groups = _standing_groups(known)
    whole = every and all(map(_is_whole, known))
    for one in objects:
        kind = _unserved(one, discovery)
        if kind in wanted and kind[0] not in groups and one.new is not None:
            text = _NOWHERE if whole else _PERHAPS
            one.undefined = text.format(kind=kind[1], api=one.new.gvk.api_version)


def _unserved(one: Touched, discovery: Discovery | None) -> Kind | None:
    """The kind of a new object that the cluster is seen not to serve in any version."""
    if discovery is None or one.new is None or one.old is not None:
        return None
    gvk = one.new.gvk
    if "." not in gvk.group or discovery.preferred(gvk.group, gvk.kind) is not None:
        return None
    return None if discovery.failure(gvk.group, gvk.version) else (gvk.group, gvk.kind)


def _declared(known: Sequence[Pair]) -> Iterator[Kind]:
    for pair in known:
        if pair.new is not None:
            yield from definitions((*pair.new.manifests, *pair.new.not_compared))


def _standing_groups(known: Sequence[Pair]) -> Collection[str]:
    """The groups of definitions that applications declare which stay as they are."""
    return {
        key.name.partition(".")[2]
        for pair in known
        for key in pair.standing or ()
        if key.kind == _DEFINITION
    }


def _is_whole(pair: Pair) -> bool:
    if pair.after is None:
        return True
    return pair.new_complete if pair.new is not None else pair.stands
