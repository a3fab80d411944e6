"""Rules about several keys, and about what keys name on this machine."""

import grp
import os
import pwd
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from feishu_ws.config.draft import Draft, is_file_lost
from feishu_ws.config.keys import KEYS, SOCKET_KEY
from feishu_ws.config.kinds import MAX_SOCKET_PATH, is_loopback, show

FEISHU_RETRIES_HOURS: Final = 7.1
"""How long Feishu goes on sending an event again. Source: Feishu docs "接收事件"."""


def apply_rules(draft: Draft) -> None:
    """Note everything wrong between keys; keys already refused are left alone."""
    _check_app_id(draft)
    _check_order(draft, "journal.dedupe_hours", "journal.retention_hours")
    _check_dedupe(draft)
    _check_socket(draft)
    _check_owners(draft)
    _check_listeners(draft)
    _check_ca_file(draft)


def _check_app_id(draft: Draft) -> None:
    if draft.values["app.id"] or "app.id" in draft.unfit or is_file_lost(draft):
        return
    where = draft.file.path if draft.file else _not_there(draft.missing)
    draft.refuse("app.id", "nothing", KEYS["app.id"].kind.expected, where)


def _not_there(missing: Sequence[str]) -> str:
    if len(missing) == 1:
        return f"{missing[0]} is not there"
    return f"neither {' nor '.join(missing)} is there"


def _check_order(draft: Draft, low: str, high: str) -> None:
    least, value = draft.values[low], draft.values[high]
    if value < least and not draft.unfit & {low, high}:
        draft.refuse(high, f"{value:.15g}", f"at least {low} = {least:.15g}")


def _check_dedupe(draft: Draft) -> None:
    hours = draft.values["journal.dedupe_hours"]
    if hours < FEISHU_RETRIES_HOURS:
        expected = f"at least {FEISHU_RETRIES_HOURS}, so long Feishu sends an event again"
        draft.warn("journal.dedupe_hours", f"{hours:.15g}", expected)


def _check_socket(draft: Draft) -> None:
    path = draft.values[SOCKET_KEY]
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:  # only now absolute
        draft.refuse(SOCKET_KEY, show(path), f"at most {MAX_SOCKET_PATH} bytes as an absolute path")
    if draft.values["telemetry.listen"] == f"unix:{path}":
        draft.refuse("telemetry.listen", show(f"unix:{path}"), f"another path than {SOCKET_KEY}")


def _check_owners(draft: Draft) -> None:
    group = draft.values["socket.group"]
    if group and not _is_known(grp.getgrnam, group):
        draft.refuse("socket.group", show(group), "a group of this machine")
    for user in draft.values["socket.allow_users"]:
        if not user.isdigit() and not _is_known(pwd.getpwnam, user):
            draft.refuse("socket.allow_users", show(user), "a user of this machine")


def _is_known(look_up: Callable[[str], object], name: str) -> bool:
    try:
        look_up(name)
    except KeyError:
        return False
    return True


def _check_listeners(draft: Draft) -> None:
    listeners = [draft.values[key] for key in ("telemetry.listen", "lookalike.listen")]
    if listeners[0] and listeners[0] == listeners[1] and not listeners[0].endswith(":0"):
        draft.refuse(
            "lookalike.listen", show(listeners[1]), "another address than telemetry.listen"
        )
    for key in ("telemetry.listen", "lookalike.listen"):
        host, _, port = draft.values[key].rpartition(":")
        if port.isdigit() and not is_loopback(host):
            draft.warn(
                key, show(draft.values[key]), "a loopback address: whoever reaches it may use it"
            )


def _check_ca_file(draft: Draft) -> None:
    path = draft.values["upstream.ca_file"]
    if path and not (Path(path).is_file() and os.access(path, os.R_OK)):
        draft.refuse("upstream.ca_file", show(path), "a readable file")
