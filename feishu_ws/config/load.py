"""The way in: what was written becomes valid settings, or one error with every reason."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from feishu_ws.config.draft import BY_DEFAULT, Environment, draw_up, is_file_lost
from feishu_ws.config.keys import ENV_CONFIG, JOURNAL_KEY, KEYS, SOCKET_KEY, Settings, assemble
from feishu_ws.config.rules import apply_rules
from feishu_ws.config.secrets import resolve_secret
from feishu_ws.faults import Fault, FeishuWsError

PLACES: Final = {JOURNAL_KEY: "…/journal.db", SOCKET_KEY: "…/events.sock"}
"""Defaults that depend on who runs it; see `draft.default_paths`."""


class ConfigError(FeishuWsError):
    """The configuration is not valid; `errors` has a line for every reason.

    `warnings` has one for all that is unwise: it may be what the errors come from.
    """

    def __init__(self, errors: Iterable[str], warnings: Iterable[str] = ()) -> None:
        self.errors = tuple(errors)
        self.warnings = tuple(warnings)
        super().__init__(Fault.CONFIG_INVALID, "; ".join(self.errors))


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration and where it came from.

    Attributes:
        sources: For every key: a file's path, a variable's name, or "default".
        warnings: What is valid but unwise, a line each.
        path: The file that was read, None without one.
    """

    settings: Settings
    sources: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """Keys that differ between two configurations."""

    reloadable: tuple[str, ...]
    need_restart: tuple[str, ...]


def load(path: str | None, env: Environment, *, needs_secret: bool = True) -> Loaded:
    """Read file, environment and secret into settings.

    Args:
        path: The file that was asked for; None looks where CONTRACT 3 says.
        env: The environment, also `$CREDENTIALS_DIRECTORY` and systemd's directories.
        needs_secret: False for work on the journal alone, which never meets Feishu: a
            credential of the service manager is out of a command's reach.

    Raises:
        ConfigError: Something is not valid; it names everything that is not.
    """
    draft = draw_up(path, env)
    if needs_secret:
        resolve_secret(draft)
    apply_rules(draft)
    if draft.errors:
        raise ConfigError(draft.errors, draft.warnings)
    file = draft.file.path if draft.file else None
    return Loaded(assemble(draft.values), draft.sources, tuple(draft.warnings), file)


def socket_path(path: str | None, env: Environment) -> str:
    """Return `socket.path`, for commands that need nothing else; "" where nobody set it.

    Raises:
        ConfigError: The file that was asked for cannot be read, or the key is not valid.
    """
    draft = draw_up(path, env)
    asked = bool(path or env.get(ENV_CONFIG))
    if SOCKET_KEY in draft.unfit or (asked and is_file_lost(draft)):
        raise ConfigError(draft.errors)
    return "" if draft.sources[SOCKET_KEY] == BY_DEFAULT else str(draft.values[SOCKET_KEY])


def effective(loaded: Loaded) -> list[tuple[str, str, str]]:
    """Return key, value and source of every setting; secrets and passwords are not shown."""
    return [
        (key.path, key.kind.show(loaded.settings.value(key)), loaded.sources[key.path])
        for key in KEYS.values()
    ]


def documented() -> list[tuple[str, str, str]]:
    """Return key, default and meaning of every key, for the README's table."""
    return [
        (key.path, PLACES.get(key.path) or key.kind.show(key.default), key.meaning)
        for key in KEYS.values()
    ]


def diff(old: Settings, new: Settings) -> Changes:
    """Return which keys changed, by what they need to take effect."""
    changed = [key for key in KEYS.values() if old.value(key) != new.value(key)]
    return Changes(
        tuple(key.path for key in changed if key.reloadable),
        tuple(key.path for key in changed if not key.reloadable),
    )
