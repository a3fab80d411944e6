"""Where log lines go and how they look: structlog, set up without global state.

One line per record: an object of JSON (`ts`, `level`, `event`, fields), or for people
`time level event key=value …`. On the journal of systemd each line begins with its
priority. Writing a line never raises and never waits for anything but the stream.
"""

import logging
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self, TextIO

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from feishu_ws.clock import Clock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.secret import Secret
from feishu_ws.telemetry.redact import redact_fields

Record = MutableMapping[str, Any]

FORMATS: Final = ("auto", "json", "text")
LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""Source: sd-daemon(3), syslog levels."""
_COLOURS: Final = {"debug": 2, "info": 32, "warning": 33, "error": 31, "critical": 35}
"""ANSI SGR numbers."""


class Logs:
    """The daemon's log.

    Args:
        level: A word of `LEVELS`; records below it are dropped.
        style: A word of `FORMATS`; `auto` = text on a terminal, else JSON.
        stream: Where lines go.
        messages: Counts written lines by level.
        env: Where $JOURNAL_STREAM and $NO_COLOR are looked up.

    Raises:
        FeishuWsError: `config_invalid`, for an unknown level or format.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        level: str = "info",
        style: str = "auto",
        stream: TextIO | None = None,
        messages: Counter[str] | None = None,
        env: Mapping[str, str] = os.environ,
    ) -> None:
        self._clock = clock
        self._stream = stream if stream is not None else sys.stderr
        self._on_terminal = _is_terminal(self._stream)
        self._in_journal = _is_journal(self._stream, env.get("JOURNAL_STREAM", ""))
        self._in_colour = self._on_terminal and not env.get("NO_COLOR")
        self._secrets: tuple[Secret, ...] = ()
        self._bridge = _Bridge(self)
        self.messages = Counter[str]() if messages is None else messages
        self.apply(level, style)
        self.logger: FilteringBoundLogger = structlog.wrap_logger(
            _Lines(self._stream),
            processors=[
                self._drop_quiet,
                structlog.processors.format_exc_info,
                self._redact,
                self._count,
                self._write_out,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(0),
            context_class=dict,
        )

    def apply(self, level: str, style: str) -> None:
        """Change level and format (SIGHUP); nothing changes if either is unknown.

        Raises:
            FeishuWsError: `config_invalid`, for an unknown level or format.
        """
        _expect("log.level", level, LEVELS)
        _expect("log.format", style, FORMATS)
        self._threshold = LEVELS[level]
        self._is_text = style == "text" or (style == "auto" and self._on_terminal)

    def hide(self, secrets: Iterable[Secret]) -> None:
        """Blot out these values wherever they appear, from now on."""
        self._secrets = tuple(secrets)

    def __enter__(self) -> Self:
        """Write what libraries warn about into this log too."""
        logging.getLogger().addHandler(self._bridge)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        logging.getLogger().removeHandler(self._bridge)

    # -- the chain of processors ---------------------------------------------------

    def _drop_quiet(self, _: Any, level: str, record: Record) -> Record:
        if LEVELS[level] < self._threshold:
            raise structlog.DropEvent
        return record

    def _redact(self, _: Any, level: str, record: Record) -> Record:
        event = record.pop("event")
        head = {"ts": timestamp(self._clock.wall_ms()), "level": level, "event": event}
        return head | redact_fields(record, self._secrets)

    def _count(self, _: Any, level: str, record: Record) -> Record:
        self.messages[level] += 1
        return record

    def _write_out(self, _: Any, level: str, record: Record) -> str:
        line = _text(record, in_colour=self._in_colour) if self._is_text else _json(record)
        return f"<{_PRIORITIES[level]}>{line}" if self._in_journal else line


def configure(clock: Clock, level: str = "info", style: str = "auto", **where: Any) -> Logs:
    """Return the daemon's log; `where` are the keywords of `Logs`."""
    return Logs(clock, level=level, style=style, **where)


class _Lines:
    """Writes lines; a stream that is gone is not the daemon's problem."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        with suppress(OSError, ValueError):  # ValueError: closed, or not encodable there
            self._stream.write(f"{line}\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


class _Bridge(logging.Handler):
    """Hands on what libraries log, from warnings up: below that they print content."""

    def __init__(self, logs: Logs) -> None:
        super().__init__(logging.WARNING)
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        fields = {"library": record.name, "detail": _message(record)}
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception"] = logging.Formatter().formatException(record.exc_info)
        level = logging.getLevelName(record.levelno).lower()
        self._logs.logger.log(LEVELS.get(level, logging.WARNING), "library.warned", **fields)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # the library's format and arguments do not fit
        return str(record.msg)


def _expect(key: str, value: str, allowed: Iterable[str]) -> None:
    if value not in allowed:
        raise FeishuWsError(
            Fault.CONFIG_INVALID, f"{key} is {value!r}, expected one of {', '.join(allowed)}"
        )


def _is_terminal(stream: TextIO) -> bool:
    with suppress(OSError, ValueError):
        return stream.isatty()
    return False


def _is_journal(stream: TextIO, journal_stream: str) -> bool:
    """Whether `stream` is what systemd connected to its journal.

    Source: systemd.exec(5), $JOURNAL_STREAM is `DEVICE:INODE`.
    """
    with suppress(OSError, ValueError):
        status = os.fstat(stream.fileno())
        return journal_stream == f"{status.st_dev}:{status.st_ino}"
    return False


def timestamp(wall_ms: int) -> str:
    """Return Unix milliseconds as lines have them: RFC 3339 in UTC."""
    moment = datetime.fromtimestamp(wall_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(record: Record) -> str:
    return msgspec.json.encode(record).decode()


def _text(record: Record, *, in_colour: bool) -> str:
    level, event = record["level"], record["event"]
    word = f"{level:<8}"
    if in_colour:
        word = f"\x1b[{_COLOURS[level]}m{word}\x1b[0m"
    pairs = (
        f"{_shown(k)}={_shown(v)}" for k, v in record.items() if k not in {"ts", "level", "event"}
    )
    return " ".join([record["ts"], word, event, *pairs])


def _shown(value: Any) -> str:
    """Return a field for people: bare where it reads well, else as JSON.

    A control character would let a peer's message rewrite the terminal.
    """
    if isinstance(value, str) and value.isprintable() and value and not set(value) & set(' "='):
        return value
    quoted = msgspec.json.encode(value).decode()
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in quoted)
