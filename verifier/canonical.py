"""Reads JSON that stands in its one canonical form (RFC 8785), and nothing else: two texts never mean the same."""

import base64
import functools
import json
import re


class Unsound(Exception):
    """The first thing that is wrong."""


# Every token in its shortest form, and no space between tokens. That they stand in a right order is for json to see.
# No text matches in two ways, so that a hostile one costs no more time than another.
_PLAIN = r'[^"\\\x00-\x1f]*'
_ESCAPE = r'\\(?:["\\bfnrt]|u00(?:0[0-7bef]|1[0-9a-f]))'
_TOKENS = re.compile(
    rf'(?:[\[\]{{}},:]|true|false|null|-?[0-9][0-9.e+-]*(?![0-9.e+-])|"{_PLAIN}(?:{_ESCAPE}{_PLAIN})*")*'
)


@functools.lru_cache(maxsize=4096)
def read(data):
    """The value of canonical bytes. What it returns is shared: nobody may change it."""
    try:
        text = data.decode("utf-8")
        if not _TOKENS.fullmatch(text):
            raise ValueError("a space, or an escape that is not needed")
        return json.loads(text, object_pairs_hook=_object, parse_int=_number, parse_float=_number, parse_constant=_number)
    except (ValueError, RecursionError) as error:
        raise Unsound(f"is not canonical JSON: {error}") from error


def write(value):
    """The canonical bytes of a value made of what `read` returns and of texts."""
    text = json.dumps(_ordered(value), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8")


@functools.lru_cache(maxsize=4096)
def from_base64(text, length=None):
    """Bytes of standard base64 in its one form."""
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise Unsound("holds damaged base64") from error
    if base64.b64encode(data).decode() != text or (length is not None and len(data) != length):
        raise Unsound("holds damaged base64")
    return data


def fields(value, names, what):
    """The value, when it is an object of exactly these fields."""
    if not isinstance(value, dict) or set(value) != set(names):
        raise Unsound(f"is no {what}")
    return value


def _by_utf16(name):
    return name.encode("utf-16-be")


def _object(pairs):
    names = [_by_utf16(name) for name, _ in pairs]
    if any(a >= b for a, b in zip(names, names[1:])):
        raise ValueError("names twice or out of order")
    return dict(pairs)


def _ordered(value):
    if isinstance(value, dict):
        return {name: _ordered(value[name]) for name in sorted(value, key=_by_utf16)}
    return [_ordered(each) for each in value] if isinstance(value, list) else value


class _Fraction(float):
    """A number with a fraction or an exponent, which is written as ECMAScript writes it."""

    def __repr__(self):
        return _ecmascript(self)


def _number(text):
    if len(text) < 16 and text.isdigit() and str(int(text)) == text:
        return int(text)
    if _ecmascript(float(text)) != text:
        raise ValueError(f"the number {text}")
    return int(text) if text.lstrip("-").isdigit() else _Fraction(text)


def _ecmascript(number):
    if number == 0:
        return "0"
    mantissa, _, exponent = float.__repr__(abs(number)).partition("e")
    whole, _, part = mantissa.partition(".")
    digits = (whole + part).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + part) - len(digits))
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        written = digits + "0" * (point - len(digits))
    elif 0 < point <= 21:
        written = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        written = f"0.{'0' * -point}{digits}"
    else:
        written = digits[0] + (f".{digits[1:]}" if digits[1:] else "") + f"e{point - 1:+d}"
    return f"-{written}" if number < 0 else written
