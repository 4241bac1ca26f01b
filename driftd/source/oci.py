"""An OCI registry's pull side: tags, manifests, blobs and referrers, with its token login."""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import Any
from urllib.parse import urlencode, urljoin

import msgspec

from driftd.errors import SourceError
from driftd.source.archive import ArchiveLimits
from driftd.source.egress import Answer, Egress, Reach, origin_of
from driftd.source.helmrepo import verified
from driftd.source.kept import KeptCharts
from driftd.source.process import MIB
from driftd.source.url import printable

HELM_CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
HELM_CHART_OLD = "application/tar+gzip"
CONTENT_TYPES = (
    HELM_CHART,
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.cncf.flux.content.v1.tar+gzip",
)
"""Layers that hold files of an artifact."""

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST_BYTES = 4 * MIB
_TAGS = 50_000
_PAGES = 200
_NAME = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_NEXT = re.compile(r'<([^>]*)>\s*;\s*rel="?next"?')
_PARAMETER = re.compile(r'([a-z_]+)="([^"]*)"')


class Layer(msgspec.Struct, frozen=True, rename="camel"):
    """A descriptor of a manifest."""

    media_type: str = ""
    digest: str = ""
    size: int = 0


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """An image manifest as far as artifacts need it."""

    media_type: str = ""
    artifact_type: str = ""
    config: Layer = Layer()
    layers: tuple[Layer, ...] = ()


class Referrer(msgspec.Struct, frozen=True, rename="camel"):
    """Something that refers to a manifest: a signature, an attestation, a list of parts."""

    media_type: str = ""
    digest: str = ""
    size: int = 0
    artifact_type: str = ""
    annotations: dict[str, str] = {}


class _TagList(msgspec.Struct, frozen=True):
    tags: tuple[str, ...] | None = None


class _ReferrerList(msgspec.Struct, frozen=True):
    manifests: tuple[Referrer, ...] | None = None


class _Token(msgspec.Struct, frozen=True):
    token: str = ""
    access_token: str = ""


def is_digest(text: str) -> bool:
    """Whether a reference is a digest that this client verifies."""
    return _DIGEST.match(text) is not None


def checked_repository(name: str) -> str:
    """A repository's name in a registry. Raises SourceError for one that no registry has."""
    if not _NAME.match(name) or len(name) > 255:
        raise SourceError(
            f"{printable(name)!r} is not the name of a repository in an OCI registry",
            hint="use oci://HOST/PATH, in lower case",
            reason="InvalidURL",
        )
    return name


class OciRepository:
    """One repository of a registry, as one set of credentials sees it."""

    def __init__(
        self, base: str, name: str, reach: Reach, egress: Egress, kept: KeptCharts | None = None
    ) -> None:
        """`base` is the registry's http or https URL, `name` the repository's name in it.

        `kept` has what it has sent before.
        """
        self._kept = kept or KeptCharts(None, base, "")
        self._base = base.rstrip("/")
        self._path = checked_repository(name)
        self.name = f"{base.partition('://')[2].rstrip('/')}/{name}"
        self._reach = reach
        self._egress = egress
        self._authorization = ""
        self._login = asyncio.Lock()

    async def tags(self) -> list[str]:
        """All tags, page by page. Raises SourceError."""
        found: list[str] = []
        url = f"{self._base}/v2/{self._path}/tags/list?n=1000"
        for _ in range(_PAGES):
            answer = await self._ask(url, f"tags of {self.name}", _MANIFEST_BYTES)
            found += self._decode(answer, _TagList, "tags").tags or ()
            more = _NEXT.search(answer.headers.get("link", ""))
            if more is None or len(found) > _TAGS:
                break
            url = urljoin(url, more[1])
            if origin_of(url) != self._reach.origin:
                raise SourceError(f"tags of {self.name}: the next page lies on another server")
        if len(found) > _TAGS:
            raise SourceError(
                f"{self.name} has more than {_TAGS:,} tags",
                hint="name the tag or digest instead of a range",
                reason="LimitExceeded",
            )
        return found

    async def resolve(self, reference: str) -> tuple[str, Manifest]:
        """The digest and the manifest of a tag or digest. Raises SourceError."""
        if not (_TAG.match(reference) or is_digest(reference)):
            raise SourceError(
                f"{self.name}: {printable(reference)!r} is neither a tag nor a sha256 digest",
                reason="InvalidRevision",
            )
        what = f"{self.name}:{reference}" if _TAG.match(reference) else f"{self.name}@{reference}"
        if is_digest(reference) and (known := await self._kept.content(reference)) is not None:
            return self._manifest(Answer(200, {}, known), what, reference)
        answer = await self._ask(
            f"{self._base}/v2/{self._path}/manifests/{reference}",
            what,
            _MANIFEST_BYTES,
            {"Accept": f"{_MANIFEST}, {_INDEX}"},
        )
        announced = answer.headers.get("docker-content-digest", "")
        found = self._manifest(answer, what, reference if is_digest(reference) else announced)
        await self._kept.keep_content(found[0], answer.body)
        return found

    def _manifest(self, answer: Answer, what: str, expected: str) -> tuple[str, Manifest]:
        """The digest and content of a manifest, held to the digest that is expected of it."""
        digest = f"sha256:{hashlib.sha256(verified(answer.body, expected, what)).hexdigest()}"
        manifest = self._decode(answer, Manifest, "manifest")
        kind = manifest.media_type or answer.headers.get("content-type", "").partition(";")[0]
        if kind not in {_MANIFEST, ""}:
            raise SourceError(
                f"{what} is a {printable(kind)}, not a chart or an artifact",
                hint="push it with `helm push` or as a single artifact",
                reason="UnsupportedSource",
            )
        return digest, manifest

    async def blob(self, layer: Layer, limits: ArchiveLimits) -> bytes:
        """A layer's bytes, size and digest verified. Raises SourceError."""
        what = f"content of {self.name}"
        if not is_digest(layer.digest):
            raise SourceError(f"{what}: the digest {printable(layer.digest)!r} is not sha256")
        if layer.size > limits.packed:
            raise SourceError(
                f"{what} is larger than {limits.packed // MIB} MiB", reason="LimitExceeded"
            )
        known = await self._kept.content(layer.digest)
        if known is not None:
            return known
        answer = await self._ask(
            f"{self._base}/v2/{self._path}/blobs/{layer.digest}", what, limits.packed
        )
        data = verified(answer.body, layer.digest, what)
        await self._kept.keep_content(layer.digest, data)
        return data

    async def referrers(self, digest: str, artifact_type: str = "") -> tuple[Referrer, ...]:
        """What refers to a manifest, as signatures do; of one type, or everything.

        Registries without the referrers API are asked for the tag that stands in for it.
        Raises SourceError.
        """
        if not is_digest(digest):
            raise SourceError(f"{self.name}: {printable(digest)!r} is not a sha256 digest")
        what = f"referrers of {self.name}@{digest}"
        query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
        accept = {"Accept": _INDEX}
        # Registries that do not know the API answer 404, some of them 400, 405 or 501.
        unknown = frozenset({200, 400, 404, 405, 501})
        answer = await self._ask(
            f"{self._base}/v2/{self._path}/referrers/{digest}{query}",
            what,
            _MANIFEST_BYTES,
            accept,
            unknown,
        )
        if answer.status != 200:
            answer = await self._ask(
                f"{self._base}/v2/{self._path}/manifests/{digest.replace(':', '-')}",
                what,
                _MANIFEST_BYTES,
                accept,
                frozenset({200, 404}),
            )
            if answer.status == 404:
                return ()
        found = self._decode(answer, _ReferrerList, "referrers").manifests or ()
        return tuple(r for r in found if not artifact_type or r.artifact_type == artifact_type)

    async def _ask(
        self,
        url: str,
        what: str,
        limit: int,
        headers: dict[str, str] | None = None,
        accepted: frozenset[int] = frozenset({200}),
    ) -> Answer:
        """Ask, and log in when the registry says how."""
        sent = dict(headers or {})
        used = self._authorization
        if used:
            sent["Authorization"] = used
        reach = self._anonymous()
        answer = await self._egress.ask(
            url, reach, what=what, limit=limit, headers=sent, accepted=accepted | {401}
        )
        if answer.status != 401:
            return answer
        async with self._login:
            if self._authorization == used:  # else another request has logged in meanwhile
                challenge = answer.headers.get("www-authenticate", "")
                self._authorization = await self._logged_in(challenge, what)
        sent["Authorization"] = self._authorization
        return await self._egress.ask(
            url, reach, what=what, limit=limit, headers=sent, accepted=accepted
        )

    def _anonymous(self) -> Reach:
        one = self._reach
        return Reach(one.origin, ssl=one.ssl, proxy=one.proxy, no_proxy=one.no_proxy)

    async def _logged_in(self, challenge: str, what: str) -> str:
        """The header that answers a challenge: the credential itself, or a token for it."""
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and self._reach.authorization:
            return self._reach.authorization
        parameters = dict(_PARAMETER.findall(rest))
        realm = parameters.get("realm", "")
        if scheme.lower() != "bearer" or not realm:
            raise SourceError(
                f"{what}: the registry asks for a login",
                hint="give the credential of this repository",
                reason="Unauthorized",
            )
        if self._reach.authorization.startswith("Bearer "):
            return self._reach.authorization
        return await self._token(realm, parameters, what)

    async def _token(self, realm: str, parameters: dict[str, str], what: str) -> str:
        """A token of the registry's own token server, for pulling this repository alone."""
        origin = origin_of(realm)
        if self._reach.origin.startswith("https:") and not origin.startswith("https:"):
            raise SourceError(
                f"{what}: the registry sends logins to {printable(origin)} without TLS",
                reason="NotAllowed",
            )
        query = {"scope": f"repository:{self._path}:pull"}
        if parameters.get("service"):
            query["service"] = parameters["service"]
        own = origin == self._reach.origin
        reach = Reach(
            origin,
            authorization=self._reach.authorization,
            ssl=self._reach.ssl if own else None,
            proxy=self._reach.proxy,
            no_proxy=self._reach.no_proxy,
        )
        separator = "&" if "?" in realm else "?"
        answer = await self._egress.ask(
            f"{realm}{separator}{urlencode(query)}", reach, what=f"login for {what}", limit=MIB
        )
        token = self._decode(answer, _Token, "token")
        return f"Bearer {token.token or token.access_token}"

    def _decode(self, answer: Answer, kind: Any, what: str) -> Any:
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise SourceError(
                f"{self.name}: the registry's answer about {what} cannot be read",
                reason="InvalidAnswer",
            ) from None


def chart_tag(version: str) -> str:
    """A chart's version as a tag: tags have no `+`."""
    return version.replace("+", "_")


def tag_version(tag: str) -> str:
    """A tag as the chart's version that it stands for."""
    return tag.replace("_", "+")
