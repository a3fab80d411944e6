"""A stream of lines: whose turn it is, what may wait, and how it ends."""

import asyncio
import contextlib
import itertools
import time

import pytest
from support import eventually

from feishu_ws.downstream import connection
from feishu_ws.downstream.connection import DELIVER_UNTIL, MAX_UNSENT, Connection


class Noting(Connection):
    """Notes what happens, as slowly as a test wants."""

    def __init__(self):
        super().__init__()
        self.lines = []
        self.happened = []
        self.busy = False
        self.owing = False
        self.work_s = 0.0

    def handle(self, line):
        self.lines.append(line)
        until = time.monotonic() + self.work_s
        while time.monotonic() < until:
            pass

    def is_busy(self):
        return self.busy

    def owes_answers(self):
        return self.owing

    def on_room(self):
        self.happened.append("room")

    def on_half_close(self):
        self.happened.append("half-closed")

    def on_too_long(self):
        self.happened.append("too long")

    def on_slow(self):
        self.happened.append("slow")
        self.leave(b"bye\n")

    def on_lost(self):
        self.happened.append("lost")


@pytest.fixture
async def pair(tmp_path):
    """A connection, and the reader and writer of its client."""
    made = []

    def make():
        made.append(Noting())
        return made[-1]

    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(make, str(tmp_path / "s"))
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"), limit=2**26)
    await eventually(lambda: made)
    yield made[0], reader, writer
    writer.transport.abort()
    server.close()
    await eventually(lambda: "lost" in made[0].happened)


class TestTurns:
    """Lines in."""

    async def test_lines_are_handled_in_order_whatever_their_pieces(self, pair):
        """Blank lines are nothing."""
        one, _, writer = pair
        for piece in (b"a\nb", b"b\n\n \r\n", b"c\n\nd", b"\n"):
            writer.write(piece)
            await asyncio.sleep(0.001)
        await eventually(lambda: len(one.lines) == 4)

        assert one.lines == [b"a", b"bb", b"c", b"d"]

    async def test_one_turn_is_short(self, pair):
        """However many lines came at once, others have their turn after a millisecond."""
        one, _, writer = pair
        one.work_s = 0.0002
        writer.write(b"x\n" * 400)
        seen = [0]
        while seen[-1] < 400:
            await asyncio.sleep(0)
            seen.append(len(one.lines))

        assert max(b - a for a, b in itertools.pairwise(seen)) <= 10

    async def test_a_busy_one_is_read_no_further(self, pair):
        """While answers are due, at most what was read already waits; then it goes on in order."""
        one, _, writer = pair
        one.busy = True
        lines = [b"%06d" % n for n in range(200_000)]
        writer.write(b"\n".join(lines) + b"\n")
        await asyncio.sleep(0.05)
        waiting = sum(map(len, one._waiting)) + len(one._lines._rest)
        one.busy = False
        one.go_on()
        await eventually(lambda: len(one.lines) == len(lines))

        assert 0 < waiting <= 2**18
        assert one.lines == lines

    async def test_after_a_line_too_long_nothing_is_heard(self, pair, monkeypatch):
        """It is said once, and what follows is not kept."""
        one, _, writer = pair
        monkeypatch.setattr(one._lines, "_max", 10)
        for piece in (b"good\n", b"x" * 11, b"y" * 1000, b"\nlate\n"):
            writer.write(piece)
            await asyncio.sleep(0.002)

        assert (one.lines, one.happened) == ([b"good"], ["too long"])
        assert len(one._lines._rest) < 1000


class TestRoom:
    """Lines out."""

    async def test_what_is_said_in_one_turn_leaves_in_one_write(self, pair):
        """In the order in which it was said."""
        one, reader, _ = pair
        for number in range(100):
            one.send(b"%d\n" % number)

        assert [int(await reader.readline()) for _ in range(100)] == list(range(100))

    async def test_there_is_room_until_so_much_waits(self, pair):
        """Full at the bound, told when there is room again, and nothing is lost."""
        one, reader, _ = pair
        reader._limit = 1  # the client reads nothing by itself
        line = b"x" * 99_999 + b"\n"
        sent = 0
        for _ in range(10):
            while one.has_room():
                one.send(line)
                sent += 1
            await asyncio.sleep(0.005)
        full, told = one._unsent(), list(one.happened)
        reader._limit = 2**26
        for _ in range(sent):
            assert await reader.readexactly(len(line)) == line
        await eventually(lambda: one.happened != told)

        assert DELIVER_UNTIL <= full < DELIVER_UNTIL + len(line)
        assert one.happened[-1] == "room"
        assert one.has_room()

    async def test_room_is_told_only_to_who_had_none(self, pair):
        """Ordinary traffic wakes nobody."""
        one, reader, _ = pair
        for _ in range(20):
            assert one.has_room()
            one.send(b"x\n")
            await reader.readline()

        assert one.happened == []

    @pytest.mark.parametrize("longest", [1000, 12_000_000])
    async def test_who_does_not_read_is_slow(self, pair, longest, monkeypatch):
        """Beyond the bound, and one longest line, it is told so and left."""
        monkeypatch.setattr(connection, "LEAVE_S", 0.05)
        one, reader, _ = pair
        reader._limit = 1
        one.send(b"x" * (longest - 1) + b"\n")
        peak = 0
        while not one.is_leaving:
            one.send(b"y" * 99_999 + b"\n")
            await asyncio.sleep(0)
            peak = max(peak, one._unsent())

        assert one.happened[0] == "slow"
        assert MAX_UNSENT + longest - 300_000 < peak < MAX_UNSENT + longest + 300_000

    async def test_a_long_line_that_was_read_widens_no_bound(self, pair):
        """What may wait is measured by what waits."""
        one, reader, _ = pair
        one.send(b"x" * 9_000_000 + b"\n")
        await reader.readline()
        one.send(b"short\n")
        await reader.readline()
        await eventually(lambda: one._longest == 0)


class TestEnd:
    """How it ends."""

    async def test_who_leaves_listens_for_a_moment(self, pair, monkeypatch):
        """The last words are the last, our side is shut, lines are heard until it is over."""
        monkeypatch.setattr(connection, "LEAVE_S", 0.1)
        one, reader, writer = pair
        one.send(b"first\n")
        one.leave(b"last\n")
        one.send(b"never\n")
        one.leave(b"never\n")
        said = await reader.read()
        writer.write(b"heard\n")
        await eventually(lambda: "lost" in one.happened)

        assert (said, one.lines) == (b"first\nlast\n", [b"heard"])

    async def test_a_client_that_only_closed_its_side_gets_its_answers(self, pair):
        """It is closed when nothing is owed any more."""
        one, reader, writer = pair
        one.owing = True
        writer.write(b"question\n")
        writer.write_eof()
        await eventually(lambda: one.happened == ["half-closed"])
        one.send(b"answer\n")
        one.owing = False
        one.go_on()

        assert await reader.read() == b"answer\n"

    async def test_a_client_that_is_gone_is_lost_at_once(self, pair):
        """Nothing is owed to who closed both sides."""
        one, _, writer = pair
        one.owing = True
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        await eventually(lambda: one.happened == ["lost"], 0.5)

    async def test_who_owes_for_ever_does_not_stay_for_ever(self, pair, monkeypatch):
        """An answer that does not come is given up after a while."""
        monkeypatch.setattr(connection, "ANSWER_S", 0.05)
        one, _, writer = pair
        one.owing = True
        writer.write_eof()

        await eventually(lambda: one.happened == ["half-closed", "lost"])
