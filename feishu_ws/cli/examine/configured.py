"""Config: what is set, as far as it is valid; a wrong key stops only what depends on it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from feishu_ws.cli.examine.finding import Finding, fail, ok, skip, warn
from feishu_ws.config.draft import BY_DEFAULT, Draft, Environment, draw_up, is_file_lost
from feishu_ws.config.keys import KEYS, Settings, assemble
from feishu_ws.config.kinds import UnfitError
from feishu_ws.config.rules import apply_rules
from feishu_ws.config.secrets import SECRET, SECRET_FILE, resolve_secret
from feishu_ws.faults import Fault

NAME_IT: Final = "name that daemon's configuration with --config"
DOMAIN: Final = "app.domain"
SECRETS: Final = frozenset({SECRET, SECRET_FILE})
ADDRESS: Final = frozenset({DOMAIN, "upstream.proxy"})
TRUST: Final = ADDRESS | {"upstream.ca_file"}
IDENTITY: Final = TRUST | {"app.id"} | SECRETS

HAND_IT_OVER: Final = (
    "hand the secret to this command, FEISHU_WS_APP__SECRET_FILE=FILE feishu-ws doctor:"
    " a systemd credential is there for its unit alone"
)


@dataclass(frozen=True, slots=True)
class Configured:
    """What doctor goes by.

    Attributes:
        settings: A key in `unfit` has its default.
        unfit: Keys that are not valid.
        errors: What is wrong with them, a line each.
        path: The file that was read, "" without one.
        is_lost: Whether there is a file that could not be read.
        is_blank: Whether nobody has set anything.
        unset: Keys that nobody has set.
        reasons: Why what depends on a key cannot be looked at, though it is valid.
    """

    settings: Settings
    unfit: frozenset[str] = frozenset()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    path: str = ""
    is_lost: bool = False
    is_blank: bool = False
    unset: frozenset[str] = frozenset()
    reasons: Mapping[str, str] = field(default_factory=dict)

    def obstacle(self, keys: Iterable[str]) -> str:
        """Return why what depends on these keys cannot be looked at, "" if it can."""
        if self.is_lost:
            return "the configuration cannot be read"
        known = [self.reasons[key] for key in sorted(keys) if key in self.reasons]
        wrong = [f"{key} is not valid" for key in sorted(self.unfit & set(keys))]
        return next(iter(known + wrong), "")


def configure(path: str | None, env: Environment) -> Configured:
    """Read file, environment and secret as the daemon does, but go on where it would not."""
    draft = draw_up(path, env)
    resolve_secret(draft)
    apply_rules(draft)
    return Configured(
        assemble(draft.values),
        frozenset(draft.unfit),
        tuple(draft.errors),
        tuple(draft.warnings),
        draft.file.path if draft.file else "",
        is_file_lost(draft),
        _is_blank(draft),
        frozenset(key for key, source in draft.sources.items() if source == BY_DEFAULT),
    )


def _is_blank(draft: Draft) -> bool:
    return draft.file is None and all(source == BY_DEFAULT for source in draft.sources.values())


def beside(found: Configured, status: Mapping[str, Any]) -> Configured:
    """Return what to go by beside a daemon: its own way, where this command was told none.

    A proxy is shown without its login, so that the way through it is the daemon's alone.
    """
    reasons = dict(found.reasons)
    if found.is_blank:
        reasons["app.id"] = "app id and secret are the daemon's alone"
    if "upstream.proxy" in found.unset and (proxy := status.get("proxy")):
        reasons["upstream.proxy"] = f"the daemon's own way, through its proxy {proxy}"
    if DOMAIN not in found.unset:
        return replace(found, reasons=reasons)
    try:
        domain = KEYS[DOMAIN].kind.parse(status.get("domain"))
    except UnfitError:  # an older daemon does not tell
        return replace(found, reasons=reasons | {DOMAIN: "the daemon does not say whom it asks"})
    app = replace(found.settings.app, domain=domain)
    return replace(found, reasons=reasons, settings=replace(found.settings, app=app))


def judge(
    found: Configured, *, is_daemon_there: bool, app_id: str = "", domain: str = ""
) -> Finding:
    """Return how the configuration is.

    Args:
        found: What is set.
        is_daemon_there: Whether a daemon runs; it has its own, and perhaps a credential.
        app_id: The daemon's, "" if unknown.
        domain: Whom the daemon asks, "" if unknown.
    """
    if is_daemon_there and found.is_blank:
        return skip("nothing is set for this command; the daemon has its own configuration")
    if found.errors:
        return _judge_errors(found, is_daemon_there=is_daemon_there)
    app = found.settings.app
    seen = f"{found.path or 'environment'}: app {app.id} at {app.domain}"
    if app_id and app.id != app_id:
        other = f"{seen}, but the daemon serves app {app_id}"
        return warn(other, hint=NAME_IT)
    if domain and app.domain != domain:
        return warn(f"{seen}, but the daemon asks {domain}", hint=NAME_IT)
    if found.warnings:
        more = _more(found.warnings)
        return warn(f"{seen}; {found.warnings[0]}{more}", warnings=list(found.warnings))
    return ok(seen, path=found.path, app_id=app.id, domain=app.domain)


def _judge_errors(found: Configured, *, is_daemon_there: bool) -> Finding:
    seen, errors = found.errors[0] + _more(found.errors), list(found.errors)
    lacks_only_secret = found.unfit <= SECRETS
    if lacks_only_secret and is_daemon_there:
        return warn(f"{seen}; the daemon has one", hint=HAND_IT_OVER, errors=errors)
    hint = HAND_IT_OVER if lacks_only_secret else ""
    return fail(Fault.CONFIG_INVALID, seen, hint, errors=errors)


def _more(lines: tuple[str, ...]) -> str:
    return f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
