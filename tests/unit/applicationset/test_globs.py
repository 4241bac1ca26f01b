"""Paths as git generators match them."""

from __future__ import annotations

import pytest

from driftd.applicationset.documents import InvalidDocument
from driftd.applicationset.globs import directories, file_pattern, folder_pattern


def test_directories_are_folders_with_files_and_hidden_ones_are_none() -> None:
    """Parents count, the root and whatever lies below a hidden folder do not."""
    files = ["x", "a/b/c/x", "a/x", ".github/x/y", "a/.hidden/deep/x"]
    assert directories(files) == ["a", "a/b", "a/b/c"]


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("apps/*", "apps/web", True),
        ("apps/*", "apps/web/deep", False),
        ("apps/*", "apps", False),
        ("apps/**", "apps/web/deep", False),
        ("*", "apps", True),
        ("apps/w?b", "apps/web", True),
        ("apps/[a-w]eb", "apps/web", True),
        ("apps/[^w]eb", "apps/web", False),
        ("apps/[!w]eb", "apps/web", True),
        ("a.b", "axb", False),
        ("a[^b]c", "a/c", False),
    ],
)
def test_folders_match_by_segment(pattern: str, path: str, matches: bool) -> None:
    """A star of `directories` never crosses a slash, not even when doubled."""
    assert (folder_pattern(pattern).fullmatch(path) is not None) == matches


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("cfg/*/config.json", "cfg/a/config.json", True),
        ("cfg/*/config.json", "cfg/a/b/config.json", True),
        ("cfg/**/config.json", "cfg/a/b/config.json", True),
        ("**/config.json", "config.json", False),
        ("cfg", "cfg/a/config.json", True),
        ("cfg", "cfgs/a", False),
        ("./cfg/a.json", "cfg/a.json", True),
        ("cfg/[!a].json", "cfg/b.json", True),
    ],
)
def test_files_match_as_git_lists_them(pattern: str, path: str, matches: bool) -> None:
    """A star of `files` crosses slashes, and a folder names everything in it."""
    assert (file_pattern(pattern).fullmatch(path) is not None) == matches


@pytest.mark.parametrize("pattern", ["a[", "a\\", "a[z-a]"])
def test_a_malformed_pattern_is_refused(pattern: str) -> None:
    """A pattern that means nothing is an error that shows it."""
    with pytest.raises(InvalidDocument, match="a"):
        folder_pattern(pattern)
