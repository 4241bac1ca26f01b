"""Names to choose from."""

from driftd.model.choices import listed


def test_few_names_are_all_listed():
    """Up to eight names stand in their order, each once."""
    assert listed(["one", "two", "one"]) == "one, two"
    assert listed([]) == ""


def test_the_nearest_come_first():
    """What was meant is found although there are too many names to list."""
    names = [f"cluster-{number}" for number in range(100)] + ["production"]
    told = listed(names, "prodution")
    assert told.startswith("production, cluster-0, ")
    assert told.endswith(" and 93 more")
