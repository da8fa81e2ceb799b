"""What the build of a package adds: the URLs of the place that builds a release, and the schemas as one file."""

import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
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


class PackedSchemas(BuildHookInterface[Any]):
    """Puts schemas, vectors and transcripts into a wheel as `v1.zip`: one file in place of eighty small ones."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Pack them, but not for an editable install, which reads the folder."""
        if version == "editable":
            return
        self._place = tempfile.TemporaryDirectory()
        packed = Path(self._place.name, "v1.zip")
        folder = Path(self.root, "schemas/runwire_schemas/v1")
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*.json")):
                entry = zipfile.ZipInfo(
                    path.relative_to(folder).as_posix()
                )  # without a time: the same each time
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())
        build_data["force_include"][str(packed)] = "runwire_schemas/v1.zip"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what was packed: it is in the wheel."""
        if version != "editable":
            self._place.cleanup()
