"""The page at `/`: the status for people, self-contained and without scripts. Pure."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

_REFRESH_S: Final = 5

_STYLE: Final = """
:root { color-scheme: light dark; --good: #2e7d32; --bad: #c62828; }
@media (prefers-color-scheme: dark) { :root { --good: #81c784; --bad: #ef9a9a; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; max-width: 60rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1rem; margin: 2rem 0 .3rem; }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .2rem 1rem .2rem 0; border-bottom: 1px solid #8884; }
th { font-weight: 600; opacity: .7; }
.good { color: var(--good); } .bad { color: var(--bad); }
footer { margin-top: 2rem; opacity: .7; }
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def status_page(status: dict[str, Any]) -> str:
    """Return the page for an object of `status_object`."""
    now = status["now_ms"]
    parts = [
        _headline(status),
        _section("Links", _LINK_HEAD, (_link_row(link, now) for link in status["links"])),
        _section("Consumers", _CONSUMER_HEAD, (_consumer_row(c, now) for c in status["consumers"])),
        _section("Journal", _JOURNAL_HEAD, [_journal_row(status["journal"])]),
        _section("Recent losses", _LOSS_HEAD, (_loss_row(loss, now) for loss in status["losses"])),
    ]
    return _document(f"feishu-ws {status['app_id']}", "\n".join(parts), status)


_LINK_HEAD: Final = ("link", "state", "for", "last frame", "failures", "fault")
_CONSUMER_HEAD: Final = ("consumer", "connected", "pending", "oldest", "in flight", "cursor")
_JOURNAL_HEAD: Final = (
    "first", "last position", "size", "limit", "free", "dead letters", "open sends", "dead sends",
    "fault",
)  # fmt: skip
_LOSS_HEAD: Final = ("ago", "link", "fault", "lived", "times", "detail")


def _headline(status: dict[str, Any]) -> str:
    live = sum(bool(link["established_ms"]) for link in status["links"])
    word, kind = ("ready", "good") if status["ready"] else ("not ready", "bad")
    storm = " (reconnect storm)" if status["storm"] else ""
    changed = ", ".join(status["needs_restart"])
    restart = f"; changed and waiting for a restart: {escape(changed)}" if changed else ""
    fault = f" — {escape(status['fault'])}: {escape(status['hint'])}" if status["fault"] else ""
    return (
        f'<p class="{kind}"><strong>{word}</strong>{fault}</p>'
        f"<p>{live} of {status['links_wanted']} links live{storm}, "
        f"last event {_ago(status['last_event_ms'], status['now_ms'])}, "
        f"up {_span(status['now_ms'] - status['started_ms'])}{restart}</p>"
    )


def _link_row(link: dict[str, Any], now: int) -> Sequence[object]:
    return (
        link["link"],
        link["state"],
        _span(now - link["since_ms"]),
        _ago(link["last_frame_ms"], now),
        link["failures"],
        link["fault"] or "",
    )


def _consumer_row(consumer: dict[str, Any], now: int) -> Sequence[object]:
    return (
        consumer["name"],
        "yes" if consumer["connected"] else "no",
        consumer["pending"],
        _ago(consumer["oldest_pending_ms"], now) if consumer["oldest_pending_ms"] else "",
        consumer["in_flight"],
        consumer["cursor"],
    )


def _journal_row(journal: dict[str, Any]) -> Sequence[object]:
    return (
        journal["first"],
        journal["last"],
        _size(journal["size_bytes"]),
        _size(journal["limit_bytes"]),
        _size(journal["free_bytes"]),
        journal["dead_letters"],
        journal["open_sends"],
        journal["dead_sends"],
        journal["fault"] or "",
    )


def _loss_row(loss: dict[str, Any], now: int) -> Sequence[object]:
    lived = "" if loss["lived_s"] is None else _span(round(loss["lived_s"] * 1000))
    ago = _ago(loss["at_ms"], now)
    return (ago, loss["link"], loss["fault"], lived, loss["times"], loss["detail"])


def _section(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    body = "\n".join(_row("td", row) for row in rows)
    return f"<h2>{title}</h2><table>{_row('th', head)}{body}</table>"


def _row(tag: str, cells: Sequence[object]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"


def _ago(at_ms: int, now_ms: int) -> str:
    return f"{_span(now_ms - at_ms)} ago" if at_ms else "never"


def _span(ms: int) -> str:
    """Return a duration in its two largest units."""
    seconds = max(ms, 0) // 1000
    units = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    found = []
    for size, unit in units:
        count, seconds = divmod(seconds, size)
        if count:
            found.append(f"{count} {unit}")
    return " ".join(found[:2]) or "0 s"


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _document(title: str, body: str, status: dict[str, Any]) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{_REFRESH_S}">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{body}
<footer>feishu-ws {escape(status["version"])} · <a href="/status">status</a> ·
<a href="/metrics">metrics</a> · <a href="/readyz">readyz</a> · <a href="/livez">livez</a></footer>
</body>
</html>
"""
