"""Readable field paths."""

import pytest

from driftd.cli.field_path import readable
from driftd.model.report import Change, ChangeClass, ChangeKind, Invalid


def _change(path, ssa_path=None):
    fields = {} if ssa_path is None else {"ssa_path": ssa_path}
    return Change(kind=ChangeKind.MODIFIED, change_class=ChangeClass.DECLARED, path=path, **fields)


@pytest.mark.parametrize(
    ("path", "ssa_path", "shown"),
    [
        ("/spec/replicas", None, "spec.replicas"),
        ("/spec/template/spec/containers/0/image", None, "containers[0].image"),
        (
            "/spec/template/spec/containers/0/image",
            'f:spec/f:template/f:spec/f:containers/k:{"name":"app"}/f:image',
            "containers[name=app].image",
        ),
        (
            "/spec/template/spec/containers/0/ports/0",
            (
                'f:spec/f:template/f:spec/f:containers/k:{"name":"app"}/f:ports/'
                'k:{"containerPort":80,"protocol":"TCP"}'
            ),
            "containers[name=app].ports[containerPort=80,protocol=TCP]",
        ),
        (
            "/metadata/labels/app.kubernetes.io~1name",
            None,
            'metadata.labels["app.kubernetes.io/name"]',
        ),
        ("/metadata/annotations/a~01b", None, 'metadata.annotations["a~1b"]'),
        (
            "/metadata/finalizers/0",
            'f:metadata/f:finalizers/v:"x~1y"',
            'metadata.finalizers["x/y"]',
        ),
        ("/spec/template", "f:spec/f:template", "spec.template"),
        ("", None, "(whole object)"),
    ],
)
def test_readable(path, ssa_path, shown):
    """List items carry their keys, odd keys are quoted, a workload's Pod template is cut."""
    assert readable(_change(path, ssa_path), group="apps", kind="Deployment") == shown


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        ({"name": "http", "prt": 80}, "spec.ports[name=http]"),
        ({"name": "a/b", "prt": 80}, "spec.ports[name=a/b]"),
        ({"prt": 80}, "spec.ports[2]"),
        ({"protocol": "TCP", "prt": 80}, "spec.ports[protocol=TCP]"),
    ],
)
def test_an_item_whose_key_is_misspelt_is_named_by_what_it_has(item, shown):
    """What the server fills in tells no item from another: the name does, else its place."""
    wrong = Change(
        kind=ChangeKind.MISSING,
        change_class=ChangeClass.DECLARED,
        path="/spec/ports/2",
        desired_path="/spec/ports/2",
        ssa_path='f:spec/f:ports/k:{"protocol":"TCP"}',
        desired=item,
        invalid=Invalid(cause="UnknownField", path="/spec/ports/2/prt", message="no field prt"),
    )
    assert readable(wrong, group="", kind="Service") == shown


def test_pod_template_prefix_stays_for_other_kinds():
    """The same path in a custom resource is printed whole: there it need not be a Pod."""
    change = _change("/spec/template/spec/size")
    assert readable(change, group="example.com", kind="Pool") == "spec.template.spec.size"
