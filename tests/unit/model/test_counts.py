"""Numbers and what they count."""

import pytest

from driftd.model.counts import counted


@pytest.mark.parametrize(
    ("number", "plural", "text"),
    [
        (0, "", "0 entrys"),
        (1, "entries", "1 entry"),
        (2, "entries", "2 entries"),
    ],
)
def test_counted(number, plural, text):
    """One is singular and all else plural, with an s unless another plural is given."""
    assert counted(number, "entry", plural) == text
