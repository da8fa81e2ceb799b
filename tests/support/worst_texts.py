"""Texts that cost a careless reader most, each of about as many bytes as asked for."""

from collections.abc import Callable, Mapping

_DEEP = '{"type":"start","prompt":' + "[" * 9


def _filled(head: str, piece: str, tail: str = "") -> Callable[[int], str]:
    return lambda size: head + piece * ((size - len(head) - len(tail)) // len(piece)) + tail


WORST_TEXTS: Mapping[str, Callable[[int], str]] = {
    "escaped quotes, never closed": _filled(_DEEP + " ", '\\"'),
    "escaped quotes in a string that is never closed": _filled(_DEEP + '"', '\\"'),
    "a string that is never closed": _filled(_DEEP + '"', "a"),
    "quotes": _filled(_DEEP, '"'),
    "an odd number of quotes": _filled(_DEEP, '"', '"'),
    "words without commas": _filled(_DEEP, '"a" '),
    "backslashes": _filled(_DEEP, "\\"),
    "backslashes in a string that is never closed": _filled(_DEEP + '"', "\\"),
    "escaped quotes in a valid prompt": _filled('{"prompt":"', '\\"', '"}'),
    "brackets in a valid prompt": _filled('{"prompt":"', "[{", '"}'),
    "arrays that are never closed": _filled("", "["),
    "objects that are never closed": _filled("", '{"a":'),
    "deep arrays": lambda size: '{"prompt":"x","inputs":' + "[" * (size // 2) + "]" * (size // 2) + "}",
    "deep objects": lambda size: '{"a":' * (size // 6) + "1" + "}" * (size // 6),
    "many arrays of the depth that is allowed": _filled(
        '{"prompt":"x","inputs":{"a":[0', "," + "[" * 20 + "]" * 20, "]}}"
    ),
    "a long integer": _filled('{"prompt":"x","inputs":{"a":', "1", "}}"),
    "a long fraction": _filled('{"prompt":"x","inputs":{"a":0.', "1", "}}"),
    "a long exponent": _filled('{"prompt":"x","inputs":{"a":1e', "1", "}}"),
    "many long integers": _filled('{"prompt":"x","inputs":{"a":[0', "," + "7" * 4000, "]}}"),
    "a name that is repeated": _filled('{"prompt":"x"', ',"a":1', "}"),
    "objects with repeated names": _filled('{"prompt":"x","inputs":{"a":[0', ',{"a":1,"a":1}', "]}}"),
    "many names": lambda size: '{"prompt":"x"' + "".join(f',"{n:06}":1' for n in range(size // 11)) + "}",
    "a wide array": _filled('{"prompt":"x","inputs":{"a":[0', ",0", "]}}"),
    "many empty arrays": _filled('{"prompt":"x","inputs":{"a":[0', ",[]", "]}}"),
    "a long member name": _filled('{"prompt":"x","', "a", '":1}'),
    "a long type": _filled('{"type":"', "a", '"}'),
    "a long id": _filled('{"prompt":"x","id":"', "a", '"}'),
    "a long run_id": _filled('{"type":"cancel","run_id":"', "a", '"}'),
    "a long traceparent": _filled('{"prompt":"x","traceparent":"00-', "0", '"}'),
    "halves of characters": _filled('{"prompt":"', "\\ud800", '"}'),
    "escaped characters": _filled('{"prompt":"', "\\ud83d\\ude00", '"}'),
    "white space": _filled('{"prompt":"x"', " ", "}"),
    "line ends": _filled('{"prompt":"x"', "\r\n", "}"),
    "white space and no end": _filled('{"prompt":"x"', " "),
    "text behind the end": _filled('{"prompt":"x"}', "x"),
    "colons": _filled("{", ":"),
    "commas": _filled('{"prompt":"x"', ","),
    "minus signs": _filled('{"prompt":', "-"),
}
