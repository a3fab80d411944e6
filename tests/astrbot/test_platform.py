"""The platform's entry in AstrBot's configuration."""

import json

import pytest

from feishu_ws.astrbot.place import PlaceError
from feishu_ws.astrbot.platform import Entry, merge, read_config, rivals, write_config

ENTRY = Entry("feishu_ws", "cli_1", "127.0.0.1:9531", "/run/e.sock", "local")
WRITTEN = {
    "id": "feishu_ws",
    "type": "feishu_ws",
    "enable": True,
    "app_id": "cli_1",
    "app_secret": "local",
    "domain": "http://127.0.0.1:9531",
    "socket_path": "/run/e.sock",
    "consumer": "astrbot",
}
LARK = {"id": "lark", "type": "lark", "enable": True, "app_id": "cli_1"}


def test_a_new_entry():
    """It stands behind what is there; nothing else changes."""
    before = {"wake_prefix": ["/"], "platform": [LARK]}
    assert merge(before, ENTRY) == {"wake_prefix": ["/"], "platform": [LARK, WRITTEN]}
    assert before["platform"] == [LARK]


@pytest.mark.parametrize("before", [{}, {"platform": None}, {"platform": ["odd"]}])
def test_the_first_entry(before):
    """A configuration without platforms gets its first."""
    assert merge(before, ENTRY)["platform"] == [WRITTEN]


def test_an_entry_that_is_there():
    """It is brought up to date; what a user added, and a secret, stay."""
    there = WRITTEN | {"app_id": "cli_old", "note": "mine"}
    without = Entry("feishu_ws", "cli_1", "127.0.0.1:9531", "/run/e.sock")
    assert merge({"platform": [there]}, without)["platform"] == [WRITTEN | {"note": "mine"}]


def test_an_id_that_is_taken():
    """A platform of another type is not turned into ours."""
    with pytest.raises(ValueError, match="platform 'lark' is of type 'lark'"):
        merge({"platform": [LARK]}, Entry("lark", "cli_1", "x", "y"))


def test_rivals():
    """An enabled platform of AstrBot's own with the same app would take events away."""
    others = [LARK | {"app_id": "cli_2"}, LARK | {"enable": False}, WRITTEN, "odd"]
    assert rivals({"platform": [LARK, *others]}, "cli_1") == ["lark"]
    assert rivals({}, "cli_1") == []


def test_reading_and_writing(tmp_path):
    """AstrBot's byte order mark is understood and kept, and so is the file's mode."""
    path = tmp_path / "cmd_config.json"
    path.write_text('{"名": 1}', "utf-8-sig")
    path.chmod(0o640)
    config = read_config(tmp_path)
    assert config == {"名": 1}
    write_config(tmp_path, merge(config, ENTRY))
    assert path.read_bytes().startswith(b"\xef\xbb\xbf{")
    assert json.loads(path.read_text("utf-8-sig"))["platform"] == [WRITTEN]
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["cmd_config.json"]


def test_no_configuration_yet(tmp_path):
    """One that AstrBot has not written yet is private: it holds a secret."""
    assert read_config(tmp_path) == {}
    write_config(tmp_path, merge({}, ENTRY))
    assert (tmp_path / "cmd_config.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_no_json(tmp_path, text):
    """What cannot be understood is not overwritten."""
    (tmp_path / "cmd_config.json").write_text(text)
    with pytest.raises(PlaceError, match=r"cmd_config\.json"):
        read_config(tmp_path)


def test_a_place_that_cannot_be_written(tmp_path):
    """The error says where, and nothing is left behind."""
    (tmp_path / "cmd_config.json").mkdir()
    with pytest.raises(PlaceError, match="expected a place to write"):
        write_config(tmp_path, {})
    assert [each.name for each in tmp_path.iterdir()] == ["cmd_config.json"]
