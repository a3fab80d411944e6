"""lark-oapi's own parsers read the same of every message, but for what the table lists."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from acceptance.sdk import notation
from acceptance.sdk.differences import DIFFERENCES
from events.corpus import READINGS, TEXT, message, thorough
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.clock import ManualClock
from feishu_ws.events.message import READERS, read_message
from feishu_ws.simulator.corpus import SAMPLES, Origin, sample

PARSERS = str(Path(__file__).parent / "sdk" / "parsers.py")
ORIGIN = Origin("cli_test", "tenant", "run-1", ManualClock(wall_ms=1_774_004_591_415))
SERIAL = 7

CORPUS = {
    name.removeprefix("message."): sample(name, SERIAL, ORIGIN)
    for name in SAMPLES
    if name.startswith("message.")
}
CORPUS |= {f"{name} (tests)": payload for name, (payload, _) in READINGS.items()}
CORPUS["mention (tests)"] = TEXT


class Sdk:
    """The SDK's parsers in a process of their own."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, PARSERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.version = self._answer()["version"]

    def read(self, payload):
        """Return what the SDK reads of a payload."""
        self._process.stdin.write(payload.replace(b"\n", b" ") + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


@pytest.fixture(scope="module")
def sdk():
    found = Sdk()
    yield found
    found.close()


def differences(sdk, name):
    """Return {aspect: (ours, theirs)} where the two differ."""
    ours = notation.reading(read_message(CORPUS[name]))
    theirs = sdk.read(CORPUS[name])
    return {key: (ours[key], theirs[key]) for key in theirs if ours[key] != theirs[key]}


def test_the_version_that_was_compared(sdk):
    """Another version may read otherwise: look through the table again."""
    assert sdk.version == "1.7.5"


@pytest.mark.parametrize("name", CORPUS)
def test_both_read_the_same(sdk, name):
    """Mentions, text and keys are the SDK's, or the table says how they differ, and why."""
    listed = {
        aspect: (ours, theirs)
        for (sample_name, aspect), (ours, theirs, _) in DIFFERENCES.items()
        if sample_name == name
    }
    assert differences(sdk, name) == listed


def test_the_table_is_about_what_is_there():
    """Every row names a message of the corpus and gives its reason."""
    assert {name for name, _ in DIFFERENCES} <= set(CORPUS)
    assert all(reason for _, _, reason in DIFFERENCES.values())


def test_every_type_has_several_messages():
    """Each type that is known is compared in at least three messages."""
    kinds = [json.loads(payload)["event"]["message"]["message_type"] for payload in CORPUS.values()]
    assert {kind: kinds.count(kind) for kind in READERS if kinds.count(kind) < 2} == {"video": 1}


# -- generated contents ---------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)
letters = st.text(alphabet="abcXYZ019_-", min_size=1, max_size=6)
durations = st.integers(0, 864_000_000)


def keys(prefix):
    return st.one_of(st.just(""), letters.map(lambda key: prefix + key))


def content(**fields):
    """Return a strategy for content in which any field may be missing."""
    return st.fixed_dictionaries({}, optional=fields)


def element(tag, **fields):
    return content(**fields).map(lambda found: {"tag": tag, **found})


paragraphs = st.lists(
    st.lists(
        st.one_of(
            element("text", text=words),
            element("img", image_key=keys("img_")),
            element("media", file_key=keys("video_"), image_key=keys("still_")),
            element("audio", file_key=keys("audio_")),
            element("file", file_key=keys("file_"), file_name=words),
            element("md", text=words),
            st.just({"tag": "hr"}),
        ),
        max_size=4,
    ),
    max_size=4,
)
posts = st.fixed_dictionaries({"title": words, "content": paragraphs})
named = st.fixed_dictionaries({"file_key": keys("f_")}, optional={"file_name": words})
timed = content(
    file_key=keys("f_"), image_key=keys("i_"), file_name=words, duration=st.none() | durations
)
plain = content(text=words, title=words, summary=words, chat_id=words, name=words, topic=words)
CONTENTS = {
    "image": content(image_key=keys("img_")),
    "file": named,
    "folder": named,
    "audio": timed,
    "media": timed,
    "video": timed,
    "sticker": named,
    "post": posts | posts.map(lambda post: {"zh_cn": post}),
    **dict.fromkeys(
        (
            *("text", "hongbao", "share_chat", "share_user", "location", "video_chat", "vote"),
            *("share_calendar_event", "calendar", "general_calendar", "system", "todo"),
            *("merge_forward", "hologram"),
        ),
        plain,
    ),
}
people = st.lists(
    st.fixed_dictionaries(
        {"key": st.integers(1, 9).map("@_user_{}".format), "name": words},
        optional={"id": st.fixed_dictionaries({"open_id": letters}), "mentioned_type": words},
    ),
    max_size=3,
)
cases = st.sampled_from(sorted(CONTENTS)).flatmap(
    lambda kind: st.tuples(st.just(kind), CONTENTS[kind], people)
)


def test_every_type_is_generated():
    """Only cards are left out: the SDK reads no keys of theirs."""
    assert set(CONTENTS) == set(READERS) - {"interactive"} | {"hologram"}


@thorough
@given(cases)
def test_both_find_the_same_keys(sdk, case):
    """Whatever content of a type says, both find the same mentions, keys, names and durations."""
    kind, found, mentions = case
    payload = message(kind, found, mentions)
    ours, theirs = notation.reading(read_message(payload)), sdk.read(payload)
    told = slice(4 if kind == "post" else 5)  # not a video's still in a post, see the table
    assert [key[told] for key in ours["keys"]] == [key[told] for key in theirs["keys"]]
    assert ours["mentions"] == theirs["mentions"]


if __name__ == "__main__":  # writes the differences there are, for whoever mends the table
    running = Sdk()
    for each in CORPUS:
        for which, values in differences(running, each).items():
            print(each, which, *map(repr, values), sep="\n    ")
    running.close()
