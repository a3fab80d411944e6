"""Settings from TOML file, environment and credential; every error at once."""

from feishu_ws.config.keys import KEYS, Key, Settings
from feishu_ws.config.load import (
    Changes,
    ConfigError,
    Loaded,
    diff,
    documented,
    effective,
    load,
    socket_path,
)

__all__ = [
    "KEYS",
    "Changes",
    "ConfigError",
    "Key",
    "Loaded",
    "Settings",
    "diff",
    "documented",
    "effective",
    "load",
    "socket_path",
]
