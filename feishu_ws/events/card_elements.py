"""What the elements of a card read as, by tag. Pure.

Controls read as what they offer: `[OK]`, `[select: Which?, A / B]`, `[input: Reason]`.
Sources: Feishu docs "接收消息内容" (degraded cards), "卡片组件"; lark-cli
internal/imcontent/card_userdsl.go.
"""

from typing import Any, Final

from feishu_ws.events.card_walk import CardWalk, ElementReader, Node
from feishu_ws.events.post import PREFERRED_LOCALES
from feishu_ws.events.segments import Code, Divider, Emoji, Image, Link, clip, label
from feishu_ws.events.times import minute_utc, parse_ms

_MARKDOWN: Final = frozenset({"markdown", "lark_md"})
_CHOSEN: Final = "✓ "
_DATE: Final = "date"  # a column of Unix milliseconds


def localized(value: Any) -> Any:
    """Return what is there in the preferred locale, else in the first; None without any."""
    if not isinstance(value, dict):
        return None
    preferred = (value[locale] for locale in PREFERRED_LOCALES if value.get(locale))
    return next(preferred, None) or next(iter(value.values()), None)


# -- words --------------------------------------------------------------------------------


def _text(walk: CardWalk, node: Node, depth: int) -> str:
    words = node.get("content") or localized(node.get("i18n") or node.get("i18n_content"))
    if not isinstance(words, str):
        return walk.inline(node.get("text"), depth)
    return walk.markdown.words(words) if node["tag"] in _MARKDOWN else words


def _joined(walk: CardWalk, node: Node, depth: int) -> str:
    return walk.inline([node.get("elements"), node.get("actions")], depth)


def _label(walk: CardWalk, node: Node, depth: int) -> str:
    return walk.inline(node.get("text"), depth)


def _link(_: CardWalk, node: Node, __: int) -> str:
    return Link(_string(node, "href"), _string(node, "text")).read()


def _at(walk: CardWalk, node: Node, _: int) -> str:
    who = _string(node, "user_id") or _string(node, "id")
    return walk.mentions.find(who, clip(_string(node, "user_name"))).read()


def _people(walk: CardWalk, node: Node, _: int) -> str:
    ids = [_string(node, "user_id"), *(_string(one, "id") for one in _objects(node, "persons"))]
    return " ".join(walk.mentions.find(one).read() for one in walk.take(filter(None, ids)))


def _code(_: CardWalk, node: Node, __: int) -> str:
    return Code(_string(node, "text"), clip(_string(node, "language"))).read()


def _emotion(_: CardWalk, node: Node, __: int) -> str:
    return Emoji(clip(_string(node, "emoji_type"))).read()


def _image(walk: CardWalk, node: Node, depth: int) -> str:
    key = _string(node, "img_key") or _string(node, "image_key")
    if key:
        walk.markdown.image_keys.append(key)
    alt = walk.inline(node.get("title"), depth) or walk.inline(node.get("alt"), depth)
    return Image(key, clip(alt)).read()


def _images(walk: CardWalk, node: Node, depth: int) -> str:
    return " ".join(_image(walk, one, depth) for one in walk.take(_objects(node, "img_list")))


# -- controls -----------------------------------------------------------------------------


def _button(walk: CardWalk, node: Node, depth: int) -> str:
    words = _label(walk, node, depth) or "button"
    address = _address(node)
    return Link(address, words).read() if address else f"[{words}]"


def _address(node: Node) -> str:
    """Return where a button leads, "" if nowhere."""
    several = node.get("multi_url")
    found = [_string(node, "url"), _string(several, "url") if isinstance(several, dict) else ""]
    found += [_string(one, "default_url") for one in _objects(node, "behaviors")]
    return next(filter(None, found), "")


def _menu(walk: CardWalk, node: Node, depth: int) -> str:
    return label("menu", _options(walk, node, depth))


def _select(walk: CardWalk, node: Node, depth: int) -> str:
    placeholder = walk.inline(node.get("placeholder"), depth)
    return label("select", placeholder, _options(walk, node, depth))


def _options(walk: CardWalk, node: Node, depth: int) -> str:
    chosen = [_string(node, "initial_option"), *_list(node, "selected_values")]
    offered = walk.take(_list(node, "options"))
    found = [_option(walk, one, chosen, depth) for one in offered]
    if not found:  # of people, only who is chosen is named
        people = (one for one in chosen if one and isinstance(one, str))
        found = [_CHOSEN + walk.mentions.find(one).read() for one in walk.take(people)]
    return " / ".join(filter(None, found))


def _option(walk: CardWalk, option: Any, chosen: list[Any], depth: int) -> str:
    if not isinstance(option, dict):
        return walk.inline(option, depth)
    value = _string(option, "value")
    words = _image(walk, option, depth) if "img_key" in option else _label(walk, option, depth)
    return (_CHOSEN if value and value in chosen else "") + (words or value)


def _input(walk: CardWalk, node: Node, depth: int) -> str:
    filled = _string(node, "default_value") or walk.inline(node.get("placeholder"), depth)
    return label("input", walk.inline(node.get("label"), depth), filled)


def _date(walk: CardWalk, node: Node, depth: int) -> str:
    return label("date", _picked(walk, node, "initial_date", depth))


def _time(walk: CardWalk, node: Node, depth: int) -> str:
    return label("time", _picked(walk, node, "initial_time", depth))


def _date_and_time(walk: CardWalk, node: Node, depth: int) -> str:
    return label("date and time", _picked(walk, node, "initial_datetime", depth))


def _picked(walk: CardWalk, node: Node, key: str, depth: int) -> str:
    return _string(node, key) or walk.inline(node.get("placeholder"), depth)


def _checker(walk: CardWalk, node: Node, depth: int) -> str:
    return f"[{'x' if node.get('checked') is True else ' '}] {_label(walk, node, depth)}"


# -- data ---------------------------------------------------------------------------------


def _table(walk: CardWalk, node: Node, depth: int) -> str:
    columns = _objects(node, "columns")
    heads = [_string(one, "display_name") or _string(one, "name") for one in columns]
    rows = [
        [_cell(walk, row.get(_string(one, "name")), one, depth) for one in columns]
        for row in walk.take(_objects(node, "rows"))
    ]
    lines = [heads, ["---"] * len(heads), *rows] if heads else []
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(walk: CardWalk, value: Any, column: Node, depth: int) -> str:
    if isinstance(value, int | float):
        unix_ms = parse_ms(value) if column.get("data_type") == _DATE else None
        return f"{value}" if unix_ms is None else minute_utc(unix_ms)
    return walk.inline(value, depth).replace("\n", " ")


def _chart(walk: CardWalk, node: Node, depth: int) -> str:
    spec = node.get("chart_spec")
    spec = spec if isinstance(spec, dict) else {}
    return label("chart", walk.inline(spec.get("title"), depth), _string(spec, "type"))


ELEMENTS: Final[dict[str, ElementReader]] = {
    "a": _link,
    "action": _joined,
    "actions": _joined,
    "at": _at,
    "audio": lambda *_: "[audio]",
    "avatar": _people,
    "button": _button,
    "chart": _chart,
    "checker": _checker,
    "code_block": _code,
    "custom_icon": lambda *_: "",
    "date_picker": _date,
    "emotion": _emotion,
    "fallback_text": lambda *_: "",
    "hr": lambda *_: Divider().read(),
    "image": _image,
    "img": _image,
    "img_combination": _images,
    "input": _input,
    "lark_md": _text,
    "markdown": _text,
    "multi_select_person": _select,
    "multi_select_static": _select,
    "note": _joined,
    "overflow": _menu,
    "person": _people,
    "person_list": _people,
    "picker_date": _date,
    "picker_datetime": _date_and_time,
    "picker_time": _time,
    "plain_text": _text,
    "select_img": _select,
    "select_person": _select,
    "select_static": _select,
    "standard_icon": lambda *_: "",
    "table": _table,
    "text": _text,
    "text_tag": _label,
    "video": lambda *_: "[video]",
}
"""Readers by tag; containers need none."""


def _string(node: Node, key: str) -> str:
    """Return a member that is a string, else ""."""
    value = node.get(key)
    return value if isinstance(value, str) else ""


def _list(node: Node, key: str) -> list[Any]:
    """Return a member that is a list, else an empty one."""
    value = node.get(key)
    return value if isinstance(value, list) else []


def _objects(node: Node, key: str) -> list[Node]:
    """Return the objects in a member that is a list."""
    return [one for one in _list(node, key) if isinstance(one, dict)]
