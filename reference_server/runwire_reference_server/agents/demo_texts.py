"""Texts of the demo agent, in English and Simplified Chinese."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language. `glossary` gives a definition by the names it is asked for under."""

    thoughts: tuple[str, ...]
    glossary: Mapping[tuple[str, ...], str]
    nothing: str
    closing: str
    #: Between two sentences.
    joint: str
    #: Names in a prompt that make the agent ask first, or start a sub-agent.
    ask: tuple[str, ...]
    delegate: tuple[str, ...]
    question: str
    declined: str
    as_you_wish: str
    librarian_thinks: str
    librarian_says: str


ENGLISH = Texts(
    thoughts=("I should look ", "the words up ", "before I answer."),
    glossary={
        ("ai",): "AI is software that does things one would call clever if a person did them, such as this answer.",
        ("agent",): "An agent is a program that works on a prompt in steps: it thinks, calls tools and answers.",
        ("cancel",): 'Send {"type":"cancel"} and the run ends at once, even when a tool hangs.',
        ("resume",): 'Come back and send {"type":"resume","run_id":…,"after":…}: the log goes on where you left off.',
        ("run",): "A run is an append-only log of events; whoever watches it reads the log from a cursor.",
        ("runwire",): "Runwire is an open wire protocol for live agent runs, with a judge that tests servers.",
        ("sse",): "Server-sent events carry the same log as the WebSocket, where only plain HTTP gets through.",
        ("token",): "A token event carries text to append to the answer; an answer is nothing but its tokens.",
        ("websocket",): "A WebSocket carries messages both ways; here one JSON object each.",
    },
    nothing="The glossary of this demo has nothing on that. It knows: ai, agent, cancel, resume, run, runwire, "
    "sse, token, websocket. Start the server with an agent of your own for better answers.",
    closing="This text came in pieces, one token event each; a page that knows six types can show it.",
    joint=" ",
    ask=("ask",),
    delegate=("delegate", "subagent"),
    question="Shall I go on?",
    declined="the user would rather not",
    as_you_wish="As you wish.",
    librarian_thinks="Somebody wants to know more.",
    librarian_says="The librarian says: the specification has nineteen chapters and a primer.",
)  # fmt: skip

CHINESE = Texts(
    thoughts=("回答之前，", "我先查一下", "这些词的意思。"),
    glossary={
        ("ai", "人工智能"): "人工智能是一类软件：它做的事情，如果由人来做，我们会说这个人很聪明，比如回答这个问题。",
        ("agent", "智能体", "代理"): "智能体是一个分多步处理提示词的程序：它会思考、调用工具，然后作答。",
        ("cancel", "取消", "停止"): '发送 {"type":"cancel"}，运行就会立即结束，即使有工具卡住也一样。',
        ("resume", "恢复", "断线"): '重新连接并发送 {"type":"resume","run_id":…,"after":…}，日志会从您离开的地方继续。',
        ("run", "运行"): "一次运行就是一份只追加的事件日志；观看者从自己的游标处读取这份日志。",
        ("runwire", "协议"): "Runwire 是用于智能体实时运行的开放线上协议，并附带一个检验服务器是否符合协议的评判程序。",
        ("sse",): "服务器发送事件（SSE）传送与 WebSocket 相同的日志，适用于只允许普通 HTTP 的网络。",
        ("token", "词元"): "token 事件携带要追加到答案末尾的文本；答案就是全部 token 的拼接。",
        ("websocket",): "WebSocket 可以双向传送消息；在这里每条消息是一个 JSON 对象。",
    },
    nothing="这个演示的词汇表里没有相关内容。它知道：人工智能、智能体、取消、恢复、运行、协议、SSE、词元、WebSocket。"
    "想要更好的回答，请用您自己的智能体启动服务器。",
    closing="这段文字是分块到达的，每一块是一个 token 事件；只认识六种消息类型的页面就能显示它。",
    joint="",
    ask=("问我", "询问", "先问"),
    delegate=("子智能体", "委托", "subagent"),
    question="要继续吗？",
    declined="用户不想继续",
    as_you_wish="好的，那就不继续了。",
    librarian_thinks="有人想了解更多。",
    librarian_says="图书管理员说：规范共有十九章，另有一篇入门。",
)  # fmt: skip
