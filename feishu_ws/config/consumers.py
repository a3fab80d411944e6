"""The kind of `delivery.consumers`: names, or tables that say what a consumer wants. Pure."""

import json
from dataclasses import dataclass
from typing import Any, Final

from feishu_ws.config.kinds import MAX_SEEN, FromJson, UnfitError, show
from feishu_ws.model import Filter
from feishu_ws.wire.native import is_consumer_name
from feishu_ws.wire.wanted import find_flaw

MAX_CONSUMERS: Final = 32

Declared = tuple[str, Filter]
"""A consumer that the operator declared, and what it wants."""

_FIELDS: Final = ("name", "types", "chats", "ignore_own")


@dataclass(frozen=True)
class Consumers(FromJson):
    """Names, or tables of name, types, chats and ignore_own; kept as name and filter."""

    expected: str = f"at most {MAX_CONSUMERS} names or {{name, types, chats, ignore_own}}"

    def parse(self, value: object) -> tuple[Declared, ...]:
        """Return them in the order given; each name stands once."""
        if not isinstance(value, list):
            raise UnfitError
        if len(value) > MAX_CONSUMERS:
            raise UnfitError(f"{len(value)} consumers")
        found = tuple(_consumer(item) for item in value)
        names = [name for name, _ in found]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UnfitError(f"{show(twice[0])} twice", "each name once")
        return found

    def show(self, value: tuple[Declared, ...]) -> str:
        """Return the names, with what a filter leaves."""
        return json.dumps([_short(*consumer) for consumer in value], ensure_ascii=False)


def _consumer(item: object) -> Declared:
    table = {"name": item} if isinstance(item, str) else item
    if not isinstance(table, dict):
        raise UnfitError(f"{show(item, MAX_SEEN)} in the list")
    strange = sorted(set(table) - set(_FIELDS))
    if strange:
        raise UnfitError(f"{show(strange[0], MAX_SEEN)} in a consumer", ", ".join(_FIELDS))
    name, own = table.get("name"), table.get("ignore_own", False)
    if not isinstance(name, str) or not is_consumer_name(name):
        raise UnfitError(f"the name {show(name, MAX_SEEN)}", "1 to 64 of a-z 0-9 _ . -")
    if not isinstance(own, bool):
        raise UnfitError(f"ignore_own = {show(own)}", "ignore_own true or false")
    return name, _filter(name, table, ignore_own=own)


def _filter(name: str, table: dict[str, Any], *, ignore_own: bool) -> Filter:
    types, chats = _words(table, "types", ["*"]), _words(table, "chats", [])
    if not types:  # chats = [] is every chat, which makes this a trap
        raise UnfitError(f"types = [] of {name}", "at least one glob; every type without the key")
    wanted = Filter(types=types, chats=chats, ignore_own=ignore_own)
    if flaw := find_flaw(wanted):
        raise UnfitError(f"{flaw.seen} in {name}", flaw.expected)
    return wanted


def _words(table: dict[str, Any], name: str, default: list[str]) -> tuple[str, ...]:
    value = table.get(name, default)
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise UnfitError(f"{name} = {show(value, MAX_SEEN)}", f"{name} as a list of words")
    return tuple(value)


def _short(name: str, wanted: Filter) -> str:
    notes = [",".join(wanted.types)] if wanted.types != ("*",) else []
    notes += [f"{len(wanted.chats)} chats"] if wanted.chats else []
    notes += ["ignore_own"] if wanted.ignore_own else []
    return f"{name} ({'; '.join(notes)})" if notes else name
