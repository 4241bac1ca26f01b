"""An operator's own severity rules: read from a file, in front of the shipped ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from driftd.errors import ConfigError
from driftd.model.severities import SeverityRules, read, with_own


def load_severities(file: Path | None) -> SeverityRules | None:
    """The rules of a file with the shipped ones below; None without a file.

    Raises ConfigError naming file, rule and field.
    """
    if file is None:
        return None
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise ConfigError(
            f"{file}: cannot be read ({error.strerror})",
            hint="--severity and the setting `severity` name a file of severity rules",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8") from error
    return with_own(read(text, str(file), own=True))


class StandingSeverities:
    """The file of a daemon: read anew at each sweep, the last valid rules stay."""

    def __init__(self, file: Path | None) -> None:
        """Read the file for the first time. Raises ConfigError for an invalid one."""
        self._file = file
        self._told = ""
        self.rules = load_severities(file)

    def reread(self, tell: Callable[[str], None]) -> SeverityRules | None:
        """The rules as the file has them now; of one that became invalid it is told once."""
        try:
            self.rules = load_severities(self._file)
            self._told = ""
        except ConfigError as error:
            if error.message != self._told:
                tell(f"{error.message}; what was read before still holds")
            self._told = error.message
        return self.rules
