"""The shape of the code: small modules and functions, each with its place and its words."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "driftd"
UNIT = ROOT / "tests" / "unit"
MODULE_LINES = 400
FUNCTION_LINES = 60
MODULES = sorted(PACKAGE.rglob("*.py"))
FORBIDDEN_NAMES = {"utils", "common", "core", "helpers", "manager"}
NOISE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)


def name_of(path: Path) -> str:
    """A module as messages name it."""
    return path.relative_to(ROOT).as_posix()


@cache
def parsed(path: Path) -> tuple[str, ast.Module]:
    """A module's source and tree."""
    source = path.read_text()
    return source, ast.parse(source)


@cache
def lines_of(path: Path) -> set[int]:
    """A module's lines that hold code."""
    return code_lines(*parsed(path))


def code_lines(source: str, tree: ast.AST) -> set[int]:
    """The lines that hold code: no blank lines, comments or docstrings."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (*NOISE, tokenize.ENDMARKER, tokenize.ENCODING):
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_code_lines_counts_code_alone() -> None:
    """The measure of this file leaves out what is not code, and keeps values of several lines."""
    head = '"""Docs.\n\nMore.\n"""\n\n# why\nx = """a\nb"""\n'
    source = f'{head}\n\ndef f():\n    """Do."""\n    return x\n'
    assert code_lines(source, ast.parse(source)) == {7, 8, 11, 13}


def test_modules_are_small() -> None:
    """No module has more lines of code than a reader can hold."""
    found = {name_of(path): len(lines_of(path)) for path in MODULES}
    assert {name: lines for name, lines in found.items() if lines > MODULE_LINES} == {}


def test_functions_are_small() -> None:
    """No function has more lines of code than fit on a page; migrations are lists of columns."""
    found = {}
    for path in MODULES:
        if path.parent.name == "versions":
            continue
        lines = lines_of(path)
        for one in functions(parsed(path)[1]):
            size = len(lines & set(range(one.lineno, (one.end_lineno or one.lineno) + 1)))
            found[f"{name_of(path)}:{one.lineno} {one.name}"] = size
    assert {name: size for name, size in found.items() if size > FUNCTION_LINES} == {}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_say_what_they_are(path: Path) -> None:
    """Every module begins with a docstring whose first line is a sentence."""
    text = ast.get_docstring(parsed(path)[1]) or ""
    first, _, rest = text.partition("\n\n")
    assert len(first.split()) >= 2, "the docstring is missing or one word"
    assert first.rstrip()[-1] in ".:", rest


def test_names_are_the_domain_words() -> None:
    """No module or package is named after nothing."""
    named = {path.stem for path in MODULES} | {path.parent.name for path in MODULES}
    assert named & FORBIDDEN_NAMES == set()


def packages() -> list[str]:
    """The packages below `driftd` that hold code of their own."""
    return sorted(
        path.parent.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.glob("*/__init__.py")
        if any(other.name != "__init__.py" for other in path.parent.glob("*.py"))
    )


@pytest.mark.parametrize("package", [name for name in packages() if name != "model"])
def test_unit_tests_mirror_the_packages(package: str) -> None:
    """Each package has its folder of unit tests (`model` holds values without behaviour)."""
    assert list((UNIT / package).glob("test_*.py"))


def test_unit_tests_are_where_their_subject_is() -> None:
    """Each folder of unit tests is a package, and a test lies where what it tests lies."""
    folders = {path.parent.relative_to(UNIT) for path in UNIT.rglob("test_*.py")}
    assert {str(one) for one in folders if not (PACKAGE / one / "__init__.py").exists()} == set()


def test_tests_say_what_they_prove() -> None:
    """Every test has a docstring."""
    silent = [
        f"{name_of(path)}:{one.lineno} {one.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for one in functions(parsed(path)[1])
        if one.name.startswith("test_") and not ast.get_docstring(one)
    ]
    assert silent == []


def test_no_test_is_left_out() -> None:
    """Nothing is skipped or expected to fail: every test proves something or fails."""
    words = [f"pytest.{mark}" for mark in ("skip(", "xfail(")]
    words += [f"mark.{mark}" for mark in ("skip", "xfail")]
    found = [
        f"{name_of(path)}:{number}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if any(word in line for word in words)
    ]
    assert found == []


def test_no_test_sleeps() -> None:
    """Tests wait for conditions and events; the test bed's own wait has a deadline."""
    waits = {"time.sleep", "asyncio.sleep"}
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(parsed(path)[1])
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in waits
        # Letting other tasks run once is no waiting.
        and [ast.unparse(argument) for argument in node.args] != ["0"]
    ]
    assert found == []
