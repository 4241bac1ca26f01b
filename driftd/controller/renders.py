"""Which application renders the document that declares another one."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.controller.declared import Declared
from driftd.controller.workspace import Workspace
from driftd.errors import DriftdError
from driftd.model.application import Application
from driftd.model.flux import FluxSpec
from driftd.render.trace import Renders, declaring_file, rendered_by


async def renders(
    workspace: Workspace, declared: Declared, application: Application
) -> Renders | None:
    """The application and its source that a document of Git comes from.

    None for what lies in a file as it stands, for live objects, and where more than one source
    could be it.
    """
    above, file = application_above(declared.applications, application), declaring_file(application)
    if above is None or not file:
        return None
    try:
        sources = (await workspace.repositories.resolve(above, declared.urls)).sources
    except DriftdError:
        return None
    found = [one for one in sources if one.source.path and file in one.tree.files]
    return Renders(above, found[0]) if len(found) == 1 else None


def application_above(
    applications: Sequence[Application], application: Application
) -> Application | None:
    """The one that renders another's document; None where none is known, or several could be."""
    found = [one for one in applications if _is_above(one, application)]
    return found[0] if len(found) == 1 else None


def _is_above(above: Application, application: Application) -> bool:
    if above.flux is None or application.flux is None:
        root, _ = rendered_by(application)
        return above.flux is None and application.flux is None and above.name == root
    return (
        above.flux.kind == "Kustomization"
        and f"{above.namespace}/{above.flux.object_name}" == application.flux.applied_by
        and _root(above.name, above.flux) == _root(application.name, application.flux)
    )


def _root(name: str, flux: FluxSpec) -> str:
    """What the names of applications begin with where one repository has several Flux."""
    return name.removeprefix(f"{flux.kind.lower()}/").removesuffix(flux.object_name)
