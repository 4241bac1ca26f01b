"""What a Pod as a whole requests, where it limits its resources as a whole."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.diff.podresources import completed

WHOLE = {"limits": {"cpu": "4", "memory": "4Gi"}}


def container(**resources: Any) -> dict[str, Any]:
    """A container with these limits and requests."""
    return {"name": "a", "image": "a:1", "resources": resources}


def spec(*containers: dict[str, Any], init: Any = (), whole: Any = WHOLE) -> dict[str, Any]:
    """A Pod's spec."""
    return {"containers": list(containers), "initContainers": list(init), "resources": whole}


LIVE = {**WHOLE, "requests": {"cpu": "any", "memory": "any"}}


def requests(wanted: dict[str, Any]) -> Any:
    """The requests that are expected of the Pod as a whole."""
    return completed(wanted, LIVE)["requests"]


def test_containers_are_summed_and_limits_fill_the_rest() -> None:
    """Requests of all containers together; what none of them requests is the Pod's limit."""
    pod = spec(container(requests={"cpu": "100m"}), container(limits={"cpu": "1"}))
    assert requests(pod) == {"cpu": "1.100", "memory": "4Gi"}


def test_what_git_requests_stays() -> None:
    """Only resources that Git leaves out are derived."""
    pod = spec(container(), whole={**WHOLE, "requests": {"cpu": "2"}})
    assert requests(pod) == {"cpu": "2", "memory": "4Gi"}


@pytest.mark.parametrize(
    ("init", "cpu"),
    [
        ([container(requests={"cpu": "5"})], "5"),
        ([container(requests={"cpu": "500m"})], "1"),
        ([{**container(requests={"cpu": "2"}), "restartPolicy": "Always"}], "3"),
        (
            [
                {**container(requests={"cpu": "2"}), "restartPolicy": "Always"},
                container(requests={"cpu": "3"}),
            ],
            "5",
        ),
    ],
)
def test_init_containers_and_sidecars(init: Any, cpu: str) -> None:
    """The largest init container counts if it needs more; sidecars run beside all others."""
    assert requests(spec(container(requests={"cpu": "1"}), init=init))["cpu"] == cpu


def test_huge_pages_follow_the_containers_limits() -> None:
    """Huge pages are limited as the containers limit them, and requested as limited."""
    pod = spec(container(limits={"hugepages-2Mi": "4Mi"}))
    live = {
        "limits": {**WHOLE["limits"], "hugepages-2Mi": "4Mi"},
        "requests": {"hugepages-2Mi": "4Mi"},
    }
    derived = completed(pod, live)
    assert derived["limits"] == {"cpu": "4", "memory": "4Gi", "hugepages-2Mi": "4194304"}
    assert derived["requests"] == {"hugepages-2Mi": "4194304"}


def test_nothing_is_derived_where_nothing_is_limited() -> None:
    """Without limits of its own the Pod requests nothing, and what live lacks is not expected."""
    assert completed(spec(container(limits={"cpu": "1"}), whole={}), LIVE) == {}
    assert completed(spec(container(limits={"cpu": "1"})), WHOLE) == WHOLE
