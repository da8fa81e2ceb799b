"""Adds the project's URLs to what the package tells of itself: they are those of the place that builds a release."""

import os
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class ProjectUrls(MetadataHookInterface):
    """Reads RUNWIRE_HOME_URL, such as https://host/owner/runwire; without it a package names no place."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the URLs."""
        home = os.environ.get("RUNWIRE_HOME_URL", "").rstrip("/")
        if home:
            pages = {
                "Documentation": "blob/main/README.md",
                "Changelog": "blob/main/CHANGELOG.md",
                "Issues": "issues",
            }
            metadata["urls"] = {"Source": home} | {name: f"{home}/{path}" for name, path in pages.items()}
