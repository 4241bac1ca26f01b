"""The generated pages under `docs/reference/`."""

from pathlib import Path

import jsonschema_rs
import msgspec
import pytest

from driftd.cli import reference
from driftd.model.report import DiffReport, DriftReport

FOLDER = Path(__file__).parents[3] / "docs" / "reference"


@pytest.mark.parametrize("name", sorted(reference.files()))
def test_current(name):
    """The committed page is what `python -m driftd.cli.reference docs/reference` writes."""
    assert (FOLDER / name).read_text(encoding="utf-8") == reference.files()[name]


def test_reports_validate(sample):
    """Every sample report satisfies the published schema."""
    validator = jsonschema_rs.validator_for(reference.schema_of(DriftReport))
    for report in (
        sample.bad_night(),
        sample.report_of(),
        sample.report_of(sample.synced("a", 0), sample.unreachable()),
    ):
        validator.validate(msgspec.to_builtins(report))


def test_diff_reports_validate(sample):
    """A DiffReport satisfies its own schema and not the DriftReport's."""
    document = msgspec.to_builtins(DiffReport(complete=True, resources=(sample.deployment(),)))
    jsonschema_rs.validator_for(reference.schema_of(DiffReport)).validate(document)
    assert not jsonschema_rs.validator_for(reference.schema_of(DriftReport)).is_valid(document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("complete",), "yes"),
        (("applications", 0, "status"), "Broken"),
        (("applications", 0, "resources", 0, "changes", 0, "class"), "unheard-of"),
        (("applications", 0, "resources", 0, "changes", 0, "path"), None),
    ],
)
def test_schema_refuses_other_documents(sample, path, value):
    """The schema is no rubber stamp: a wrong value in each layer is refused."""
    document = msgspec.json.decode(msgspec.json.encode(sample.bad_night()))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert not jsonschema_rs.validator_for(reference.schema_of(DriftReport)).is_valid(document)


def test_writes_the_folder(tmp_path):
    """The script writes every page into the folder it is given."""
    reference.main(tmp_path / "reference")
    folder = tmp_path / "reference"
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}
    assert written == set(reference.files())


def test_report_page_example():
    """The example in `docs/reference/report.md` is a valid report that decodes as one."""
    page = (FOLDER / "report.md").read_text(encoding="utf-8")
    example = page.split("```json\n")[1].split("```")[0]
    report = msgspec.json.decode(example, type=DriftReport)
    document = msgspec.json.decode(example)
    jsonschema_rs.validator_for(reference.schema_of(DriftReport)).validate(document)
    assert report.applications[0].resources[0].changes[0].is_drift


def test_report_page_is_complete():
    """Every status, class, kind and confidence that a report can hold is explained."""
    page = (FOLDER / "report.md").read_text(encoding="utf-8")
    defs = reference.schema_of(DriftReport)["$defs"]
    words = [word for definition in defs.values() for word in definition.get("enum", ())]
    change = defs["Change"]["properties"]["confidence"]["enum"]
    assert [word for word in (*words, *change) if f"`{word}`" not in page] == []
