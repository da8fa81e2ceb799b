"""Puts pictures on the pages: drawn from the text that stands beside them, so that neither lags behind the other."""

import re
from collections.abc import Callable, Mapping

from drawing import log_with_readers, moving, span, states, with_sequences
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

_STATE = re.compile(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", re.MULTILINE)
_TABLE_OF_STATES = re.compile(r"^## States\n\n", re.MULTILINE)
_TIMELINE = re.compile(r"^```text\ncancel received.*?^```\n", re.MULTILINE | re.DOTALL)
_PLACE = re.compile(r"^<<< picture (\w+)$", re.MULTILINE)

READERS = (("the first page", 11), ("a second tab", 9), ("a phone that was offline", 5))
READERS_ZH = (("最初的页面", 11), ("第二个标签页", 9), ("断网的手机", 5))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Draw what the page tells."""
    own = page.file.src_uri
    if own == "spec/primer.md":
        markdown = with_sequences(markdown, "Scenarios")
        markdown = markdown.replace("## One idea\n", f"## One idea\n\n{PICTURES['readers']()}\n", 1)
    if own == "zh/primer.md":
        markdown = with_sequences(markdown, "旅程", ("客户端", "服务器"))
        markdown = markdown.replace("## 一个想法\n", f"## 一个想法\n\n{PICTURES['readers_zh']()}\n", 1)
    if own == "spec/04-runs.md":
        markdown = _found(_TABLE_OF_STATES, markdown, lambda _: f"## States\n\n{states_of(markdown)}\n\n")
    if own == "spec/06-cancel.md":
        markdown = _found(_TIMELINE, markdown, lambda _: f"{CANCEL}\n")
    return _PLACE.sub(lambda found: PICTURES[found[1]](), markdown)


def _found(pattern: re.Pattern[str], markdown: str, drawn: Callable[[re.Match[str]], str]) -> str:
    """Return the page with its picture; raises PluginError when what it is drawn from is gone."""
    result, count = pattern.subn(drawn, markdown, count=1)
    if not count:
        raise PluginError(f"the text that a picture is drawn from is gone: {pattern.pattern}")
    return result


def states_of(chapter: str) -> str:
    """Return the picture of the table of states."""
    rows = _STATE.findall(chapter.partition("## States")[2].partition("**[")[0])
    leads = {name: re.findall(r"`(\w+)`", targets) for name, targets in rows}
    return states(leads, "The states of a run and what each leads to")


CANCEL = span(
    ("cancel received", "+ cancel_quiet_ms", "+ cancel_deadline_ms"),
    ("any event may come", "final observation, input_closed, terminal", "nothing: it has ended"),
    "What a server may still append after a cancel",
)

RUN = (
    ("→", '{"prompt":"Are there subsidies for heat pumps?"}'),
    ("←", '{"type":"started","run_id":"R","status":"running"}'),
    ("←", '{"type":"thinking","seq":1,"content":"I should look up the policy first..."}'),
    ("←", '{"type":"tool_call","seq":2,"name":"search","input":{"query":"heat pump"}}'),
    ("←", '{"type":"heartbeat"}'),
    ("←", '{"type":"observation","seq":3,"content":"3 documents"}'),
    ("←", '{"type":"token","seq":4,"data":"Yes: "}'),
    (" ", "the connection is gone; the run goes on"),
    ("→", '{"type":"resume","run_id":"R","after":4}'),
    ("←", '{"type":"token","seq":5,"data":"up to 70 % of"}'),
    ("→", '{"type":"cancel"}'),
    ("←", '{"type":"done","seq":6,"data":"cancelled","status":"cancelled","reason":"user"}'),
)

#: The same run, with what stands beside the wire in Chinese.
RUN_ZH = tuple((arrow, said if arrow.strip() else "连接没了；运行继续") for arrow, said in RUN)

PICTURES: Mapping[str, Callable[[], str]] = {
    "run": lambda: moving(RUN, "A run that is followed, lost, resumed and cancelled"),
    "run_zh": lambda: moving(RUN_ZH, "一次运行：观看、断线、恢复、取消"),
    "readers": lambda: log_with_readers(READERS, 11, "A run is a log, and three readers have a cursor in it"),
    "readers_zh": lambda: log_with_readers(
        READERS_ZH, 11, "一次运行是一份日志，三个读者各有一个游标", "追加"
    ),
}
