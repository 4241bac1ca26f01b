"""Settings from defaults, file and environment, later ones first.

Every layer is checked by itself, so that a problem names file and line or the variable, the key
and what was meant; and every problem is found, not the first alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import msgspec

from driftd.errors import ConfigError
from driftd.settings.consistency import Finding, findings
from driftd.settings.documents import Written, read_file, read_text
from driftd.settings.problems import Places, Problem, Weight, refused
from driftd.settings.quantity import Duration, Size
from driftd.settings.shape import Shape, custom, keys
from driftd.settings.types import Settings, Store

_NAMED: Final = 3
_SLIP: Final = 0.8
"""How alike a key is to a setting (difflib's ratio) that was probably meant."""
ENV_PREFIX: Final = "DRIFTD_"
OF_FLAGS: Final = frozenset({"suppressions", "severity"})
"""Settings whose variables belong to flags of `driftd run` that are called so."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """Settings as far as they are right, and all that is wrong with them."""

    settings: Settings
    problems: tuple[Problem, ...]
    places: Places
    """Where each setting was set."""


def load(path: Path | None = None, *, env: Mapping[str, str] | None = None) -> Settings:
    """The settings in force.

    `env` is the process environment (`DRIFTD_SWEEP_INTERVAL=1m` sets `sweep.interval`). Raises
    ConfigError naming file and line or variable, key and near matches of the first error.
    """
    inspected = inspect(path, env=env)
    error = refused(inspected.problems, str(path))
    if error is not None:
        raise error
    return inspected.settings


def inspect(
    path: Path | None = None,
    *,
    env: Mapping[str, str] | None = None,
    further: Iterable[Callable[[Settings], Iterable[Finding]]] = (),
) -> Inspected:
    """Read and check settings as a whole; `further` are checks beside the settings' own."""
    shape = Shape()
    source = str(path) if path is not None else "settings"
    if path is not None:
        written, problems = read_file(path)
        shape.problems += problems
        foreign = _foreign(written, source) if written is not None else None
        if foreign is not None:
            shape.problems.append(foreign)
        elif written is not None:
            shape.layer(written, source)
    for key, name, text, kind in _environment(env or {}):
        value, problems = _variable(text, kind, name)
        shape.problems += problems
        if value is not None:
            shape.layer(value, name, below=key)
    settings = msgspec.convert(shape.document, Settings, dec_hook=custom, strict=True)
    found = [one for check in (findings, *further) for one in check(settings)]
    shape.problems += [_placed(one, shape, source) for one in found]
    # As the file goes, then the variables.
    ordered = sorted(shape.problems, key=lambda one: (one.source != source, one.line))
    return Inspected(settings, tuple(ordered), shape.places)


def _foreign(written: Written, source: str) -> Problem | None:
    """What is said once of a file that holds something else than settings; None of any other."""
    known = {field.encode_name for field in msgspec.structs.fields(Settings)}
    found = list(written.value)
    if not found or not known.isdisjoint(found):
        return None
    kind = written.value["kind"].shallow if "kind" in found else None
    if "apiVersion" in found and isinstance(kind, str):
        what = f"is a Kubernetes object ({kind}), not a settings file of driftd"
    elif len(found) > 1 and not any(get_close_matches(one, known, 1, _SLIP) for one in found):
        more = ", …" if len(found) > _NAMED else ""
        named = ", ".join(found[:_NAMED])
        what = f"is not a settings file of driftd: none of its keys is a setting ({named}{more})"
    else:
        return None
    hint = "name another file with --config; driftd config show prints every setting"
    return Problem(source=source, line=written.line, message=what, hint=hint)


def unknown_variables(env: Mapping[str, str], flags: Iterable[str]) -> Iterator[Problem]:
    """Variables that are nearly one of a setting; `flags` are the variables of flags."""
    known = {environment_name(key) for key, _ in keys()}
    for name in sorted(env.keys() - known - set(flags)):
        near = get_close_matches(name, known, n=1, cutoff=0.85)
        if name.startswith(ENV_PREFIX) and near:
            yield Problem(
                source=name,
                message="no setting has this variable",
                hint=f"did you mean {near[0]}?",
                weight=Weight.WARNING,
            )


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


def _environment(env: Mapping[str, str]) -> Iterator[tuple[str, str, str, Any]]:
    for key, kind in keys():
        name = environment_name(key)
        if name in env and key not in OF_FLAGS:
            yield key, name, env[name], kind


def _variable(text: str, kind: Any, name: str) -> tuple[Written | None, list[Problem]]:
    """Text is taken as it is where the setting is text; anything else is read as YAML."""
    if kind in (str, Duration, Size):
        return Written(text), []
    return read_text(text, name, lines=False)


def _placed(one: Finding, shape: Shape, source: str) -> Problem:
    key = shape.as_written(one.key)
    origin, line = shape.places.of(key) or (source, 0)
    return Problem(
        source=origin,
        line=line,
        key=key,
        message=one.message,
        hint=one.hint,
        weight=one.weight,
    )
