"""Random changes to the content of files, drawn from a seeded generator."""

import re
import struct
from collections.abc import Callable

import numpy as np

_NUMBER = re.compile(rb"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?")
_EXTREMES = [struct.pack("<i", n) for n in (0, 1, -1, 255, 1 << 24, 2**31 - 1, -(2**31))]
_SPELLINGS = [
    *(b"nan", b"NaN", b"inf", b"-Infinity", b"1e999", b"-1e308", b"1e-400", b"9" * 400, b"-" + b"7" * 5000),
    *(b"7", b"-3.5", b"1e2", b"", b"0", b"-0", b"1_0", b"0x1F", b"1,5", b"1j", b"True", b"true", b"null", b"one"),
    *(b'"1"', b"\xd9\xa3", b"\xff"),
    *(b"\0", b"[]", b"{}", b"[[1]]", b"[" * 3000, b'"', b"\n", b"\\ud800", b"\\u0000", b"../..", b"/etc/passwd"),
]


def _places(rng: np.random.Generator, content: bytes, count: int) -> list[int]:
    return sorted(int(n) for n in rng.integers(len(content) + 1, size=count))


def _flipped(rng: np.random.Generator, content: bytes) -> bytes:
    changed = bytearray(content)
    for place in rng.integers(len(content), size=rng.integers(1, 6)) if content else ():
        changed[place] ^= 1 << rng.integers(8)
    return bytes(changed)


def _overwritten(rng: np.random.Generator, content: bytes) -> bytes:
    (start,) = _places(rng, content, 1)
    noise = rng.bytes(int(rng.integers(1, 17)))
    return content[:start] + noise + content[start + len(noise) :]


def _with_extreme(rng: np.random.Generator, content: bytes) -> bytes:
    """Four aligned bytes replaced by a number at the edge of its range."""
    start = 4 * int(rng.integers(len(content) // 4 + 1))
    return content[:start] + _EXTREMES[rng.integers(len(_EXTREMES))] + content[start + 4 :]


def _respelt(rng: np.random.Generator, content: bytes) -> bytes:
    """A decimal number replaced by something that may not be one."""
    found = list(_NUMBER.finditer(content))
    if not found:
        return content
    number = found[rng.integers(len(found))]
    return content[: number.start()] + _SPELLINGS[rng.integers(len(_SPELLINGS))] + content[number.end() :]


def _truncated(rng: np.random.Generator, content: bytes) -> bytes:
    return content[: _places(rng, content, 1)[0]]


def _longer(rng: np.random.Generator, content: bytes) -> bytes:
    (start,) = _places(rng, content, 1)
    return content[:start] + rng.bytes(int(rng.integers(1, 33))) + content[start:]


def _shorter(rng: np.random.Generator, content: bytes) -> bytes:
    start, end = _places(rng, content, 2)
    return content[:start] + content[end:]


def _repeated(rng: np.random.Generator, content: bytes) -> bytes:
    start, end = _places(rng, content, 2)
    return content[:start] + content[start:end] * int(rng.integers(2, 9)) + content[end:]


def _swapped(rng: np.random.Generator, content: bytes) -> bytes:
    a, b, c = _places(rng, content, 3)
    return content[:a] + content[b:c] + content[a:b] + content[c:]


def _recoded(rng: np.random.Generator, content: bytes) -> bytes:
    codecs = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7")
    return content.decode("latin-1").encode(codecs[rng.integers(len(codecs))])


def _replaced(rng: np.random.Generator, content: bytes) -> bytes:
    return (b"", b"\n", rng.bytes(200), bytes(200), b"<html>404</html>")[rng.integers(5)]


_ALL: tuple[Callable[[np.random.Generator, bytes], bytes], ...] = (
    *(_flipped, _overwritten, _with_extreme, _respelt, _respelt, _respelt),
    *(_truncated, _longer, _shorter, _repeated, _swapped, _recoded, _replaced),
)


def mutated(rng: np.random.Generator, content: bytes) -> bytes:
    """The content after one or two changes, at most 100,000 bytes of it."""
    for _ in range(rng.integers(1, 3)):
        content = _ALL[rng.integers(len(_ALL))](rng, content)[:100_000]
    return content
