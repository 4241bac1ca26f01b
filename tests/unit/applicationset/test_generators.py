"""Generators that Git alone decides, on trees in memory and with the real sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from driftd.applicationset.documents import InvalidDocument
from driftd.applicationset.generators import normalised, parameters, printed
from driftd.applicationset.inputs import Inputs
from driftd.errors import SourceError
from driftd.model.tree import Tree
from driftd.sandbox.pool import SandboxPool

URL = "https://git.example.com/gitops.git"
FILES = {
    "README.md": b"",
    "apps/web/map.yaml": b"",
    "apps/api_v2/base/map.yaml": b"",
    "apps/old/map.yaml": b"",
    "envs/prod/config.json": b'{"cluster": {"name": "p", "size": 3}, "zones": ["a", "b"]}',
    "envs/dev/config.yaml": b"---\n# two\n- name: d1\n- name: d2\n",
    "envs/bad/broken.yaml": b"a: [",
}


@pytest.fixture
async def inputs() -> AsyncIterator[Inputs]:
    """Reads one repository at HEAD."""

    async def read(repo_url: str, revision: str) -> Tree:
        if (repo_url, revision) != (URL, "HEAD"):
            raise SourceError(f"no checkout is known for {repo_url}")
        return Tree("t", FILES)

    async with SandboxPool(size=1) as sandbox:
        yield Inputs(sandbox, read)


async def given(generator: dict[str, Any], inputs: Inputs) -> list[dict[str, str]]:
    """The sets of parameters."""
    return [found for _, found in await parameters(generator, "g", inputs)]


def git(**fields: Any) -> dict[str, Any]:
    """A git generator of the repository."""
    return {"git": {"repoURL": URL, **fields}}


async def test_directories(inputs: Inputs) -> None:
    """Each folder that matches and is not excluded yields its path, names and segments."""
    directories = [{"path": "apps/*"}, {"path": "apps/old", "exclude": True}]
    found = await given(git(directories=directories, values={"ns": "x-{{path.basename}}"}), inputs)
    assert found == [
        {
            "path": "apps/api_v2",
            "path.basename": "api_v2",
            "path.basenameNormalized": "api-v2",
            "path[0]": "apps",
            "path[1]": "api_v2",
            "values.ns": "x-api_v2",
        },
        {
            "path": "apps/web",
            "path.basename": "web",
            "path.basenameNormalized": "web",
            "path[0]": "apps",
            "path[1]": "web",
            "values.ns": "x-web",
        },
    ]


async def test_files(inputs: Inputs) -> None:
    """A file yields its content flattened, a list of maps one set each, with the file's names."""
    found = await given(git(files=[{"path": "envs/*/config.*"}], pathParamPrefix="at"), inputs)
    assert [one.get("name") for one in found] == ["d1", "d2", None]
    prod = found[2]
    assert prod["cluster.size"] == "3"
    assert (prod["zones.0"], prod["zones.1"]) == ("a", "b")
    assert (prod["at.path"], prod["at.path.basename"]) == ("envs/prod", "prod")
    assert prod["at.path.filename"] == "config.json"
    assert prod["at.path[1]"] == "prod"


async def test_a_matrix_combines_and_fills_the_second(inputs: Inputs) -> None:
    """The second generator may use what the first one yields."""
    matrix = {
        "generators": [
            {"list": {"elements": [{"env": "prod"}]}},
            git(files=[{"path": "envs/{{env}}/config.json"}]),
        ]
    }
    (found,) = await given({"matrix": matrix}, inputs)
    assert (found["env"], found["cluster.name"]) == ("prod", "p")


async def test_a_merge_overrides_what_has_the_same_keys(inputs: Inputs) -> None:
    """Later generators override fields of the first one's sets, and add none."""
    merge = {
        "mergeKeys": ["path.basename"],
        "generators": [
            git(directories=[{"path": "apps/*"}], values={"size": "1"}),
            {"list": {"elements": [{"path.basename": "web", "values.size": "9"}]}},
            {"list": {"elements": [{"path.basename": "absent", "values.size": "9"}]}},
        ],
    }
    found = await given({"merge": merge}, inputs)
    assert {one["path.basename"]: one["values.size"] for one in found} == {
        "api_v2": "1",
        "old": "1",
        "web": "9",
    }


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        (git(), "g.git has neither directories nor files"),
        (git(directories=[{}]), r"g.git.directories\[0\].path is missing"),
        (git(files=[{"path": "envs/bad/*"}]), "envs/bad/broken.yaml: "),
        (git(files=[{"path": "x"}], revision="v1"), "g.git: no checkout is known for"),
        ({"matrix": {"generators": [{"list": {}}]}}, "needs two generators"),
        ({"merge": {"generators": [{}, {}]}}, "mergeKeys is missing"),
        (
            {"matrix": {"generators": [{"list": {}}] * 3}},
            "has more than two generators",
        ),
        (
            {
                "matrix": {
                    "generators": [
                        {"list": {"elements": [{"a": "1"}]}},
                        {"list": {"elements": [{"a": "2"}]}},
                    ]
                }
            },
            "yields another value for a",
        ),
    ],
)
async def test_what_is_wrong_is_named(
    inputs: Inputs, generator: dict[str, Any], message: str
) -> None:
    """A generator that yields nothing certain is an error that names the field or file."""
    with pytest.raises(InvalidDocument, match=message):
        await given(generator, inputs)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (True, "true"),
        (None, "<nil>"),
        (0, "0"),
        (1.5, "1.5"),
        (-20, "-20"),
        (100000, "100000"),
        (1000000, "1e+06"),
        (123456789, "1.23456789e+08"),
        (0.00001, "1e-05"),
        ("a", "a"),
    ],
)
def test_values_print_as_in_go(value: Any, text: str) -> None:
    """Numbers of files become the texts that Argo CD makes of them."""
    assert printed(value) == text


def test_names_are_normalised() -> None:
    """What no DNS label may hold becomes a dash, and ends are trimmed."""
    assert normalised("_My_App.v2-") == "my-app.v2"
