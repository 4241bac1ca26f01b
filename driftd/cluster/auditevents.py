"""Audit events in the shapes in which clusters and clouds hand them out.

Native events (`audit.k8s.io/v1`) alone or in an `EventList`; the log entries of Google's Cloud
Logging (`protoPayload`); CloudWatch's exports of EKS (`message`, `@message`, `logEvents`, `events`)
and Azure's diagnostic records of AKS (`properties.log`), which hold native events as text.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from driftd.model.audit import WRITE_VERBS, AuditedObject, AuditedWrite

BROKEN: Final = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)
"""What reading a value raises that is no audit event, whatever is wrong with it."""
_RAW: Final = msgspec.Raw(b"")
_NAME_BYTES: Final = 128
"""The API server cuts the name that it makes of a user agent."""
_PREFIX: Final = b'{"kind":"Event","apiVersion":"audit.k8s.io/'
_AGENT: Final = 256
"""Characters of a user agent that are kept: it is whatever the client says."""
_ADDRESSES: Final = 8
"""Addresses that are kept; all but the last are what the client says in its headers."""
_BODIES: Final = frozenset({"create", "update", "patch"})
_LONGEST: Final = 2.0
"""Seconds that a request is taken to last at most where the log has one time alone."""


class _User(msgspec.Struct):
    username: str = ""
    groups: list[str] | None = None


class _Target(msgspec.Struct, rename="camel"):
    resource: str = ""
    namespace: str = ""
    name: str = ""
    api_group: str = ""
    api_version: str = ""
    subresource: str = ""


class _Status(msgspec.Struct):
    code: int = 0


class Event(msgspec.Struct, rename="camel"):
    """A native audit event, as far as it matters here."""

    audit_id: str = msgspec.field(default="", name="auditID")
    stage: str = ""
    request_uri: str = msgspec.field(default="", name="requestURI")
    verb: str = ""
    user: _User | None = None
    impersonated_user: _User | None = None
    source_ips: list[str] | None = msgspec.field(default=None, name="sourceIPs")
    user_agent: str = ""
    object_ref: _Target | None = None
    response_status: _Status | None = None
    request_object: msgspec.Raw = _RAW
    response_object: msgspec.Raw = _RAW
    request_received_timestamp: str = ""
    stage_timestamp: str = ""


class _Principal(msgspec.Struct, rename="camel"):
    principal_email: str = ""


class _Request(msgspec.Struct, rename="camel"):
    caller_ip: str = ""
    caller_supplied_user_agent: str = ""


class _AuditLog(msgspec.Struct, rename="camel"):
    """`google.cloud.audit.AuditLog`."""

    service_name: str = ""
    method_name: str = ""
    resource_name: str = ""
    authentication_info: _Principal | None = None
    request_metadata: _Request | None = None
    status: _Status | None = None
    request: msgspec.Raw = _RAW


class _Operation(msgspec.Struct):
    id: str = ""


class _Outer(msgspec.Struct, rename="camel"):
    """What may lie around events, all shapes in one."""

    kind: msgspec.Raw = _RAW
    api_version: msgspec.Raw = _RAW
    items: msgspec.Raw = _RAW
    events: msgspec.Raw = _RAW
    log_events: msgspec.Raw = _RAW
    records: msgspec.Raw = _RAW
    entries: msgspec.Raw = _RAW
    message: msgspec.Raw = _RAW
    at_message: msgspec.Raw = msgspec.field(default=_RAW, name="@message")
    log: msgspec.Raw = _RAW
    log_s: msgspec.Raw = msgspec.field(default=_RAW, name="log_s")
    properties: msgspec.Raw = _RAW
    audit_id: msgspec.Raw = msgspec.field(default=_RAW, name="auditID")
    proto_payload: msgspec.Raw = _RAW
    timestamp: msgspec.Raw = _RAW
    receive_timestamp: msgspec.Raw = _RAW
    insert_id: msgspec.Raw = _RAW
    operation: msgspec.Raw = _RAW


CONTAINERS: Final = frozenset({b"items", b"events", b"logEvents", b"records", b"entries"})
"""Members whose lists hold events, or what lies around them."""

_outer = msgspec.json.Decoder(_Outer)
_list = msgspec.json.Decoder(list[msgspec.Raw])
_event = msgspec.json.Decoder(Event)
_audit_log = msgspec.json.Decoder(_AuditLog)
_text = msgspec.json.Decoder(str)
_operation = msgspec.json.Decoder(_Operation)
_properties = msgspec.json.Decoder(_Outer)


class _EventList(msgspec.Struct, rename="camel"):
    """An `EventList`, as webhooks post it."""

    kind: str = ""
    api_version: str = ""
    items: list[msgspec.Raw] = []


_event_list = msgspec.json.Decoder(_EventList)


class Seen(msgspec.Struct, frozen=True):
    """An audit event: when it was, and the write, if it is one that was carried out."""

    time: float
    write: AuditedWrite | None


class Batch(msgspec.Struct, frozen=True):
    """The events of an `EventList`."""

    seen: tuple[Seen, ...]
    broken: int
    """Items that are no audit events."""


def of_list(body: bytes) -> Batch:
    """The events of an `EventList`, whatever single ones are like; their kind may be left out.

    Raises:
        ValueError: in words what else the body is.
    """
    try:
        found = _event_list.decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ValueError(f"the body is no EventList: {error}") from None
    if found.kind != "EventList" or not found.api_version.startswith("audit.k8s.io/"):
        given = f"{found.kind or 'no kind'} of {found.api_version or 'no apiVersion'}"
        raise ValueError(f"the body must be an EventList of audit.k8s.io/v1, not {given[:100]}")
    events: list[Seen] = []
    broken = 0
    for item in found.items:
        try:
            events.append(_native(_event.decode(item)))
        except BROKEN:
            broken += 1
    return Batch(tuple(events), broken)


def seen(value: bytes | msgspec.Raw) -> Iterator[Seen]:
    """The audit events in a JSON value; none where it holds something else.

    Raises:
        ValueError: it is no JSON, or what should be an audit event is none.
    """
    data = bytes(value).lstrip()
    if data[:1] == b"[":
        for item in _list.decode(data):
            yield from seen(item)
        return
    if data[:1] != b"{":
        msgspec.json.decode(data)
        return
    if data.startswith(_PREFIX):  # as API servers write it: no need to look around
        yield _native(_event.decode(data))
        return
    outer = _outer.decode(data)
    # The API server leaves kind and version of a list's items out.
    bare = not outer.kind and _first(outer.audit_id) == b'"'
    named = bytes(outer.api_version).startswith(b'"audit.k8s.io/')
    if bare or (bytes(outer.kind) == b'"Event"' and named):
        yield _native(_event.decode(data))
        return
    for inner in (outer.items, outer.events, outer.log_events, outer.records, outer.entries):
        if _first(inner) == b"[":
            for item in _list.decode(inner):
                yield from seen(item)
    if outer.proto_payload:
        yield from _google(outer)
        return
    for told in (outer.message, outer.at_message, outer.log, outer.log_s):
        yield from _in_text(told)
    if _first(outer.properties) == b"{":
        yield from _in_text(_properties.decode(outer.properties).log)


def seen_in_text(text: str) -> Iterator[Seen]:
    """The audit event in a log line, behind whatever precedes it; none in other lines."""
    start = text.find("{")
    if start >= 0 and "audit.k8s.io/" in text:
        yield from seen(text[start:].encode())


def _in_text(told: msgspec.Raw) -> Iterator[Seen]:
    first = _first(told)
    if first == b'"':
        yield from seen_in_text(_text.decode(told))
    elif first == b"{":  # some exporters parse the text
        yield from seen(told)


def _native(event: Event) -> Seen:
    received = _seconds(event.request_received_timestamp or event.stage_timestamp)
    completed = _seconds(event.stage_timestamp) if event.stage_timestamp else received
    return Seen(completed, _write(event, received, completed))


def _write(event: Event, received: float, completed: float) -> AuditedWrite | None:
    """The write that an event tells of, if it was carried out."""
    status, target, user = event.response_status, event.object_ref, event.user
    if event.verb not in WRITE_VERBS or event.stage != "ResponseComplete":
        return None
    if status is None or not 200 <= status.code < 300 or target is None or user is None:
        return None
    query = parse_qs(urlsplit(event.request_uri).query)
    if any(query.get("dryRun", ())) or _is_dry(event):
        return None
    named = next(iter(query.get("fieldManager", ())), "")
    acted = event.impersonated_user
    return AuditedWrite(
        target=_object(target, event.request_object, event.response_object),
        version=target.api_version,
        subresource=target.subresource,
        verb=event.verb,
        user=user.username,
        groups=tuple((acted or user).groups or ()),
        impersonated_user=acted.username if acted else "",
        user_agent=event.user_agent[:_AGENT],
        source_ips=_addresses(event.source_ips or []),
        audit_id=event.audit_id,
        received=received,
        completed=completed,
        manager=named or manager_of(event.user_agent),
        manager_named=bool(named),
        body=_body(event.verb, event.request_object),
    )


def _addresses(told: list[str]) -> tuple[str, ...]:
    """The addresses of a request, of many the first ones and the connection's own."""
    kept = told if len(told) <= _ADDRESSES else [*told[: _ADDRESSES - 1], told[-1]]
    return tuple(kept)


def _is_dry(event: Event) -> bool:
    """Whether a deletion was a dry run: its options may come in the body."""
    if not event.verb.startswith("delete") or b'"dryRun"' not in bytes(event.request_object):
        return False
    options = msgspec.json.decode(event.request_object)
    return isinstance(options, dict) and bool(options.get("dryRun"))


def _object(target: _Target, *bodies: msgspec.Raw) -> AuditedObject:
    """The object of an event; its name may only stand in the body when it was created."""
    name = target.name
    for body in bodies:
        if not name and _first(body) == b"{":
            metadata = msgspec.json.decode(body).get("metadata") or {}
            name = str(metadata.get("name") or "") if isinstance(metadata, dict) else ""
    # The API server takes a Namespace for a member of itself.
    itself = (target.api_group, target.resource) == ("", "namespaces")
    return AuditedObject(
        target.api_group, target.resource, "" if itself else target.namespace, name
    )


def _body(verb: str, request: msgspec.Raw) -> bytes:
    """The body of a write, without what clouds put in the place of big ones."""
    if verb not in _BODIES or _first(request) not in {b"{", b"["}:
        return b""
    return bytes(request)


def manager_of(user_agent: str) -> str:
    """The field manager that the API server makes of a user agent."""
    name, size = [], 0
    for letter in user_agent.partition("/")[0]:
        if not letter.isprintable():
            continue
        size += len(letter.encode("utf-8", "surrogatepass"))
        if size > _NAME_BYTES:
            break
        name.append(letter)
    return "".join(name)


def _google(outer: _Outer) -> Iterator[Seen]:
    """An entry of Cloud Logging; other services than Kubernetes have such entries too."""
    if b"io.k8s." not in bytes(outer.proto_payload):
        return
    told = _audit_log.decode(outer.proto_payload)
    if not told.method_name.startswith("io.k8s."):
        return
    stamp = outer.timestamp or outer.receive_timestamp
    time = _seconds(_text.decode(stamp))
    verb = told.method_name.rpartition(".")[2]
    failed = told.status is not None and told.status.code != 0
    write = None
    if verb in WRITE_VERBS and not failed:
        target = _named(told.resource_name, told.method_name)
        agent = told.request_metadata.caller_supplied_user_agent if told.request_metadata else ""
        address = told.request_metadata.caller_ip if told.request_metadata else ""
        write = AuditedWrite(
            target=_object(target, told.request),
            version=target.api_version,
            subresource=target.subresource,
            verb=verb,
            user=told.authentication_info.principal_email if told.authentication_info else "",
            user_agent=agent[:_AGENT],
            source_ips=(address,) if address else (),
            audit_id=_operation.decode(outer.operation).id if outer.operation else "",
            received=time - _LONGEST,
            completed=time,
            manager=manager_of(agent),
            manager_known=False,
            body=_body(verb, told.request),
        )
    yield Seen(time, write)


def _named(resource_name: str, method: str) -> _Target:
    """What `GROUP/VERSION[/namespaces/NAMESPACE]/RESOURCE[/NAME[/SUBRESOURCE]]` names."""
    group, _, rest = resource_name.partition("/")
    version, *parts = rest.split("/")
    namespace = ""
    if parts[:1] == ["namespaces"] and len(parts) > 2 and ".namespaces." not in method:
        namespace, parts = parts[1], parts[2:]
    resource, name, subresource = (*parts, "", "", "")[:3]
    return _Target(
        resource=resource,
        namespace=namespace,
        name=name,
        api_group="" if group == "core" else group,
        api_version=version,
        subresource=subresource,
    )


def _first(raw: msgspec.Raw) -> bytes:
    return bytes(memoryview(raw)[:1])


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
