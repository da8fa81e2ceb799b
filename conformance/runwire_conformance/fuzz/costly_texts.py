"""JSON texts that are expensive for a naive parser: unclosed quotes, deep nesting, long numbers and names."""

from collections.abc import Iterator, Mapping

#: How large such a text is at most: enough to keep a reader busy for hours that takes quadratic time.
MOST_BYTES = 262_144

#: By what they are: how texts begin, what is repeated as often as there is room, and how they end. None is an object.
REFUSED: Mapping[str, tuple[bytes, bytes, bytes]] = {
    "quotes that never close": (b'{"type":"start","prompt":[[[[[[[[[ ', b'\\"', b""),
    "a string that never closes": (b'{"prompt":"', b'\\"', b""),
    "a string of backslashes": (b'{"prompt":"', b"\\\\", b""),
    "arrays that never close": (b'{"prompt":', b"[", b""),
    "objects that never close": (b'{"prompt":', b'{"a":', b""),
    "spaces without a value": (b'{"prompt":', b" ", b""),
    "digits without an end": (b'{"prompt":', b"9", b""),
    "an array that is no object": (b"[0", b",0", b"]"),
}

#: The same for texts that are objects and no costlier than their length: they may be refused or not.
READ: Mapping[str, tuple[bytes, bytes, bytes]] = {
    "a number of many digits": (b'{"type":"heartbeat","x":', b"9", b"}"),
    "a fraction of many digits": (b'{"type":"heartbeat","x":0.', b"1", b"e-9}"),
    "one name again and again": (b'{"type":"heartbeat"', b',"x":0', b"}"),
    "a wide array": (b'{"type":"heartbeat","x":[0', b",{}", b"]}"),
    "escapes": (b'{"type":"heartbeat","x":"', b"\\u00e9", b'"}'),
}


def texts(kinds: Mapping[str, tuple[bytes, bytes, bytes]], most: int) -> Iterator[tuple[str, bytes]]:
    """Yield what each text is, in words, and its bytes: as many as `most` allows."""
    for name, (begin, middle, end) in kinds.items():
        times = (min(most, MOST_BYTES) - len(begin) - len(end)) // len(middle)
        yield name, begin + middle * times + end


def nested(most: int) -> bytes:
    """Return an object that nests as deep as its size allows, and closes."""
    times = (min(most, MOST_BYTES) - 20) // 2
    return b'{"prompt":' + b"[" * times + b"]" * times + b"}"


def wide(most: int) -> bytes:
    """Return an object of as many different members as its size allows."""
    members, size, number = [b'{"type":"heartbeat"'], 30, 0
    while size < min(most, MOST_BYTES) - 20:
        members.append(b',"m%d":0' % number)
        size += len(members[-1])
        number += 1
    return b"".join(members) + b"}"
