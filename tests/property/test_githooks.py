"""Posts of Git servers, broken at random: whatever comes, the answer is never an error of ours.

`WEBHOOK_POSTS` says how many posts of each provider are read (`make prove`: 150,000, so that it is
more than a million of all); the sample of `make test` is always the same one.
"""

from __future__ import annotations

import copy
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from driftd.web.githooks import Refused, read_post
from driftd.web.providers.known import PROVIDERS
from tests.unit.web.posts import headers, recorded
from tests.unit.web.test_githooks import Endpoint

POSTS = int(os.environ.get("WEBHOOK_POSTS", "150"))
OVER_HTTP = 60
VALUES: list[Any] = [
    None, True, 0, -1, 1e308, 2**70, "", "x", "\u0000", "\ud7ff", "https://", "git@", "[::1", [],
    {}, [None], [[]], {"href": None}, {"": 1}, ["https://a/b"], "https://a:99999/b", "x" * 5000,
]  # fmt: skip
NAMES = [
    "repository", "project", "links", "clone", "href", "html", "clone_url", "id", "resource",
    "remoteUrl", "eventType", "object_kind", "git_http_url",
]  # fmt: skip
EVENTS = ["push", "Push Hook", "", "repo:push", "repo:refs_changed", "git.push", "\u00e9", "ping"]


def _places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every key of every table and list of a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in list(items):
        found.append((value, key))
        if isinstance(one, dict | list):
            _places(one, found)
    return found


def broken(provider: str, chance: random.Random) -> bytes:
    """The recorded post with some places removed, replaced or doubled, then some bytes changed."""
    document = recorded(provider)
    for _ in range(chance.randint(1, 4)):
        places = _places(document, [])
        if not places:
            break
        holder, key = chance.choice(places)
        way = chance.random()
        if way < 0.3:
            del holder[key]
        elif way < 0.9 or not isinstance(holder, list):
            holder[key] = copy.deepcopy(chance.choice(VALUES))
        else:
            holder[:] = holder * chance.randint(2, 50)
    body = bytearray(json.dumps(document).encode())
    if chance.random() < 0.3:
        for _ in range(chance.randint(1, 5)):
            body[chance.randrange(len(body))] = chance.randrange(256)
    if chance.random() < 0.1:
        del body[chance.randrange(len(body)) :]
    return bytes(body)


def outcome(provider: str, given_headers: dict[str, str], body: bytes) -> int:
    """The status with which reading a post ends; anything but `Refused` would be a defect."""
    try:
        read_post(PROVIDERS[provider], given_headers, body)
    except Refused as refused:
        return refused.status
    return 202


@pytest.mark.parametrize("provider", PROVIDERS)
def test_s40_broken_posts_are_read_or_refused(provider: str) -> None:
    """S-40: of posts broken at random each is taken or is a 400; both happen."""
    chance = random.Random(f"{provider} 2026")  # noqa: S311
    seen: dict[int, int] = {}
    for _ in range(POSTS):
        body = broken(provider, chance)
        named = headers(provider, body)
        if chance.random() < 0.1:
            named = {name: chance.choice(EVENTS) for name in named}
        status = outcome(provider, named, body)
        seen[status] = seen.get(status, 0) + 1
    assert set(seen) == {202, 400}


@pytest.mark.parametrize("provider", PROVIDERS)
@settings(
    max_examples=max(POSTS // 3, 60),
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(
    document=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(NAMES),
                inner,
                max_size=6,
            )
        ),
    )
)
def test_s40_any_document_is_read_or_refused(provider: str, document: Any) -> None:
    """S-40: any JSON under the names that are read, of any shape, is taken or is a 400."""
    body = json.dumps(document).encode()
    assert outcome(provider, headers(provider, body), body) in {202, 400}


async def test_s40_over_http_nothing_is_an_error_of_ours(tmp_path: Path) -> None:
    """S-40: the same through the whole server: 202 or 400, and it answers on."""
    made, chance = Endpoint(tmp_path), random.Random("over HTTP")  # noqa: S311
    statuses = set()
    async with made.server:
        for number in range(max(OVER_HTTP, POSTS // 100)):
            provider = list(PROVIDERS)[number % len(PROVIDERS)]
            body = broken(provider, chance)
            statuses.add((await made.post(provider, body, headers(provider, body)))[0])
    assert statuses == {202, 400}
