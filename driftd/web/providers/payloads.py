"""The repository that a post speaks of. Nothing else in it is read, no revision and no branch.

Each function takes the body and gives the URLs of the repository as the provider writes them.
They raise ValueError for what is no such post.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

Decoded = TypeVar("Decoded")

_MOST_URLS: Final = 16
_LONGEST: Final = 2048
"""Characters of a URL."""


class _Repository(msgspec.Struct, frozen=True):
    clone_url: str | None = None
    html_url: str | None = None
    ssh_url: str | None = None


class _GitHub(msgspec.Struct, frozen=True):
    repository: _Repository


class _GitLabProject(msgspec.Struct, frozen=True):
    git_http_url: str | None = None
    git_ssh_url: str | None = None
    web_url: str | None = None


class _GitLab(msgspec.Struct, frozen=True):
    object_kind: str | None = None
    event_name: str | None = None
    project: _GitLabProject | None = None


class _Link(msgspec.Struct, frozen=True):
    href: str | None = None


class _CloudLinks(msgspec.Struct, frozen=True):
    html: _Link | None = None


class _CloudRepository(msgspec.Struct, frozen=True):
    links: _CloudLinks


class _BitbucketCloud(msgspec.Struct, frozen=True):
    repository: _CloudRepository


class _ServerLinks(msgspec.Struct, frozen=True):
    clone: tuple[_Link, ...] | None = None


class _ServerRepository(msgspec.Struct, frozen=True):
    links: _ServerLinks


class _BitbucketServer(msgspec.Struct, frozen=True):
    repository: _ServerRepository


class _AzureRepository(msgspec.Struct, frozen=True, rename="camel"):
    remote_url: str | None = None
    ssh_url: str | None = None
    web_url: str | None = None


class _AzureResource(msgspec.Struct, frozen=True):
    repository: _AzureRepository | None = None


class _Azure(msgspec.Struct, frozen=True, rename="camel"):
    event_type: str
    id: str | None = None
    resource: _AzureResource | None = None


def github(body: bytes) -> tuple[str, ...]:
    """Of GitHub, Gitea, Forgejo and Gogs."""
    found = _decoded(body, _GitHub).repository
    return _urls(found.clone_url, found.html_url, found.ssh_url)


def gitlab(body: bytes) -> tuple[str, ...]:
    """Of GitLab, by a project's or a system hook."""
    project = _decoded(body, _GitLab).project
    if project is None:
        raise ValueError("there is no project")
    return _urls(project.git_http_url, project.git_ssh_url, project.web_url)


def gitlab_event(body: bytes) -> str:
    """What has happened, in GitLab's words."""
    found = _decoded(body, _GitLab)
    return found.object_kind or found.event_name or ""


def bitbucket_cloud(body: bytes) -> tuple[str, ...]:
    """Of Bitbucket Cloud."""
    link = _decoded(body, _BitbucketCloud).repository.links.html
    return _urls(link.href if link else None)


def bitbucket_server(body: bytes) -> tuple[str, ...]:
    """Of Bitbucket Server or Data Center."""
    links = _decoded(body, _BitbucketServer).repository.links.clone or ()
    return _urls(*(one.href for one in links[:_MOST_URLS]))


def azure(body: bytes) -> tuple[str, ...]:
    """Of Azure DevOps."""
    resource = _decoded(body, _Azure).resource
    found = resource.repository if resource else None
    if found is None:
        raise ValueError("there is no repository")
    return _urls(found.remote_url, found.ssh_url, found.web_url)


def azure_event(body: bytes) -> str:
    """What has happened, in the words of Azure DevOps."""
    return _decoded(body, _Azure).event_type


def azure_delivery(body: bytes) -> str:
    """The id of the post; empty without one."""
    return _decoded(body, _Azure).id or ""


def _decoded(body: bytes, kind: type[Decoded]) -> Decoded:
    try:
        return msgspec.json.decode(body, type=kind)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        # Without its text: a post is not to be repeated.
        raise ValueError(f"it is no post of that kind ({type(error).__name__})") from None


def _urls(*found: str | None) -> tuple[str, ...]:
    urls = tuple(one for one in found if one and len(one) <= _LONGEST)
    if not urls:
        raise ValueError("it names no repository")
    return urls
