"""What each room gets of the settings: rooms know their own keys, never the whole."""

import dataclasses
from pathlib import Path
from typing import Final

from feishu_ws.config import KEYS, Settings
from feishu_ws.downstream.settings import DeliverySettings, SocketSettings
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.model import Filter
from feishu_ws.upstream.settings import Credentials, UpstreamSettings

_MS: Final = 1000


def credentials(settings: Settings) -> Credentials:
    """Return who we are to Feishu."""
    return Credentials(settings.app.id, settings.app.secret, settings.app.domain)


def upstream(settings: Settings) -> UpstreamSettings:
    """Return the keys of `upstream.*`."""
    given = settings.upstream
    return UpstreamSettings(
        connections=given.connections,
        keepalive_interval_s=given.keepalive_interval_s,
        keepalive_timeout_s=given.keepalive_timeout_s,
        connect_timeout_s=given.connect_timeout_s,
        backoff_base_s=given.backoff_base_s,
        backoff_unreachable_max_s=given.backoff_unreachable_max_s,
        backoff_max_s=given.backoff_max_s,
        settled_s=given.settled_s,
        storm_tokens=given.storm_tokens,
        storm_refill_s=given.storm_refill_s,
        rotate_after_s=given.rotate_after_s,
        proxy=given.proxy,
        ca_file=given.ca_file,
    )


def declared(settings: Settings) -> dict[str, Filter]:
    """Return the declared consumers by name."""
    return dict(settings.delivery.consumers)


def journal(settings: Settings) -> JournalSettings:
    """Return the keys of `journal.*`, and what it must know of consumers."""
    return JournalSettings(
        retention_hours=settings.journal.retention_hours,
        max_bytes=settings.journal.max_bytes,
        dedupe_hours=settings.journal.dedupe_hours,
        refuse_when_full=settings.journal.on_full == "refuse",
        declared=declared(settings),
        new_consumer_window_ms=round(settings.delivery.new_consumer_window_s * _MS),
    )


def delivery(settings: Settings) -> DeliverySettings:
    """Return the keys of `delivery.*`."""
    given = settings.delivery
    return DeliverySettings(
        new_consumer_window_s=given.new_consumer_window_s,
        forget_after_hours=given.forget_after_hours,
        max_attempts=given.max_attempts,
        ack_timeout_s=given.ack_timeout_s,
        window=given.window,
        max_age_s=given.max_age_s,
        callback_timeout_s=given.callback_timeout_s,
        callback_default=given.callback_default,
        late_callback_s=given.late_callback_s,
    )


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
    given = settings.socket
    return SocketSettings(Path(given.path), given.mode, given.group, given.allow_users)
