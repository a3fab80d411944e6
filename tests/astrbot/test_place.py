"""Putting the plugin in place, and taking it away."""

import stat

import pytest

from feishu_ws.astrbot import place
from feishu_ws.astrbot.place import PLUGIN, Outcome, PlaceError, check_data, install, remove
from feishu_ws.faults import Fault


@pytest.fixture
def data(tmp_path):
    """AstrBot's data directory, with another plugin in it."""
    (tmp_path / "plugins" / "other").mkdir(parents=True)
    (tmp_path / "plugins" / "other" / "main.py").write_text("# other")
    return tmp_path


def files(directory):
    """Return what lies below a directory."""
    return {
        str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()
    }


def test_install_and_remove(data):
    """The plugin is there with all its files, then gone; nothing else changes."""
    before = files(data)
    assert install(data) is Outcome.INSTALLED
    found = {name for name in files(data / "plugins" / PLUGIN) if not name.endswith(".pyc")}
    assert {"main.py", "metadata.yaml", "adapter.py", "native.py"} <= found
    assert "requirements.txt" not in found
    assert remove(data) is Outcome.REMOVED
    assert files(data) == before
    assert [each.name for each in (data / "plugins").iterdir()] == ["other"]


def test_twice_is_fine(data):
    """A second install, or removal, changes nothing and says so."""
    install(data)
    (data / "plugins" / PLUGIN / "__pycache__").mkdir()
    (data / "plugins" / PLUGIN / "__pycache__" / "main.pyc").touch()
    before = (data / "plugins" / PLUGIN).stat().st_ino
    assert install(data) is Outcome.UNCHANGED
    assert (data / "plugins" / PLUGIN).stat().st_ino == before
    remove(data)
    assert remove(data) is Outcome.ABSENT


def test_an_older_one_is_brought_up_to_date(data):
    """Files that changed, and files that are no more, are as the package has them."""
    install(data)
    fresh = files(data / "plugins" / PLUGIN)
    (data / "plugins" / PLUGIN / "main.py").write_text("# older")
    (data / "plugins" / PLUGIN / "gone.py").write_text("# no more")
    assert install(data) is Outcome.UPDATED
    assert files(data / "plugins" / PLUGIN) == fresh
    assert {each.name for each in (data / "plugins").iterdir()} == {PLUGIN, "other"}


def test_the_first_plugin(tmp_path):
    """An AstrBot that has no plugin yet gets the directory for them."""
    (tmp_path / "cmd_config.json").write_text("{}")
    assert install(tmp_path) is Outcome.INSTALLED
    assert check_data(tmp_path) == tmp_path / "plugins"


@pytest.mark.parametrize(
    ("make", "seen"),
    [
        (lambda path: path / "none", "is no directory"),
        (lambda path: path, "has neither cmd_config.json nor plugins/"),
        (lambda path: (path / "data" / "plugins").mkdir(parents=True) or path, "AstrBot's root"),
    ],
)
def test_not_astrbots(tmp_path, make, seen):
    """A directory that is none of AstrBot's gets nothing, and the error names the right one."""
    directory = make(tmp_path)
    before = files(tmp_path)
    for act in (install, remove):
        with pytest.raises(PlaceError, match=seen) as caught:
            act(directory)
        assert caught.value.fault is Fault.USAGE
        assert caught.value.hint
    assert files(tmp_path) == before


@pytest.mark.parametrize("act", [install, remove])
def test_somebody_elses(data, act):
    """Something else of that name is neither overwritten nor removed."""
    (data / "plugins" / PLUGIN).mkdir()
    (data / "plugins" / PLUGIN / "metadata.yaml").write_text("name: astrbot_plugin_feishu_ws_2\n")
    before = files(data)
    with pytest.raises(PlaceError, match="is no feishu-ws plugin"):
        act(data)
    assert files(data) == before


def test_a_full_disk(data, monkeypatch):
    """A copy that fails leaves the old one in place and nothing half made."""
    install(data)
    (data / "plugins" / PLUGIN / "main.py").write_text("# older")
    before = files(data)

    def fail(*_, **__):
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr(place.shutil, "copytree", fail)
    with pytest.raises(PlaceError, match="No space left on device") as caught:
        install(data)
    assert "owns" in caught.value.hint
    assert files(data) == before


def test_what_root_copies_is_its_owners(data, monkeypatch):
    """Files that root put there belong to AstrBot's user."""
    given = []
    monkeypatch.setattr(place.os, "geteuid", lambda: 0)
    monkeypatch.setattr(
        place.os, "chown", lambda path, uid, gid: given.append((path.name, uid, gid))
    )
    install(data)
    owner = (data / "plugins").stat()
    assert ("main.py", owner.st_uid, owner.st_gid) in given


def test_modes(data):
    """Whoever AstrBot runs as may read it."""
    install(data)
    mode = (data / "plugins" / PLUGIN / "main.py").stat().st_mode
    assert mode & stat.S_IRUSR
