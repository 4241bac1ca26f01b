"""Settings of the Git webhooks that ask for a refresh."""

from __future__ import annotations

from driftd.settings.quantity import Duration
from driftd.settings.struct import SettingsStruct


class GitWebhooks(SettingsStruct, frozen=True, kw_only=True):
    """Who may say that a repository has moved; each file holds secrets, one on each line.

    A provider without a file has no endpoint.
    """

    github_secret_file: str = ""
    """Posts to `/hooks/github`."""
    gitlab_secret_file: str = ""
    """Posts to `/hooks/gitlab`."""
    bitbucket_secret_file: str = ""
    """Bitbucket Cloud posts to `/hooks/bitbucket`."""
    bitbucket_server_secret_file: str = ""
    """Bitbucket Server or Data Center posts to `/hooks/bitbucket-server`."""
    gitea_secret_file: str = ""
    """Gitea or Forgejo posts to `/hooks/gitea`."""
    gogs_secret_file: str = ""
    """Posts to `/hooks/gogs`."""
    azure_devops_secret_file: str = ""
    """Posts to `/hooks/azure-devops`."""
    window: Duration = Duration("10s")
    """A repository is asked once in this time at most, however many posts come."""

    def secret_files(self) -> dict[str, str]:
        """The file of each provider that may post, by the last part of its path."""
        files = {
            "github": self.github_secret_file,
            "gitlab": self.gitlab_secret_file,
            "bitbucket": self.bitbucket_secret_file,
            "bitbucket-server": self.bitbucket_server_secret_file,
            "gitea": self.gitea_secret_file,
            "gogs": self.gogs_secret_file,
            "azure-devops": self.azure_devops_secret_file,
        }
        return {provider: file for provider, file in files.items() if file}
