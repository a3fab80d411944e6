"""Parts in any order, number and size, against a model and against the bounds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from feishu_ws.model import MAX_PAYLOAD_BYTES
from feishu_ws.wire import reassembly as r
from feishu_ws.wire.frame import REASONS

MIB = 1024 * 1024


def refusal(parts, *args, **kwargs):
    with pytest.raises(r.RefusedPartError) as caught:
        parts.add(*args, **kwargs)
    return caught.value.reason


def attempt(parts, *args):
    try:
        return parts.add(*args), None
    except r.RefusedPartError as exc:
        return None, exc.reason


@given(st.lists(st.binary(max_size=5), min_size=1, max_size=64), st.randoms(), st.data())
def test_any_order(pieces, rng, data):
    """Parts give the payload in any order, with any parts repeated, and leave nothing."""
    parts = r.Reassembly()
    order = list(range(len(pieces)))
    rng.shuffle(order)
    for seq in order[:-1]:
        for _ in range(data.draw(st.integers(1, 2))):
            assert parts.add("m", seq, len(pieces), pieces[seq], 0) is None
    assert parts.add("m", order[-1], len(pieces), pieces[order[-1]], 0) == b"".join(pieces)
    assert (parts.pending, parts.held_bytes) == (0, 0)


def test_whole_payload():
    """A payload in one part is returned at once, up to the limit."""
    parts = r.Reassembly()
    assert parts.add("", 0, 1, b"", 0) == b""
    assert len(parts.add("m", 0, 1, bytes(MAX_PAYLOAD_BYTES), 0)) == MAX_PAYLOAD_BYTES
    assert refusal(parts, "m", 0, 1, bytes(MAX_PAYLOAD_BYTES + 1), 0) == "too_large"
    assert parts.pending == 0


@pytest.mark.parametrize(
    ("seq", "total", "reason"),
    [
        (1, 1, "fragment_range"),
        (-1, 2, "fragment_range"),
        (0, 0, "fragment_range"),
        (0, -1, "fragment_range"),
        (65, 65, "fragment_range"),
        (0, 65, "too_many_parts"),
        (5, 2**70, "too_many_parts"),
    ],
)
def test_impossible_numbers(seq, total, reason):
    """A part that cannot be one of its payload is refused and keeps nothing."""
    parts = r.Reassembly()
    assert refusal(parts, "m", seq, total, b"x", 0) == reason
    assert (parts.pending, parts.held_bytes) == (0, 0)


def test_bad_part_spares_the_others():
    """A part out of range does not harm the payload it claims to belong to."""
    parts = r.Reassembly()
    parts.add("m", 0, 2, b"a", 0)
    assert refusal(parts, "m", 2, 2, b"x", 0) == "fragment_range"
    assert parts.add("m", 1, 2, b"b", 0) == b"ab"


def test_too_large_in_total():
    """A payload that grows over the limit is refused once; its later parts are ignored."""
    parts = r.Reassembly()
    for seq in range(4):
        assert parts.add("m", seq, 6, bytes(MIB), 0) is None
    with pytest.raises(r.RefusedPartError) as caught:
        parts.add("m", 4, 6, b"x", 0)
    assert (caught.value.reason, caught.value.size_bytes) == ("too_large", 4 * MIB + 1)
    assert parts.add("m", 5, 6, b"x", 0) is None
    assert parts.held_bytes <= r._BYTES_PER_CHARACTER
    assert parts.expire(31) == ()
    assert parts.pending == 0


def test_bytes_shared_by_all():
    """Unfinished parts of all lanes together stay within 32 MiB."""
    parts = r.Reassembly()
    for lane in range(31):
        parts.add("", 0, 2, bytes(MIB), 0, lane)
    parts.add("", 0, 2, bytes(MIB), 0, 31)
    assert parts.held_bytes == 32 * MIB
    assert refusal(parts, "", 0, 2, b"x", 0, 32) == "fragments_full"
    assert parts.add("", 1, 2, b"", 0, 0) == bytes(MIB)
    assert parts.add("new", 0, 2, b"x", 0, 33) is None


def test_count_bound():
    """Empty parts of endless payloads are refused too."""
    parts = r.Reassembly()
    for number in range(r.MAX_UNFINISHED):
        parts.add(str(number), 0, 2, b"", 0)
    assert refusal(parts, "one more", 0, 2, b"", 0) == "fragments_full"


def test_long_message_ids_count():
    """A message id cannot be used to get around the byte bound."""
    parts = r.Reassembly()
    long = "m" * (r.MAX_BYTES // 4)
    parts.add(long, 0, 2, b"", 0)
    assert refusal(parts, "m", 0, 2, b"", 0) == "fragments_full"


def test_expiry():
    """Parts that are incomplete after 30 s are given up and reported once."""
    parts = r.Reassembly()
    parts.add("old", 0, 3, b"ab", 100, "lane")
    parts.add("old", 1, 3, b"c", 129, "lane")
    parts.add("young", 0, 2, b"d", 101)
    assert parts.expire(129.9) == ()
    assert parts.expire(130) == (r.Expired("lane", 2, 3, 3),)
    assert parts.expire(130) == ()
    assert parts.add("old", 2, 3, b"late", 131, "lane") is None
    assert parts.add("young", 1, 2, b"e", 130.5) == b"de"


def test_lanes_do_not_mix():
    """Parts left by a dead connection never complete a copy sent on another."""
    parts = r.Reassembly()
    parts.add("m", 0, 2, b"stale", 0, "dead")
    assert parts.add("m", 1, 2, b"b", 1, "new") is None
    assert parts.drop_lane("dead") == 1
    assert parts.add("m", 0, 2, b"a", 1, "new") == b"ab"
    assert parts.held_bytes == 0


def test_total_that_changes():
    """A message that says another number of parts begins anew."""
    parts = r.Reassembly()
    parts.add("m", 0, 3, b"old", 0)
    assert parts.add("m", 0, 2, b"a", 0) is None
    assert parts.add("m", 1, 2, b"b", 0) == b"ab"


class Model(RuleBasedStateMachine):
    """Any history of adds, expiries and drops against the obvious dictionary."""

    def __init__(self):
        super().__init__()
        self.real = r.Reassembly()
        self.model = {}
        self.now = 0.0

    @rule(
        lane=st.integers(0, 1),
        name=st.sampled_from(["a", "b", "long" * 40]),
        seq=st.integers(-1, 4),
        total=st.sampled_from([0, 1, 2, 3, 65]),
        size=st.sampled_from([0, 1, MIB, 3 * MIB, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES + 1]),
    )
    def add(self, lane, name, seq, total, size):
        key = (lane, name)
        whole, reason = attempt(self.real, name, seq, total, bytes(size), self.now, lane)
        if reason is not None:
            assert reason in REASONS
            if reason == "too_large" and total > 1:
                self.refuse(key, total, size)
            return
        assert 0 <= seq < total <= r.MAX_PARTS
        if total == 1:
            assert len(whole) == size <= MAX_PAYLOAD_BYTES
            return
        if key not in self.model or self.model[key][0] != total:
            self.model[key] = (total, self.now, {})
        known = self.model[key][2]
        if known is not None:
            known.setdefault(seq, size)
        if known is not None and len(known) == total:
            assert len(whole) == sum(known.values())
            del self.model[key]
        else:
            assert whole is None

    def refuse(self, key, total, size):
        total_before, since, known = self.model.get(key, (total, self.now, {}))
        if total_before != total:
            since, known = self.now, {}
        assert sum(known.values()) + size > MAX_PAYLOAD_BYTES
        self.model[key] = (total, since, None)

    @rule(seconds=st.sampled_from([0.5, 10, 29, 31]))
    def wait(self, seconds):
        self.now += seconds
        gone = self.real.expire(self.now)
        due = [key for key, (_, since, _) in self.model.items() if self.now - since >= 30]
        known = [self.model.pop(key)[2] for key in due]
        assert sorted(each.parts for each in gone) == sorted(
            len(each) for each in known if each is not None
        )

    @rule(lane=st.integers(0, 1))
    def drop(self, lane):
        self.real.drop_lane(lane)
        self.model = {key: value for key, value in self.model.items() if key[0] != lane}

    @invariant()
    def bounded(self):
        assert self.real.pending == len(self.model)
        held = sum(
            4 * len(name) + sum((known or {}).values())
            for (_, name), (_, _, known) in self.model.items()
        )
        assert self.real.held_bytes == held <= r.MAX_BYTES


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
