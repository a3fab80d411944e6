"""Payloads as nobody should send them, without end and the same for the same seed.

    for payload in hostile_payloads(seed=7): ...

First every field of every event and message there is a sample or a model of, in the place
of which stands every type of JSON, and then whatever else can be wrong: bytes, escapes,
numbers, nesting, sizes. No two payloads are the same event: each has ids, or bytes, of its
own, so that none is a duplicate.
"""

import hashlib
import json
import random
from itertools import chain

from events.corpus import HEADER, event, message
from events.lark import SHAPES, fill

from feishu_ws.clock import ManualClock
from feishu_ws.simulator.corpus import SAMPLES, Origin

MIB = 1024 * 1024
LARGE = 3 * MIB
STRUCTURED = 240 * 1024
"""Content that is longer than some 256 KiB is not taken apart."""
DEEPEST = 100_000

FRESH = "@fresh@"
"""Stands for an id that no other payload has."""

HOLE = "@hole@"
TYPES = (
    (b"null",),
    (b"true", b"false"),
    (b"0", b"-1", b"1.5", b"1e999", b"-0.0", b"9" * 400, b"-" + b"1" * 5000, b"1774004591415"),
    (b'""', b'"%b"' % FRESH.encode(), b'"\\ud800"', b'"\\udc00\\ud83d"', b'"\\u0000"', b'"\\u202e\\n"'),
    (b"[]", b"[[]]", b'[null,1,"x",{}]', b'["x",["x",[{}]]]'),
    (b"{}", b'{"a":[{"b":null}]}', b'{"open_id":{"open_id":[]}}', b'{"text":1,"tag":{}}'),
)  # fmt: skip
"""What stands where something else should: of every type of JSON some spellings."""

TOKENS = tuple(token for tokens in TYPES for token in tokens)

_ORIGIN = Origin(clock=ManualClock())
MARK = b'"%b"' % FRESH.encode()


# -- every field, every type ---------------------------------------------------------------


def fields(value, path=()):
    """Return where every member and item of decoded JSON stands, itself included."""
    yield path
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from fields(one, (*path, key))


def punched(value, path):
    """Return decoded JSON with a hole at `path`; nothing of it is changed in place."""
    if not path:
        return HOLE
    key, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = punched(value[key], rest)
    return copy


def fresh_ids(value):
    """Return an event with ids that will be replaced by fresh ones."""
    found = json.loads(value)
    head = found.get("header")
    if isinstance(head, dict):
        head["event_id"] = FRESH
    elif "uuid" in found:
        found["uuid"] = FRESH
    received = found.get("event", {}).get("message")
    if isinstance(received, dict):
        received["message_id"] = "om_" + FRESH
    return found


def models():
    """Return every honest event: simulated ones, and lark-oapi's with every field."""
    for sample in SAMPLES.values():
        if sample.is_honest:
            yield fresh_ids(sample.make(1, _ORIGIN))
    for event_type, shape in SHAPES.items():
        yield fresh_ids(event(event_type, fill(shape)))


def encode(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def with_types(rng, value):
    """Return a value with every type of JSON in the place of every field."""
    for path in fields(value):
        made = encode(punched(value, path))
        for spellings in TYPES:
            yield made.replace(b'"%b"' % HOLE.encode(), rng.choice(spellings))


def contents_with_types(rng):
    """Return messages whose content has every type of JSON in the place of every field."""
    for name, sample in SAMPLES.items():
        if not name.startswith("message."):
            continue
        whole = fresh_ids(sample.make(1, _ORIGIN))
        try:
            content = json.loads(whole["event"]["message"]["content"])
        except ValueError:
            continue
        for made in with_types(rng, content):
            whole["event"]["message"]["content"] = made.decode()
            yield encode(whole)


# -- bytes, escapes, numbers ---------------------------------------------------------------

SCRAPS = (
    b"\\", b'"', b"\n", b"\r", b"\t", b"]", b"[", b"}", b"{", b",", b":", b"NaN", b"Infinity", b"\0",
    b"\xef\xbb\xbf", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\\u", b"\\ud800", b"\\x",
    b"\\u12", b"\x7f", b"\xc2\x85", b"\xe2\x80\xa8", b"//", b"'", b"1e999", b"-", b"00",
)  # fmt: skip


def refreshed(rng, payload):
    """Return a payload with an id that no other has."""
    return payload.replace(FRESH.encode(), b"%016x" % rng.getrandbits(64))


def damaged(rng, sound):
    """Return a payload in which a few bytes are missing, doubled or others."""
    text = bytearray(refreshed(rng, sound))  # or the damage might be to what stands for an id
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(text) + 1)
        text[at : at + rng.randint(0, 2)] = rng.choice(SCRAPS)
    return bytes(text[: rng.randrange(len(text) + 1)] if rng.random() < 0.2 else text)


def numbers():
    """Return numbers, right and wrong, from small to five thousand digits."""
    digits = ("7" * n for n in (1, 17, 19, 20, 40, 309, 400, 4299, 4301, 5000))
    for whole in digits:
        for form in (
            "%s",
            "-%s",
            "%s.5",
            "0.%s",
            "%se5",
            "1e%s",
            "1e-%s",
            "%s.",
            ".%s",
            "+%s",
            "0%s",
        ):
            yield (form % whole).encode()
    yield from (
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"0x10",
        b"1_0",
        b"1e",
        b"--1",
        b"1e999",
        b"-1E+999",
    )


def with_numbers():
    """Return events in which a number stands where text or a time should."""
    for path in (
        ("header", "create_time"),
        ("event", "message", "content"),
        ("event", "x"),
        ("ts",),
    ):
        base = fresh_ids(message("text", {"text": "x"}))
        base["event"]["x"] = base["ts"] = 0
        made = encode(punched(base, path))
        yield from (made.replace(b'"%s"' % HOLE.encode(), number) for number in numbers())


def doubled(rng, sound):
    """Return two events in one object: every name stands twice, with other values."""
    one, other = (rng.choice(sound)[1:-1] for _ in range(2))
    return b'{%b,"event":%b,%b}' % (one, rng.choice(TOKENS), other)


def no_events(rng):
    """Return JSON, or what is none, without any envelope."""
    kind = rng.randrange(8)
    return (
        rng.choice((b"", b" ", b"\n", b"null", b"[]", b"{}", b"7", b"\0", b"\xef\xbb\xbf{}", b'"'))
        + b" " * rng.randrange(4000),
        MARK,
        b"[%b]" % MARK,
        b'{"schema":%b}' % MARK,
        b'{"schema":"2.0","header":%b}' % MARK,
        b'{"schema":"2.0","header":{"event_type":%b}}' % MARK,
        rng.randbytes(rng.randrange(1, 200)),
        b"\0" * rng.randrange(1, 3000),
    )[kind]


def anything(rng, depth=0):
    """Return some JSON that may mean something to somebody."""
    kind = rng.randrange(10 if depth < 4 else 6)
    if kind < 2:
        return rng.choice(
            ("text", "post", "im.message.receive_v1", "2.0", "", "\0", "\ud800", "群")
        )
    if kind < 6:
        return rng.choice((None, True, 0, -1, 10**30, 1.5, FRESH, "x" * rng.randrange(300)))
    if kind < 8:
        return [anything(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(_NAMES): anything(rng, depth + 1) for _ in range(rng.randrange(6))}


_NAMES = (
    *("schema", "header", "event", "uuid", "event_id", "event_type", "create_time", "message"),
    *("sender", "content", "mentions", "key", "id", "open_id", "type", "context", "operator"),
    *("chat_id", "text", "title", "elements", "tag", "i18n_names", "a" * 300, "", "\ud83d"),
)


def arbitrary(rng):
    """Return an event whose body or content is any JSON."""
    body = anything(rng)
    kind = rng.choice((*SHAPES, "im.message.receive_v1", "card.action.trigger"))
    if rng.random() < 0.5:
        content = json.dumps(body, ensure_ascii=rng.random() < 0.5)
        kinds = ("text", "post", "interactive", "system", "todo", "vote", "media", "x")
        whole = fresh_ids(message(rng.choice(kinds), content.encode(errors="replace").decode()))
    else:
        whole = {"schema": "2.0", "header": {**HEADER, "event_id": FRESH, "event_type": kind}}
        whole["event"] = body
    return json.dumps(whole).encode()


# -- nesting and size ----------------------------------------------------------------------


def nested(levels):
    """Return events nested so deep, in several places."""
    array, thing = b"[" * levels + b"]" * levels, b'{"a":' * levels + b"1" + b"}" * levels
    mixed = b'[{"event":' * (levels // 2) + b"1" + b"}]" * (levels // 2)
    yield array
    yield thing
    yield mixed
    yield array[: levels + levels // 2]
    yield from (deep.replace(b"1", b'"%s"' % FRESH.encode()) for deep in (thing, mixed))
    for kind in ("post", "interactive", "text"):
        whole = encode(fresh_ids(message(kind, HOLE)))
        for deep in (array, b'{"elements":' * levels + b"1" + b"}" * levels):
            yield whole.replace(HOLE.encode(), json.dumps(deep.decode())[1:-1].encode())
    whole = encode(fresh_ids(message("text", {"text": "x"})))
    for place in (b'"sender":', b'"event":', b'"mentions":'):
        yield whole.replace(place, place[:-1] + b':%b,"x":' % array, 1)


LEVELS = (100, 255, 256, 257, 1000, 5000, 20_000, DEEPEST)


def _repeat(unit, size):
    return unit * (size // len(unit))


def large(size):
    """Return messages that are large, each in its own way; by a name of that way.

    Every one of them is some algorithm's worst case: of a search, of a parser that looks
    ahead, of text that is put together piece by piece.
    """
    texts = {
        "letters": "x", "chinese": "群", "emoji": "\U0001f600", "quotes": '"', "backslashes": "\\",
        "newlines": "\n", "controls": "\x01", "surrogates": "\ud800", "placeholders": "@_user_1 ",
        "near placeholders": "@_user_", "at signs": "@", "tags": '<at user_id="ou_1">a</at>',
        "open tags": "<at id=", "almost tags": "<at id=x>y<", "less": "<", "blanks": " ",
        "brackets": "[](", "stars": "*", "backticks": "`", "open brackets": "[", "braces": "{",
        "blank names": "{a}", "open blanks": "{a", "underscores": "_", "links": "[a](b)",
        "tagged links": '<a href="b">c</a>', "open links": '<a href="', "fonts": "<font color=a>",
        "pictures": "![", "entities": "&amp;", "fences": "```\n", "code": "`a", "persons": "<person id=",
    }  # fmt: skip
    for name, unit in texts.items():
        cost = len(encode(json.dumps(unit)[1:-1])) - 2
        text, less = unit * (size // cost), unit * (min(size, STRUCTURED) // cost)
        yield f"text of {name}", _large("text", {"text": text})
        yield f"markdown of {name}", _large("post", {"content": [[{"tag": "md", "text": less}]]})
        yield f"card of {name}", _large("interactive", {"title": less[:99], "elements": [less]})
    for ways in (_large_structures, _large_bodies, _large_json):
        yield from ways(size).items()


def _large(kind, content, mentions=None):
    made = json.dumps(content)  # surrogates have to be escaped, and escaped again
    return encode(fresh_ids(message(kind, made, mentions)))


def _large_structures(size):
    less = min(size, STRUCTURED)
    short = {"tag": "text", "text": "a"}
    many = [short] * (less // 38)
    paragraphs = [[short]] * (less // 40)
    mention = {"key": "@_user_1", "id": {"open_id": "ou_1"}, "name": "n" * 99}
    return {
        "post of elements": _large("post", {"content": [many]}),
        "post of paragraphs": _large("post", {"content": paragraphs}),
        "post of locales": _large("post", {f"l{n}": {"title": "a"} for n in range(less // 36)}),
        "odd elements": _large("post", {"content": [[7] * (less // 4)]}),
        "odd paragraphs": _large("post", {"content": [7] * (less // 4)}),
        "post too long": _large("post", {"content": [[short] * (size // 38)]}),
        "card of elements": _large("interactive", {"elements": [many]}),
        "card of columns": _large("interactive", {"columns": [{"elements": paragraphs}]}),
        "vote of options": _large("vote", {"topic": "t", "options": ["o"] * (less // 9)}),
        "system of blanks": _large("system", {"template": "{a}" * (less // 4), "a": ["b"] * 99}),
        "mentions": _large("text", {"text": "@_user_1 " * 99}, [mention] * (size // 170)),
        "odd mentions": _large("text", {"text": "@_user_1"}, [7] * (size // 3)),
        "message id": _large("text", "x").replace(b'"om_', b'"' + b"o" * size, 1),
    }


def _large_bodies(size):
    keys = {f"k{n}": n for n in range(size // 14)}
    return {
        "keys": encode({**fresh_ids(message("text", {"text": "x"})), **keys}),
        "keys of the body": _with_body(keys),
        "users": _with_body({"operator_id_list": [{}] * (size // 4)}),
        "odd users": _with_body({"users": [7] * (size // 3)}),
        "odd ids": _with_body({"message_id_list": [7] * (size // 3)}),
        "odd field before": b'{"uuid":[%b0],"event":{"type":%b}}' % (b"0," * (size // 2), MARK),
    }


def _large_json(size):
    units = {"arrays": b"[],", "objects": b"{},", "strings": b'"",', "zeros": b"0,"}
    arrays = {
        f"array of {name}": b"[%b%b]" % (_repeat(unit, size), MARK) for name, unit in units.items()
    }
    return arrays | {
        "lone surrogates": b'{"a":"%b","b":%b}' % (_repeat(b"\\ud800", size), MARK),
        "blanks": b"%b%b" % (_repeat(b" \n", size), MARK),
        "digits": b"[%b,%b]" % (b"7" * size, MARK),
        "fraction": b"[0.%b,%b]" % (b"7" * size, MARK),
        "NULs": b"\0" * size,
        "bytes": bytes(range(128, 256)) * (size // 128),
        "open strings": b'["%b' % _repeat(b'\\"', size),
        "open arrays": b"[" * size,
    }


def _with_body(body):
    return encode(fresh_ids(event("drive.file.edit_v1", body)))


# -- all of them ---------------------------------------------------------------------------

_SMALL = [
    sample.make(1, _ORIGIN)
    for sample in SAMPLES.values()
    if sample.is_honest and not sample.is_callback
]


def unending(rng):
    """Return payloads of every small kind."""
    sound = [encode(fresh_ids(payload)) for payload in _SMALL]
    while True:
        kind = rng.random()
        if kind < 0.6:
            yield damaged(rng, rng.choice(sound))
        elif kind < 0.85:
            yield arbitrary(rng)
        elif kind < 0.93:
            yield doubled(rng, sound)
        else:
            yield no_events(rng)


def hostile_payloads(seed, count, size=LARGE, levels=LEVELS):
    """Return so many payloads, large and deep ones spread evenly among them."""
    rng = random.Random(seed)
    rare = [made for _, made in large(size)]
    rare += [made for deep in levels for made in nested(deep)]
    systematic = chain(
        chain.from_iterable(with_types(rng, model) for model in models()),
        contents_with_types(rng),
        with_numbers(),
    )
    rng.shuffle(rare)
    small = chain(systematic, unending(rng))
    every = max(count // len(rare), 1)
    seen = set()
    made = 0
    while made < count:
        payload = rare.pop() if rare and made % every == every // 2 else next(small)
        payload = refreshed(rng, payload)
        key = hashlib.blake2b(payload, digest_size=16).digest()
        if key not in seen:
            seen.add(key)
            made += 1
            yield payload
