"""Decoding JSON objects whose fields may be of any type. Pure.

A shape is a msgspec Struct in which every field has a default. What does not fit
its field (a number for a string, null, a string that is too long) is as if it were
absent; what fits is kept, of a list with odd items as far as `MAX_ODD_ITEMS`. The
strict decoder goes first, so that only odd input pays for the tolerance.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from types import UnionType
from typing import Any, Final, Generic, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec.json import Decoder
from msgspec.structs import fields

from feishu_ws.surrogates import mend_surrogates

T = TypeVar("T", bound=msgspec.Struct)
V = TypeVar("V")
Text = bytes | str | msgspec.Raw

MAX_ODD_ITEMS: Final = 4096
"""Items of a list that are looked at one by one; a million odd ones would take seconds."""

_ABSENT: Final = msgspec.Raw(b"")
_REPLACEMENT: Final = b"\\ufffd"


class TolerantDecoder(Generic[T]):
    """Decodes objects into `shape`, field by field where that is needed."""

    def __init__(self, shape: type[T]) -> None:
        self._shape = shape
        self._strict = Decoder(shape)
        names = [field.name for field in fields(shape)]
        twin = msgspec.defstruct(shape.__name__, [(name, msgspec.Raw, _ABSENT) for name in names])
        self._twin: Decoder[Any] = Decoder(twin)
        self._readers = [(field.name, _reader(field.type)) for field in fields(shape)]

    def decode(self, text: Text) -> T:
        """Return what fits.

        Raises:
            msgspec.DecodeError: `text` is no JSON object as msgspec reads it.
            RecursionError: It nests deeper than the interpreter allows.
        """
        try:
            return self._strict.decode(text)
        except (msgspec.ValidationError, UnicodeDecodeError):
            return self._decode_loosely(text)

    def read(self, text: str | bytes) -> T | None:
        """Return what fits of any text at all, None where it is no JSON object."""
        return read_total(self.decode, text)

    def _decode_loosely(self, text: Text) -> T:
        raws = self._twin.decode(text)
        found = ((name, reader, getattr(raws, name)) for name, reader in self._readers)
        values = ((name, _fit(reader, raw)) for name, reader, raw in found if raw != _ABSENT)
        return self._shape(**{name: value for name, value in values if value is not _ABSENT})


def read_total(decode: Callable[[Text], V], text: str | bytes) -> V | None:
    """Return what a msgspec decoder makes of any text at all, None where it fails.

    Escapes of lone surrogates, which no decoder takes, read as U+FFFD.
    """
    value = _attempt(decode, text)
    if value is None:
        raw = text.encode() if isinstance(text, str) else text
        mended = mend_surrogates(raw, _REPLACEMENT)
        return None if mended is raw else _attempt(decode, mended)
    return value


def _attempt(decode: Callable[[Text], V], text: Text) -> V | None:
    try:
        return decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _reader(kind: Any) -> Callable[[Any], Any]:
    """Return what decodes one field of type `kind`."""
    if get_origin(kind) is list:
        return _list_reader(_reader(get_args(kind)[0]))
    if get_origin(kind) in {Union, UnionType}:
        return _first_that_fits([_reader(part) for part in get_args(kind)])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return TolerantDecoder(kind).decode
    return Decoder(kind).decode


def _fit(reader: Callable[[Any], Any], raw: msgspec.Raw) -> Any:
    """Return what `reader` makes of `raw`, `_ABSENT` where it does not fit."""
    try:
        return reader(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _ABSENT


def _first_that_fits(readers: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def read(raw: msgspec.Raw) -> Any:
        values = (_fit(reader, raw) for reader in readers)
        return next((value for value in values if value is not _ABSENT), _ABSENT)

    return read


def _list_reader(read_item: Callable[[Any], Any]) -> Callable[[Any], Any]:
    raws: Decoder[list[msgspec.Raw]] = Decoder(list[msgspec.Raw])

    def read(raw: msgspec.Raw) -> list[Any]:
        items = (_fit(read_item, item) for item in islice(raws.decode(raw), MAX_ODD_ITEMS))
        return [item for item in items if item is not _ABSENT]

    return read
