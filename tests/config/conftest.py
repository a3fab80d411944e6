"""What the configuration tests share: a place without configuration, and the least of one."""

import pytest


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working directory, and no system-wide file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("feishu_ws.config.draft.SYSTEM_FILE", str(tmp_path / "etc.toml"))
    return tmp_path


@pytest.fixture
def env():
    """An environment that is enough by itself."""
    return {"FEISHU_WS_APP__ID": "cli_a", "FEISHU_WS_APP__SECRET": "s", "HOME": "/home/u"}


@pytest.fixture
def write(place):
    """A function that writes a file of mode 0600 and returns its path."""

    def write(text: str, name: str = "c.toml", mode: int = 0o600) -> str:
        (place / name).write_text(text)
        (place / name).chmod(mode)
        return str(place / name)

    return write
