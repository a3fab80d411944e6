"""The platform's entry in AstrBot's configuration: what it holds, and writing it."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from feishu_ws.astrbot.place import CONFIG, PlaceError

TYPE: Final = "feishu_ws"
STOCK: Final = "lark"
ENDPOINT: Final = "127.0.0.1:9531"  # source: README, `lookalike.listen`
CONSUMER: Final = "astrbot"
_ENCODING: Final = "utf-8-sig"  # source: AstrBot 4.29.1 core/config/astrbot_config.py


@dataclass(frozen=True, slots=True)
class Entry:
    """What AstrBot is to know.

    Attributes:
        name: The platform's id in AstrBot.
        secret: The daemon's `lookalike.secret`; "" leaves what is there.
    """

    name: str
    app_id: str
    endpoint: str
    socket: str
    secret: str = ""
    consumer: str = CONSUMER

    def fields(self) -> dict[str, Any]:
        """Return the fields as AstrBot calls them, without an empty secret."""
        fields = {
            "id": self.name,
            "type": TYPE,
            "enable": True,
            "app_id": self.app_id,
            "domain": f"http://{self.endpoint}",
            "socket_path": self.socket,
            "consumer": self.consumer,
        }
        return fields | ({"app_secret": self.secret} if self.secret else {})


def merge(config: Mapping[str, Any], entry: Entry) -> dict[str, Any]:
    """Return AstrBot's configuration with the platform's entry, whatever else it holds.

    An entry with the same id and type is brought up to date.

    Raises:
        ValueError: A platform of another type has that id.
    """
    platforms = [dict(each) for each in config.get("platform") or [] if isinstance(each, Mapping)]
    same = next((each for each in platforms if each.get("id") == entry.name), None)
    if same is None:
        platforms.append({"app_secret": ""} | entry.fields())
    elif same.get("type") != TYPE:
        raise ValueError(f"platform {entry.name!r} is of type {same.get('type')!r}")
    else:
        same.update(entry.fields())
    return {**config, "platform": platforms}


def rivals(config: Mapping[str, Any], app_id: str) -> list[str]:
    """Return enabled platforms of AstrBot's own that take the same app's events."""
    platforms = [each for each in config.get("platform") or [] if isinstance(each, Mapping)]
    return [
        str(each.get("id"))
        for each in platforms
        if each.get("type") == STOCK and each.get("enable") and each.get("app_id") == app_id
    ]


def read_config(data: Path) -> dict[str, Any]:
    """Return AstrBot's configuration, an empty one if it has none yet.

    Raises:
        PlaceError: It cannot be read, or is no JSON object.
    """
    path = data / CONFIG
    try:
        config = json.loads(path.read_text(_ENCODING))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        seen = f"{exc}, expected AstrBot's configuration, {path}"
        raise PlaceError(seen, "enter the platform in AstrBot's dashboard instead") from exc
    if isinstance(config, dict):
        return config
    raise PlaceError(
        f"no JSON object, expected AstrBot's configuration, {path}", "see AstrBot's log"
    )


def write_config(data: Path, config: Mapping[str, Any]) -> None:
    """Put a configuration in place, with mode and owner of the one before.

    Raises:
        PlaceError: It cannot be written.
    """
    path = data / CONFIG
    unfinished = data / f".{CONFIG}.{os.getpid()}"
    text = json.dumps(config, ensure_ascii=False, indent=2)
    try:
        model = (path if path.exists() else data).stat()
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding=_ENCODING) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            unfinished.chmod(model.st_mode & 0o777)
        if os.geteuid() == 0:
            os.chown(unfinished, model.st_uid, model.st_gid)
        unfinished.replace(path)
    except OSError as exc:
        unfinished.unlink(missing_ok=True)
        seen = f"{exc.strerror}, expected a place to write, {path}"
        raise PlaceError(seen, f"run it as the user that owns {data}") from exc
