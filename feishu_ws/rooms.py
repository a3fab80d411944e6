"""What each room gets of the settings: rooms know their own keys, never the whole."""

import dataclasses
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

from feishu_ws.config import KEYS, ConfigError, Settings
from feishu_ws.downstream.lookalike.settings import LookalikeSettings
from feishu_ws.downstream.settings import MAX_CONSUMERS, DeliverySettings, SocketSettings
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.model import Filter
from feishu_ws.openapi.limits import Limits
from feishu_ws.upstream.settings import Credentials, UpstreamSettings

_MS: Final = 1000
_T = TypeVar("_T")


def credentials(settings: Settings) -> Credentials:
    """Return who we are to Feishu."""
    return Credentials(settings.app.id, settings.app.secret, settings.app.domain)


def _pick(room: type[_T], section: Any, **other: Any) -> _T:
    """Return a room's settings: keys of a section by the same names, and what else it takes."""
    given = {key.name: getattr(section, key.name) for key in dataclasses.fields(section)}
    taken = {each.name for each in dataclasses.fields(room)}  # type: ignore[arg-type]
    return room(**{name: value for name, value in given.items() if name in taken} | other)


def upstream(settings: Settings) -> UpstreamSettings:
    """Return the keys of `upstream.*`."""
    return _pick(UpstreamSettings, settings.upstream)


def declared(settings: Settings) -> dict[str, Filter]:
    """Return the declared consumers by name."""
    return dict(settings.delivery.consumers)


def check_crowd(settings: Settings, known: Iterable[str]) -> None:
    """Refuse declared consumers that have no place beside those there are.

    Raises:
        ConfigError: Saying how many there would be.
    """
    new = declared(settings).keys() - set(known)
    warning = crowded({*known, *new})
    if new and warning:
        raise ConfigError([f"delivery.consumers declares {len(new)} new ones: {warning}"])


def crowded(consumers: Collection[str]) -> str:
    """Return what is wrong with so many consumers, "" if nothing is."""
    if len(consumers) <= MAX_CONSUMERS:
        return ""
    return (
        f"there are {len(consumers)} consumers, expected at most {MAX_CONSUMERS};"
        " try: feishu-ws consumers forget NAME"
    )


def journal(settings: Settings) -> JournalSettings:
    """Return the keys of `journal.*`, and what it must know of consumers."""
    return _pick(
        JournalSettings,
        settings.journal,
        refuse_when_full=settings.journal.on_full == "refuse",
        declared=declared(settings),
        new_consumer_window_ms=round(settings.delivery.new_consumer_window_s * _MS),
    )


def delivery(settings: Settings) -> DeliverySettings:
    """Return the keys of `delivery.*`."""
    return _pick(DeliverySettings, settings.delivery)


def limits(settings: Settings) -> Limits:
    """Return the keys of `openapi.*`."""
    return _pick(Limits, settings.openapi)


def lookalike(settings: Settings) -> LookalikeSettings:
    """Return the keys of `lookalike.*`."""
    return _pick(LookalikeSettings, settings.lookalike)


def journal_path(settings: Settings) -> Path:
    """Return where the journal lies."""
    return Path(settings.journal.path)


def merge_reloadable(running: Settings, wanted: Settings) -> Settings:
    """Return the running settings with what may change while running taken from `wanted`."""
    merged = running
    for key in KEYS.values():
        if key.reloadable:
            section = getattr(merged, key.section)
            changed = dataclasses.replace(section, **{key.name: wanted.value(key)})
            merged = dataclasses.replace(merged, **{key.section: changed})
    return merged


def socket(settings: Settings) -> SocketSettings:
    """Return the keys of `socket.*`."""
    return _pick(SocketSettings, settings.socket, path=Path(settings.socket.path))
