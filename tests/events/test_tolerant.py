from typing import Annotated

import msgspec
import pytest
from events.corpus import mutants, payloads, unhurried
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.events.tolerant import MAX_ODD_ITEMS, TolerantDecoder, read_total

Short = Annotated[str, msgspec.Meta(max_length=5)]


class Inner(msgspec.Struct):
    name: Short = "?"


class Outer(msgspec.Struct):
    text: Short = ""
    number: int | float | str = 0
    inner: Inner | None = None
    either: Inner | Short | None = None
    several: list[Inner] | None = None
    rows: list[list[Inner]] = []
    raw: msgspec.Raw = msgspec.Raw(b"-")


decoder = TolerantDecoder(Outer)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"text":"a","number":1.5,"inner":{"name":"b"}}', Outer("a", 1.5, Inner("b"))),
        ('{"text":7,"number":"9"}', Outer("", "9")),
        ('{"text":null,"number":[]}', Outer()),
        ('{"text":"too long","number":3}', Outer("", 3)),
        ('{"number":1e999,"text":"a"}', Outer("a")),
        ('{"number":' + "9" * 5000 + ',"text":"a"}', Outer("a")),
        ('{"inner":"b","text":"a"}', Outer("a")),
        ('{"inner":{"name":1},"text":"a"}', Outer("a", 0, Inner())),
        ('{"either":"b","text":1}', Outer(either="b")),
        ('{"either":{"name":2},"text":"a"}', Outer("a", either=Inner())),
        ('{"either":3,"text":"a"}', Outer("a")),
        ('{"several":[{"name":"b"},4,{"name":5}]}', Outer(several=[Inner("b"), Inner()])),
        ('{"several":{"name":"b"},"text":"a"}', Outer("a")),
        ('{"rows":[[{"name":"b"},1],2,[]]}', Outer(rows=[[Inner("b")], []])),
        ('{"raw":[1, 2],"text":6}', Outer(raw=msgspec.Raw(b"[1, 2]"))),
        ('{"text":"a","text":8}', Outer()),
        ('{"text":8,"text":"a"}', Outer("a")),
        ('{"\\u0074ext":"a","number":{}}', Outer("a")),
        ('{"unknown":{"deep":[1]},"text":"a"}', Outer("a")),
        ("{}", Outer()),
    ],
)
def test_what_fits_is_kept(text, expected):
    """A field of another type is as if it were absent; the others are kept."""
    assert decoder.read(text) == expected
    assert decoder.read(text.encode()) == expected


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '"a"', "3", "{", "no", '{"text":"\n"}', "[" * 9999]
)
def test_what_is_no_object_is_none(text):
    """Only an object can be read; anything else is None."""
    assert decoder.read(text) is None


@pytest.mark.parametrize("text", ["[]", "3", "nonsense"])
def test_decode_raises_for_what_is_no_object(text):
    """`decode` tells a caller that wants to know."""
    with pytest.raises(msgspec.DecodeError):
        decoder.decode(text)


def test_lone_surrogates_read_as_the_replacement_character():
    """An escape that no decoder takes does not cost the other fields."""
    assert decoder.read(r'{"text":"\ud800","number":2}') == Outer("\ufffd", 2)


def test_broken_utf8_costs_its_field_only():
    """Bytes that are no UTF-8 make their string absent, not the whole object."""
    assert decoder.read(b'{"text":"\xff","number":2}') == Outer("", 2)


def test_read_total_takes_any_decoder():
    """A decoder for other things than objects is made total the same way."""
    numbers = msgspec.json.Decoder(list[int])
    assert read_total(numbers.decode, "[1,2]") == [1, 2]
    assert read_total(numbers.decode, '["x"]') is None
    assert read_total(numbers.decode, "[" * 5000) is None


@unhurried
@given(st.one_of(st.binary(max_size=30), payloads(), mutants()))
def test_any_bytes_give_a_value(payload):
    """No input raises, and every string that comes out can be written as UTF-8."""
    found = decoder.read(payload)
    assert found is None or msgspec.json.encode(found.text)


def test_other_types_cost_no_more_than_their_field():
    """Whatever a field holds instead, the field beside it is read."""
    junk = ("3", "null", "[]", '"s"', "{}", "1e999", "true", r'"\u0000"', '"toolongtoolong"')
    for name in Outer.__struct_fields__[1:]:
        for value in junk:
            found = decoder.read(f'{{"{name}":{value},"text":"a"}}')
            assert found is not None
            assert found.text == "a"


@pytest.mark.parametrize("odd", ["7", '"x"', "{}", "[[]]"])
def test_of_a_list_with_odd_items_some_thousand_are_looked_at(odd):
    """A million would take seconds; a list in order is read to its end."""
    numbers = TolerantDecoder(msgspec.defstruct("Numbers", [("items", list[bool], [])]))
    sound = ",".join(["true"] * (MAX_ODD_ITEMS + 10))

    assert len(numbers.decode(f'{{"items":[{sound}]}}').items) == MAX_ODD_ITEMS + 10
    assert len(numbers.decode(f'{{"items":[{odd},{sound}]}}').items) == MAX_ODD_ITEMS - 1
