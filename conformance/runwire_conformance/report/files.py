"""Report files, in every requested form."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runwire_conformance.report.badge import as_badge
from runwire_conformance.report.ctrf import as_ctrf
from runwire_conformance.report.document import Document, as_json
from runwire_conformance.report.html import as_html
from runwire_conformance.report.markdown import as_markdown

#: The file in the folder that pytest writes itself where a server was judged.
JUNIT = "junit.xml"


class Unwritable(Exception):
    """A file of the report cannot be written; the message is one line."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where to write which form; `folder` gets them all."""

    folder: Path | None = None
    json: Path | None = None
    html: Path | None = None
    summary: Path | None = None
    ctrf: Path | None = None
    badge: Path | None = None
    junit: Path | None = None

    @property
    def junitxml(self) -> Path | None:
        """Where pytest is to write JUnit XML."""
        return self.junit or (self.folder / JUNIT if self.folder else None)

    def prepare(self) -> None:
        """Make the folder, and raise Unwritable for what could not be written after minutes of judging."""
        try:
            if self.folder is not None:
                self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise Unwritable(f"cannot write {self.folder}: {problem.strerror}") from None
        for path in (self.json, self.html, self.summary, self.ctrf, self.badge, self.junit):
            if path is not None and path.is_dir():
                raise Unwritable(f"cannot write {path}: it is a folder")
            if path is not None and not path.parent.is_dir():
                raise Unwritable(f"cannot write {path}: {path.parent} is not a folder")

    def write(self, document: Document, junit: str = "") -> None:
        """Write every form that was asked for; raises Unwritable. `junit` is empty where pytest wrote it."""
        places = [place for place in (self.junit, self.folder and self.folder / JUNIT) if junit and place]
        for path, text in [*self._texts(document), *((place, junit) for place in places)]:
            try:
                path.write_text(text, encoding="utf-8")
            except OSError as problem:
                raise Unwritable(f"cannot write {path}: {problem.strerror}") from None

    def _texts(self, document: Document) -> Iterator[tuple[Path, str]]:
        forms = (
            (self.json, "report.json", as_json),
            (self.html, "report.html", as_html),
            (self.summary, "report.md", as_markdown),
            (self.ctrf, "ctrf.json", as_ctrf),
            (self.badge, "badge.json", as_badge),
        )
        for asked, name, form in forms:
            places = [asked] if asked else []
            places += [self.folder / name] if self.folder else []
            for path in places:
                yield path, form(document)
