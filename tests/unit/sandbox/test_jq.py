"""jq expressions as ignore rules use them: the paths they select."""

from __future__ import annotations

import msgspec
import pytest

from driftd.sandbox.pool import SandboxPool
from driftd.sandbox.results import JqOutcome

POD = {
    "spec": {
        "containers": [
            {"name": "app", "image": "a:1", "env": [{"name": "A"}]},
            {"name": "mesh", "image": "m:1"},
        ]
    },
    "data": {"password": "hunter2"},
}


async def select(pool: SandboxPool, *expressions: str) -> list[JqOutcome]:
    """What expressions say about the Pod."""
    result = await pool.jq(expressions, [POD], project="team")
    (outcomes,) = result.results
    return list(outcomes)


@pytest.mark.parametrize(
    ("expression", "paths"),
    [
        (".spec.missing", (("spec", "missing"),)),
        ('.spec.containers[] | select(.name == "mesh")', (("spec", "containers", 1),)),
        (
            ".spec.containers[].image",
            (("spec", "containers", 0, "image"), ("spec", "containers", 1, "image")),
        ),
        ("empty", ()),
        (
            '.spec.containers[] | select(.env[]?.name == "A") | .image # comment',
            (("spec", "containers", 0, "image"),),
        ),
        ("def f: .data; f", (("data",),)),
    ],
)
async def test_paths(pool: SandboxPool, expression: str, paths: tuple[object, ...]) -> None:
    """An expression yields the paths that Argo CD would delete."""
    (outcome,) = await select(pool, expression)
    assert outcome == JqOutcome(paths=paths)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expression", "error"),
    [
        (".[", "unexpected EOF"),
        ("def f: f; f", "not done within 1s"),
        ("[range(1e12)]", "not done within 1s"),
        ("range(20000) as $i | .data", "more than 10000 paths"),
        ("input", "input"),
        ('include "x"; .', "include"),
        (".data.password.x", "expected an object"),
        (".a) | (.b", "unexpected"),
        ("1 + 1", "invalid path"),
        ("error(.data.password)", "raised an error"),
        (".data.password | tonumber", "tonumber"),
    ],
)
async def test_errors_are_outcomes(pool: SandboxPool, expression: str, error: str) -> None:
    """What fails is an error of that expression alone; the others of the request are answered."""
    failed, fine = await select(pool, expression, ".data")
    assert error in failed.error
    assert "hunter2" not in failed.error
    assert fine.paths == (("data",),)


async def test_environment_is_empty(pool: SandboxPool) -> None:
    """$ENV and env show nothing."""
    outcomes = await select(
        pool, "if (env | length) == 0 then .data else .spec end", '.[$ENV.PATH // "data"]'
    )
    assert [o.paths for o in outcomes] == [(("data",),), (("data",),)]


async def test_objects_are_matched_one_by_one(pool: SandboxPool) -> None:
    """Results are listed by object, then by expression; numbers of any size pass."""
    raw = [msgspec.Raw(b'{"a":12345678901234567890,"b":1.5}'), msgspec.Raw(b'{"a":1}')]
    result = await pool.jq(["select(.a > 12345678901234567889) | .a", ".b?"], raw, project="team")
    assert [[o.paths for o in outcomes] for outcomes in result.results] == [
        [(("a",),), (("b",),)],
        [(), (("b",),)],
    ]
