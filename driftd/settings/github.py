"""How driftd logs in to GitHub as an App."""

from __future__ import annotations

from driftd.settings.struct import SettingsStruct


class GitHubAppLogin(SettingsStruct, frozen=True, kw_only=True):
    """A GitHub App that is installed where the repository lies."""

    app_id: str
    private_key_file: str
    installation_id: str = ""
    """Empty: asked of GitHub for the repository."""
    base_url: str = ""
    """The API's address of GitHub Enterprise."""
