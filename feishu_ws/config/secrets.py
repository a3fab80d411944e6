"""Finds the app's secret: a key, a file of its own, or a systemd credential; exactly one."""

import stat
from pathlib import Path
from typing import Final

from feishu_ws.config.draft import Draft, is_file_lost, is_open_to_others, reason
from feishu_ws.config.keys import KEYS
from feishu_ws.config.kinds import UnfitError
from feishu_ws.secret import Secret

SECRET: Final = "app.secret"  # noqa: S105  # the name of a key
SECRET_FILE: Final = "app.secret_file"  # noqa: S105  # the name of a key
CREDENTIAL: Final = "app_secret"
MAX_SECRET_BYTES: Final = 4096
EXPECTED: Final = "a readable file with the secret alone"
PROXY: Final = "upstream.proxy"
INSTEAD: Final = {
    SECRET: f"mode 0600, or {SECRET_FILE}",
    "lookalike.secret": f"mode 0600, or {KEYS['lookalike.secret'].variable}",
    PROXY: f"mode 0600, or {KEYS[PROXY].variable}",
}
"""Where secrets may stand that others are not to read."""


def resolve_secret(draft: Draft) -> None:
    """Put the secret into `app.secret`, or note why there is none."""
    credential = _credential(draft)
    given = [key for key in (SECRET, SECRET_FILE) if draft.values[key]]
    named = [f"{key} ({draft.sources[key]})" for key in given]
    named += [f"credential ({credential})"] if credential else []
    if len(named) > 1:
        draft.refuse(SECRET, " and ".join(named), "exactly one of them", "all sources")
    elif credential:
        _read_secret(draft, credential, f"credential {CREDENTIAL}")
    elif SECRET_FILE in given:
        _warn_if_open(draft, Path(draft.values[SECRET_FILE]))
        _read_secret(draft, Path(draft.values[SECRET_FILE]), draft.values[SECRET_FILE])
    elif not given:
        _refuse_none(draft)
    _warn_if_in_open_file(draft)


def _credential(draft: Draft) -> Path | None:
    """Return the credential's file if the service manager gave one. Source: systemd.exec(5)."""
    directory = draft.env.get("CREDENTIALS_DIRECTORY")
    path = Path(directory, CREDENTIAL) if directory else None
    return path if path and path.exists() else None


def _read_secret(draft: Draft, path: Path, source: str) -> None:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_SECRET_BYTES + 1)
    except OSError as exc:
        draft.refuse(SECRET_FILE, reason(exc), EXPECTED, str(path))
        return
    try:
        secret = KEYS[SECRET].kind.parse(text.decode().strip())
    except (UnicodeDecodeError, UnfitError):
        draft.refuse(SECRET_FILE, "more than one word, or no text", EXPECTED, str(path))
        return
    if not secret or len(text) > MAX_SECRET_BYTES:
        draft.refuse(SECRET_FILE, f"{len(text)} bytes", EXPECTED, str(path))
    draft.values[SECRET] = secret
    draft.sources[SECRET] = source


def _warn_if_open(draft: Draft, path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # reading it will say so
    if is_open_to_others(mode):
        seen = f"mode {stat.S_IMODE(mode):04o}, which lets others read it"
        draft.warn(SECRET_FILE, seen, "0600 or 0400", str(path))


def _warn_if_in_open_file(draft: Draft) -> None:
    """Warn of every secret that stands in a configuration others may read."""
    file = draft.file
    if not (file and file.is_open_to_others):
        return
    for key, expected in INSTEAD.items():
        if draft.sources[key] == file.path and _holds_secret(draft.values[key]):
            draft.warn(key, "a secret in a file that others may read", expected)


def _holds_secret(value: Secret | str) -> bool:
    if isinstance(value, Secret):
        return bool(value)
    return "@" in value  # of a proxy's login


def _refuse_none(draft: Draft) -> None:
    if draft.unfit & {SECRET, SECRET_FILE} or is_file_lost(draft):
        return
    expected = f"{SECRET_FILE}, {SECRET}, {KEYS[SECRET].variable} or a credential {CREDENTIAL}"
    draft.refuse(SECRET, "nothing", expected)
