"""Content is decoded when an event is delivered; before that nothing depends on it."""

import asyncio
import contextlib

import pytest
from downstream.rig import World
from downstream.served import Served
from events.corpus import message
from support import eventually

from feishu_ws.events import cloudevent
from feishu_ws.events.message import READERS
from feishu_ws.intake import OK, Intake
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.memory import MemoryJournal
from feishu_ws.journal.sqlite import SqliteJournal

PAYLOAD = message("text", {"text": "words"})


class HeldJournal(MemoryJournal):
    """A journal that commits when a test says so."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self._waiting = []

    def append(self, event, answer):
        self._waiting.append((event, answer))

    def commit(self):
        for event, answer in self._waiting:
            self._append(event, answer)


def intake_of(world):
    """Return an intake over a world's journal and dispatcher."""
    return Intake(
        world.journal,
        world.dispatcher,
        world.settings,
        clock=world.clock,
        tally=world.tally,
        observe=world.happenings.append,
    )


@contextlib.asynccontextmanager
async def on_disk(path):
    """A world whose journal is a file."""
    world = World()
    observe = world.happenings.append
    world.journal = SqliteJournal(
        path / "journal.db",
        JournalSettings(),
        clock=world.clock,
        tally=world.tally,
        observe=observe,
    )
    world.journal.open()
    world.restart()
    async with Served(path / "socket", world=world) as served:
        yield served
    await world.journal.close(5)


@pytest.fixture
def decoded(monkeypatch):
    """Every payload that is decoded from now on."""
    payloads = []
    read = cloudevent.read_message

    def note(payload):
        payloads.append(payload)
        return read(payload)

    monkeypatch.setattr(cloudevent, "read_message", note)
    return payloads


async def test_content_is_decoded_after_the_commit(tmp_path, decoded):
    """Nothing is decoded before the commit, and then once for all who get the event."""
    clock = World().clock
    journal = HeldJournal(JournalSettings(), clock=clock)
    world = World(clock=clock, journal=journal)
    answers = []
    async with Served(tmp_path / "socket", world=world) as served:
        one, two = await served.consumer("one"), await served.consumer("two")
        intake_of(world).accept(PAYLOAD, lambda code, _: answers.append(code))
        await one.call("ping")
        assert (decoded, answers) == ([], [])

        journal.commit()
        delivered = [await one.event(), await two.event()]
        assert [params["message"]["text"] for params in delivered] == ["words", "words"]
        assert (decoded, answers) == ([PAYLOAD], [OK])


async def test_content_nobody_reads_is_not_decoded(tmp_path, decoded):
    """An event is stored and confirmed without a look at its content."""
    answers = []
    async with on_disk(tmp_path) as served:
        intake_of(served.world).accept(PAYLOAD, lambda code, _: answers.append(code))
        await eventually(lambda: answers)
        assert (served.world.journal.last, answers, decoded) == (1, [OK], [])


async def test_a_reader_that_fails_costs_the_structure_only(tmp_path, monkeypatch):
    """The event is confirmed and delivered; its message is of a kind that is not known."""

    def fails(_content, _mentions):
        raise ZeroDivisionError

    monkeypatch.setitem(READERS, "text", fails)
    answers = []
    async with on_disk(tmp_path) as served:
        client = await served.consumer()
        intake_of(served.world).accept(PAYLOAD, lambda code, _: answers.append(code))
        delivered = await client.event()
    assert answers == [OK]
    assert delivered["event"]["data"]["event"]["message"]["content"] == '{"text": "words"}'
    assert delivered["message"]["text"] == "words"
    assert delivered["message"]["segments"] == [
        {"kind": "unknown", "type": "text", "text": "words"}
    ]


async def test_a_decoder_that_fails_loses_nothing(tmp_path, monkeypatch):
    """Whatever decoding does, the event is confirmed, kept, and delivered once it is mended."""
    defects, answers = [], []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: defects.append(context["exception"])
    )

    def fails(_payload):
        raise OSError("a defect beyond all readers")

    async with on_disk(tmp_path) as served:
        client = await served.consumer()
        with monkeypatch.context() as patched:
            patched.setattr(cloudevent, "read_message", fails)
            intake_of(served.world).accept(PAYLOAD, lambda code, _: answers.append(code))
            await eventually(lambda: answers and defects)
        assert (answers, served.world.journal.last) == ([OK], 1)
        await client.close()
        again = await served.consumer()
        assert (await again.event())["message"]["text"] == "words"
    assert [str(defect) for defect in defects] == ["a defect beyond all readers"]
