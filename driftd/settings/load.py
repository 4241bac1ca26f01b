"""Settings from defaults, file, environment and flags, later ones first.

Every layer is checked by itself, so that an error names the layer, the key and what was meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from driftd.errors import ConfigError
from driftd.settings.quantity import Duration, Size
from driftd.settings.types import Settings, SettingsStruct, Store

ENV_PREFIX = "DRIFTD_"
_FILE_LIMIT = 1 << 20


def load(
    path: Path | None = None,
    *,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings in force.

    `env` is the process environment (`DRIFTD_SWEEP_INTERVAL=1m` sets `sweep.interval`);
    `flags` maps dotted keys to values, `None` meaning that the flag was not given.
    Raises ConfigError naming file or variable, key and near matches.
    """
    layers = [
        (f"settings file {path}", _read(path)) if path is not None else ("", {}),
        *_environment(env or {}),
        *_flags(flags or {}),
    ]
    merged: dict[str, Any] = {}
    for origin, layer in layers:
        _convert(layer, origin)
        merged = _overlay(merged, layer)
    settings = _convert(merged, "settings")
    _check(settings, str(path) if path is not None else "settings")
    return settings


def keys(kind: type[SettingsStruct] = Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key with its type as declared; tables are descended into, lists are not."""
    for field in msgspec.structs.fields(kind):
        key = f"{prefix}{field.encode_name}"
        if isinstance(field.type, type) and issubclass(field.type, SettingsStruct):
            yield from keys(field.type, f"{key}.")
        else:
            yield key, field.type


def environment_name(key: str) -> str:
    """The environment variable of a dotted key: `sweep.interval` is `DRIFTD_SWEEP_INTERVAL`."""
    words = "".join(f"_{c}" if c.isupper() else "_" if c == "." else c for c in key)
    return ENV_PREFIX + words.upper()


def read_secret(path: str, purpose: str) -> str:
    """The content of a secret file without surrounding white space.

    Raises ConfigError naming the file and its purpose, never its content.
    """
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(
            f"cannot read {purpose} from {path}: {why}",
            hint="mount the secret there, readable for driftd",
        ) from None
    if not secret:
        raise ConfigError(f"{purpose} in {path} is empty", hint="write the secret into the file")
    return secret


def store_dsn(store: Store) -> str:
    """The DSN in force, from its file if one is named. Raises ConfigError."""
    return read_secret(store.dsn_file, "the store's DSN") if store.dsn_file else store.dsn


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(
            f"cannot read settings file {path}: {why}", hint="name another file with --config"
        ) from None
    if len(text) > _FILE_LIMIT:
        raise ConfigError(f"settings file {path} is larger than 1 MiB")
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}
        _refuse_duplicates(node, path, "")
        document = loader.construct_document(node)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "cannot be parsed"
        raise ConfigError(f"settings file {path}{line} is not valid YAML: {problem}") from None
    finally:
        loader.dispose()
    if not isinstance(document, dict):
        raise ConfigError(f"settings file {path} must hold a mapping of settings")
    return document


def _refuse_duplicates(node: Any, path: Path, at: str) -> None:
    import yaml

    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _refuse_duplicates(item, path, f"{at}[{index}]")
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        name = f"{at}.{key.value}".lstrip(".")
        if name in seen:
            line = key.start_mark.line + 1
            raise ConfigError(f"settings file {path} line {line} sets {name} a second time")
        seen.add(name)
        _refuse_duplicates(value, path, name)


def _environment(env: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, kind in keys():
        name = environment_name(key)
        if name in env:
            yield f"environment variable {name}", _nested(key, _parse(env[name], kind, name))


def _parse(text: str, kind: Any, name: str) -> Any:
    """Text is taken as it is where the setting is text; anything else is read as YAML."""
    import yaml

    if kind in (str, Duration, Size):
        return text
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        raise ConfigError(f"environment variable {name} is not valid YAML") from None


def _flags(flags: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, value in flags.items():
        if value is not None:
            yield f"flag for {key}", _nested(key, value)


def _nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value  # type: ignore[no-any-return]


def _overlay(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` wins key by key; lists and maps of names are replaced as a whole."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        nested = isinstance(old, dict) and isinstance(value, dict) and key != "destinations"
        merged[key] = _overlay(old, value) if nested and old is not None else value
    return merged


def _convert(document: dict[str, Any], origin: str) -> Settings:
    unknown = _first_unknown(document, Settings, "")
    if unknown is not None:
        key, near = unknown
        raise ConfigError(f"{origin}: unknown setting {key}", hint=near)
    try:
        return msgspec.convert(document, Settings, dec_hook=_custom, strict=True)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        key = where.rstrip("`").lstrip(".") or "the document"
        raise ConfigError(f"{origin}: {key}: {what}") from None


def _custom(kind: type, value: Any) -> Any:
    if kind in (Duration, Size):
        return kind(value)
    raise TypeError(kind)


def _first_unknown(value: Any, kind: Any, at: str) -> tuple[str, str] | None:
    """The first key that no setting has, with the remedy."""
    if isinstance(value, list | tuple):
        item_kind = getattr(kind, "__args__", (None,))[0]
        found = (_first_unknown(v, item_kind, f"{at}[{i}]") for i, v in enumerate(value))
        return next((f for f in found if f is not None), None)
    is_table = isinstance(kind, type) and issubclass(kind, SettingsStruct)
    if not is_table or not isinstance(value, dict):
        return None
    known = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    for key, inner in value.items():
        here = f"{at}.{key}".lstrip(".")
        if key not in known:
            return here, _nearest(str(key), at, list(known))
        deeper = _first_unknown(inner, known[key], here)
        if deeper is not None:
            return deeper
    return None


def _nearest(key: str, table: str, known: list[str]) -> str:
    lowered = {name.lower(): name for name in known}
    plain = key.lower().replace("-", "").replace("_", "")
    near = [lowered[match] for match in get_close_matches(plain, lowered, n=3, cutoff=0.6)]
    elsewhere = [name for name, _ in keys() if name.rpartition(".")[2].lower() == plain]
    if near:
        return f"did you mean {' or '.join(near)}?"
    if elsewhere:
        return f"did you mean {' or '.join(elsewhere)}?"
    place = f"settings of {table}" if table else "top-level settings"
    return f"{place}: {', '.join(sorted(known))}"


def _check(settings: Settings, origin: str) -> None:
    """What types cannot say. Raises ConfigError."""
    for problem in _problems(settings):
        raise ConfigError(f"{origin}: {problem}")


def _problems(settings: Settings) -> Iterator[str]:
    for index, repository in enumerate(settings.repositories):
        at = f"repositories[{index}]"
        if bool(repository.url) == bool(repository.path):
            yield f"{at} needs either url or path"
        if _has_password(repository.url):
            yield f"{at}.url holds a password; put it into a file named by credentials.passwordFile"
        if repository.signatures.mode and not repository.signatures.keys:
            yield f"{at}.signatures needs keys: those that may sign"
    if _has_password(settings.store.dsn):
        yield "store.dsn holds a password; put the DSN into a file named by store.dsnFile"
    counts = {
        "clusters.concurrency": settings.clusters.concurrency,
        "sweep.workers": settings.sweep.workers,
        "sandbox.workers": settings.sandbox.workers,
        "notifications.maxAttempts": settings.notifications.max_attempts,
    }
    yield from (f"{key} must be at least 1, not {n}" for key, n in counts.items() if n < 1)
    if settings.sweep.interval.seconds < 1:
        yield f"sweep.interval must be at least 1s, not {settings.sweep.interval.text}"
    host, colon, port = settings.server.listen.rpartition(":")
    if not (host and colon and port.isdecimal() and int(port) < 65536):
        yield f"server.listen must be ADDRESS:PORT, not {settings.server.listen!r}"
    names = [receiver.name for receiver in settings.notifications.webhooks]
    names += [receiver.name for receiver in settings.notifications.slack]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"notifications: two receivers are named {name!r}; give each its own name"


def _has_password(url: str) -> bool:
    try:
        return urlsplit(url).password is not None
    except ValueError:
        return False
