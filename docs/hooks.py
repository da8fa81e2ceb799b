"""Publishes the specification's chapters on the site, with an anchor for every requirement and a link for every id."""

import re
from html import unescape
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from runwire_spec import Requirement, catalogue, registries

ROOT = Path(__file__).parent.parent
SMALLEST = ROOT / "reference_server/runwire_reference_server/smallest.py"
EXAMPLES = sorted((ROOT / "examples/script_agent").glob("script_agent.*"))
OPENING = re.compile(r"^\*\*\[([A-Z]+-[0-9]+)\]\*\* ", re.MULTILINE)
REFERENCE = re.compile(r"(?<![*\w\]])\[([A-Z]+-[0-9]+)\](?!\()")
#: An id alone, as the registries' tables have it.
BARE = re.compile(r"(?<= )([A-Z]+-[0-9]+)(?= )")
CODE = re.compile(r"(^```.*?^```|`[^`\n]*`)", re.MULTILINE | re.DOTALL)
INCLUDED = re.compile(r"^<<< (\S+): (.+)$", re.MULTILINE)
SECTION = re.compile(r"^ *# --- (.+) ---\n", re.MULTILINE)
#: Code of a few letters without a space within, and how many of them fit a column of a table on a phone.
NARROW = 18
SHORT = re.compile(r"<code>((?:[^<\s&]|&\w+;){1,30})</code>")
#: An option of a command with what follows it.
OPTION = re.compile(r"<code>(--[\w-]+)(?= )")
#: A request with its path, which is divided at its slashes.
REQUEST = re.compile(r"<code>[A-Z]+ \{[^<]*")
#: Where a name that does not fit is divided, if it has to be.
WORD_END = re.compile(r"(?<=\w[_./-])(?=\w)")
WITHIN = re.compile(r"\]\(((?:docs/pages/|spec/)?[\w-]+\.md(?:#[\w-]+)?)\)")
LABEL = re.compile(r"^(Class|Registry): `([a-z_]+)`$", re.MULTILINE)


#: Files of the repository's root that are pages of the site.
REPOSITORY = {"CONTRIBUTING", "CHANGELOG", "SECURITY", "GOVERNANCE", "CODE_OF_CONDUCT"}


#: Where links of a client's README lead from its page.
CLIENT_LINKS = {
    "../javascript/README.md": "javascript.md",
    "../python/README.md": "python.md",
    "../../README.md": "../index.md",
    "../../docs/pages/": "../",
    "../../schemas/README.md": "../messages/index.md",
    "../../spec/": "../spec/",
    "../../reference_server/runwire_reference_server/playground": "../try-it.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the chapters and the repository's own pages to the site."""
    published = {f"spec/{path.name}": path for path in sorted((ROOT / "spec").glob("*.md"))}
    published |= {f"{path.stem.lower()}.md": path for path in ROOT.glob("*.md") if path.stem in REPOSITORY}
    published |= {f"clients/{path.parent.name}.md": path for path in ROOT.glob("clients/*/README.md")}
    for name, path in published.items():
        text = path.read_text(encoding="utf-8")
        if name.startswith("clients/"):
            for there, here in CLIENT_LINKS.items():
                text = text.replace(f"]({there}", f"]({here}")
        if path.parent == ROOT:
            text = WITHIN.sub(lambda found: placed(found[1]), text)
        files.append(File.generated(config, name, content=text))
    files.append(File.generated(config, "requirements.md", content=index_of_requirements()))
    for name, path in {
        SMALLEST.name: SMALLEST,
        **{str(path.relative_to(ROOT)): path for path in EXAMPLES},
    }.items():
        files.append(File.generated(config, name, content=path.read_text(encoding="utf-8")))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Mark the names in prose and tables that no line's end is to divide."""

    def marked(found: re.Match[str]) -> str:
        if len(unescape(found[1])) <= NARROW:
            return f'<code class="whole">{found[1]}</code>'
        return f'<code class="whole wide">{WORD_END.sub("<wbr>", found[1])}</code>'

    html = REQUEST.sub(lambda found: re.sub(r"/(?=[{\w])", "/<wbr>", found[0]), html)
    return OPTION.sub(r'<code><span class="whole">\1</span>', SHORT.sub(marked, html))


def placed(target: str) -> str:
    """Return the end of a link from the repository's root as it is on the site."""
    file, mark, anchor = target.removeprefix("docs/pages/").partition("#")
    return f"]({file.lower() if Path(file).stem in REPOSITORY else file}{mark}{anchor})"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Turn openings into anchors and references into links, outside code."""
    own = page.file.src_uri.removeprefix("spec/") if page.file.src_uri.startswith("spec/") else None
    folder = "" if own is not None else "../" * page.file.src_uri.count("/") + "spec/"
    markdown = INCLUDED.sub(lambda found: included(ROOT / found[1], found[2]), markdown)
    parts = CODE.split(markdown)
    for place in range(0, len(parts), 2):
        text = LABEL.sub(r"<small>\1: <b>\2</b></small>", parts[place])
        text = OPENING.sub(lambda found: anchor(found[1]), text)
        if own == "18-registries.md":
            text = BARE.sub(
                lambda found: link(found[1], own, folder) if found[1] in catalogue() else found[0], text
            )
        parts[place] = REFERENCE.sub(lambda found: link(found[1], own, folder), text)
    return LABEL.sub(r"<small>\1: <b>\2</b></small>", "".join(parts))


def included(path: Path, name: str) -> str:
    """Return a section of a Python file, which begins at its heading `# --- name ---`, as a block of code."""
    _, *parts = SECTION.split(path.read_text(encoding="utf-8"))
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    if name not in sections:
        raise PluginError(f"{path.name} has no section {name!r}; it has: {', '.join(sections)}")
    return f"```python\n{sections[name].strip(chr(10))}\n```"


def anchor(identifier: str) -> str:
    """Return the opening of a requirement as a place that can be linked to."""
    return f'<a id="{identifier}" class="requirement" href="#{identifier}">{identifier} ¶</a> '


def link(identifier: str, own: str | None, folder: str) -> str:
    """Return a reference as a link; in the chapter itself to the anchor alone."""
    requirement = catalogue().get(identifier)
    if requirement is None:
        return f"[{identifier}]"
    chapter = "" if requirement.chapter == own else folder + requirement.chapter
    return f"[{identifier}]({chapter}#{identifier}){{.whole}}"


def index_of_requirements() -> str:
    """Return a page that lists every requirement by class."""
    lines = ["# Requirements", "", "Every numbered sentence of the specification, by conformance class.", ""]
    for row in registries()["classes"]:
        own = [entry for entry in catalogue().values() if entry.conformance_class == row["class"]]
        lines += [f"## {row['class']}", "", "| id | role | sentence |", "|---|---|---|"]
        lines += [table_row(entry) for entry in own] + [""]
    return "\n".join(lines)


def table_row(requirement: Requirement) -> str:
    """Return one line of the index."""
    sentence = re.sub(r"\]\((?=#)", f"]({requirement.chapter}", requirement.sentence)
    sentence = re.sub(r"\]\((?!\w+:)", "](spec/", sentence).replace("|", "\\|")
    mark = "" if requirement.observable else " *(not observable)*"
    return f"| [{requirement.id}] | {requirement.role} | {sentence}{mark} |"
