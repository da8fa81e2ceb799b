"""What the build of a package adds: the URLs of the place that builds a release, and archives of small files."""

import os
import py_compile
import tempfile
import zipfile
from collections.abc import Mapping
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


class PackedFiles(BuildHookInterface[Any]):
    """Puts hundreds of small files into a wheel as two archives: the schemas, and the modules of the judge.

    What users read, run by its path or import stays a file: client, server, and what `PLAIN` names of the judge.
    """

    #: Files in folders of the judge that stay files: what pytest finds the cases by, and its configuration.
    PLAIN = ("cases/__init__.py", "cases/suite.ini")

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Pack them, but not for an editable install, which reads the folders."""
        if version == "editable":
            return
        self._place = tempfile.TemporaryDirectory()
        judge, schemas = (
            Path(self.root, folder)
            for folder in ("conformance/runwire_conformance", "schemas/runwire_schemas/v1")
        )
        plain = [judge / name for name in self.PLAIN]
        modules = {
            path.relative_to(judge).as_posix(): path.read_bytes()
            for path in judge.glob("*/**/*")
            if path.is_file() and path.suffix != ".pyc" and path not in plain
        }
        texts = {path.relative_to(schemas).as_posix(): path.read_bytes() for path in schemas.rglob("*.json")}
        included = build_data["force_include"]
        included[self._packed("modules.zip", modules | self._compiled(modules))] = (
            "runwire_conformance/modules.zip"
        )
        included[self._packed("v1.zip", texts)] = "runwire_schemas/v1.zip"
        included |= {str(path): f"runwire_conformance/{path.relative_to(judge).as_posix()}" for path in plain}

    def _compiled(self, modules: Mapping[str, bytes]) -> dict[str, bytes]:
        """Compile modules for the Python that builds: it is most often the one that runs them.

        Another version of Python passes over them and compiles the sources at each start.
        """
        source, target = Path(self._place.name, "module.py"), Path(self._place.name, "module.pyc")
        compiled = {}
        for name in sorted(name for name in modules if name.endswith(".py")):
            source.write_bytes(modules[name])
            py_compile.compile(
                str(source), str(target), f"runwire_conformance/{name}", doraise=True, optimize=0,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )  # fmt: skip
            compiled[f"{name}c"] = target.read_bytes()
        return compiled

    def _packed(self, name: str, files: Mapping[str, bytes]) -> str:
        """Pack files, the same each time: in order, without a time, and as they are."""
        packed = Path(self._place.name, name)
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(files):
                archive.writestr(zipfile.ZipInfo(path), files[path])
        return str(packed)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what was packed: it is in the wheel."""
        if version != "editable":
            self._place.cleanup()
