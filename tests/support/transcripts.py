"""The transcripts of the schemas, and what `validate` finds in one."""

from runwire_conformance.tools.formats.recording import RecordingLine, read_recording
from runwire_conformance.tools.validate import problems_of
from runwire_schemas import transcripts

VALID = dict(transcripts("valid"))


INVALID = dict(transcripts("invalid"))


def found(lines: list[dict[str, object]]) -> list[tuple[str, int]]:
    """Return what is found broken in a transcript, a requirement or an empty string, each with its line."""
    numbered = [RecordingLine(str(number), line, "") for number, line in enumerate(lines, start=1)]
    return [(problem.requirement, int(problem.place)) for problem in problems_of(read_recording(numbered))]
