"""What can befall a client, as data: one class per kind, its fields the keys of a scenario.

The first sentence of a class says what happens, in the words of the documentation.
"""

import difflib
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta

from feishu_ws.simulator.answers import SHAPES
from feishu_ws.simulator.hostile import FAMILIES
from feishu_ws.simulator.octets import VIOLATIONS
from feishu_ws.simulator.settings import MIB

Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]
Parts = Annotated[int, Meta(ge=1, le=64)]
Status = Annotated[int, Meta(ge=200, le=599)]
CloseCode = Annotated[int, Meta(ge=1000, le=4999)]
Links = Literal["one", "all"]
Headers = dict[str, str]

OK: Final = 200
ABSENT: Final = 0  # what a number is when it is left out


def nearest(seen: str, known: Iterable[str]) -> str:
    """Return which known name was perhaps meant, or some of them."""
    names = sorted(known)
    close = difflib.get_close_matches(seen, names, 1)
    if close:
        return f"the nearest known name is {close[0]!r}"
    return f"expected one of {', '.join(names)}"


class Mishap(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"
):
    """Something that befalls the client.

    Attributes:
        at_s: Seconds from the start to the first time.
        every_s: Seconds between times; 0: once.
    """

    at_s: Seconds = 0
    every_s: Seconds = 0

    @classmethod
    def kind_name(cls) -> str:
        """Return the word a scenario has for it."""
        return str(cls.__struct_config__.tag)

    @property
    def detail(self) -> str:
        """What it does in particular: its keys that say something."""
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return " ".join(
            f"{name}={msgspec.json.encode(value).decode()}"
            for name, value in values.items()
            if name not in PLANNING and value not in (None, "", (), UNSAID.get(name))
        )


PLANNING: Final = frozenset({"at_s", "every_s", "for_s"})
"""Keys that say when."""
UNSAID: Final = {
    "links": "one", "headers": {}, "notices_close": True, "unasked": False, "left_out": False,
    "drip": False,
}  # fmt: skip
"""Values that go without saying, besides none at all."""


class OnLinks(Mishap, frozen=True):
    """Something that befalls links that are live.

    Attributes:
        links: Whom it befalls: one at random, or all.
    """

    links: Links = "one"


class Lasting(Mishap, frozen=True):
    """Something that goes on for a while.

    Attributes:
        for_s: Seconds it lasts; 0: until the scenario ends.
    """

    for_s: Seconds = 0


# -- links end ------------------------------------------------------------------------------


class Reset(OnLinks, frozen=True, tag="reset"):
    """The link is cut with a TCP RST."""


class HangUp(OnLinks, frozen=True, tag="hang_up"):
    """The link ends with a TCP FIN and no close frame."""


class Close(OnLinks, frozen=True, tag="close"):
    """The link is closed with a close frame."""

    code: CloseCode = 1000  # Source: observed, with the reason "bye"
    reason: Annotated[str, Meta(max_length=30)] = "bye"  # 123 bytes fit


class Silent(OnLinks, frozen=True, tag="silent"):
    """The link becomes a black hole: TCP stays open, nothing is read or answered any more.

    Attributes:
        notices_close: Whether Feishu notices that the client left; if not, the link counts
            as live, and gets events, until it has been idle for `idle_s`.
    """

    notices_close: bool = True


class Violate(OnLinks, frozen=True, tag="violate"):
    """The link carries octets that break the WebSocket protocol.

    Attributes:
        octets: Which, by name.
    """

    octets: str = "reserved_opcode"

    def __post_init__(self) -> None:
        """Refuse octets that are not known."""
        _require(self.octets, VIOLATIONS, "octets")


# -- links say odd things -------------------------------------------------------------------


class Mute(Lasting, frozen=True, tag="mute"):
    """Links answer no pings any more.

    Attributes:
        pings: Whose pings: Feishu's own frames, the WebSocket's, or both.
    """

    links: Links = "one"
    pings: Literal["feishu", "websocket", "both"] = "feishu"


class Pong(Lasting, frozen=True, tag="pong"):
    """Pongs carry another config, or something else, or nothing.

    Attributes:
        config: What they carry, as a table; may be partial or absurd.
        payload: What they carry, as text; without either they carry nothing.
        left_out: No pongs at all, not even the first one of a link.
        unasked: A pong is sent to every link at once, without a ping.
    """

    config: dict[str, Any] | None = None
    payload: str = ""
    left_out: bool = False
    unasked: bool = False


class Hostile(OnLinks, frozen=True, tag="hostile"):
    """Links get frames that are out of order.

    Attributes:
        frames: How many each time.
        families: Which kinds; none named: all.
    """

    frames: Annotated[int, Meta(ge=1)] = 10
    families: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse families that are not known."""
        for family in self.families:
            _require(family, FAMILIES, "families")


class LargeEvent(Mishap, frozen=True, tag="large_event"):
    """A text message of unusual size comes.

    Attributes:
        size_bytes: Of the whole event.
        parts: How many parts it comes in.
    """

    size_bytes: Annotated[int, Meta(ge=2_000, le=15 * MIB)] = 2 * MIB
    parts: Parts = 1


class LoseAcks(Lasting, frozen=True, tag="lose_acks"):
    """Confirmations get lost, so that Feishu sends events again.

    Attributes:
        share: Of all confirmations.
    """

    share: Share = 1


# -- discovery ------------------------------------------------------------------------------


class RefuseDiscovery(Lasting, frozen=True, tag="refuse_discovery"):
    """Discovery is refused, with Feishu's code in the body or with an HTTP status.

    Attributes:
        code: Feishu's, in the body.
        message: Beside the code; none given: the usual one.
        status: HTTP status.
        headers: HTTP headers besides, such as x-ogw-ratelimit-reset or Location.
    """

    code: int = ABSENT
    message: str = ""
    status: Status = OK
    headers: Headers = {}

    def __post_init__(self) -> None:
        """Refuse what would be no refusal."""
        if self.code == ABSENT and self.status == OK:
            raise ValueError("neither code nor status, expected one of them")


class GarbleDiscovery(Lasting, frozen=True, tag="garble_discovery"):
    """Discovery answers with something that cannot be used.

    Attributes:
        shape: What is wrong, by name.
        body: Text to answer with instead.
    """

    shape: str = "not_json"
    body: str | None = None

    def __post_init__(self) -> None:
        """Refuse shapes that are not known."""
        _require(self.shape, SHAPES, "shape")


class HangDiscovery(Lasting, frozen=True, tag="hang_discovery"):
    """Discovery takes its time.

    Attributes:
        delay_s: How long.
        drip: The answer comes byte by byte all the while, instead of at the end.
    """

    delay_s: Seconds = 60
    drip: bool = False


class DropDiscovery(Lasting, frozen=True, tag="drop_discovery"):
    """Discovery is answered with a TCP RST."""


# -- the handshake --------------------------------------------------------------------------


class RefuseHandshake(Lasting, frozen=True, tag="refuse_handshake"):
    """The WebSocket is refused, with Feishu's headers or others.

    Attributes:
        handshake_status: `Handshake-Status`; 0 leaves all `Handshake-*` headers out.
        code: `Handshake-Autherrcode`; 0 leaves it out.
        reason: `Handshake-Msg`.
        status: HTTP status.
        headers: Any others; they win over those above.
    """

    handshake_status: int = 514
    code: int = ABSENT
    reason: str = "refused"
    status: Status = 403
    headers: Headers = {}


class HangHandshake(Lasting, frozen=True, tag="hang_handshake"):
    """The WebSocket handshake takes its time.

    Attributes:
        delay_s: How long.
    """

    delay_s: Seconds = 60


class Limit(Lasting, frozen=True, tag="limit"):
    """Feishu allows fewer links; those that are live stay.

    Attributes:
        connections: How many; one more is refused with 1000040350.
    """

    connections: Count = 1


# -- Feishu as a whole ----------------------------------------------------------------------


class Outage(Lasting, frozen=True, tag="outage"):
    """Every link is reset and nothing listens."""


class SkewDate(Lasting, frozen=True, tag="skew_date"):
    """Feishu's clock is wrong, as its `Date` header shows.

    Attributes:
        offset_s: By how much; negative: behind.
    """

    offset_s: float = 3600


AnyMishap = (
    Reset | HangUp | Close | Silent | Violate | Mute | Pong | Hostile | LargeEvent | LoseAcks
    | RefuseDiscovery | GarbleDiscovery | HangDiscovery | DropDiscovery | RefuseHandshake
    | HangHandshake | Limit | Outage | SkewDate
)  # fmt: skip

KINDS: Final[dict[str, type[Mishap]]] = {kind.kind_name(): kind for kind in get_args(AnyMishap)}
"""By the word a scenario has for it."""


def _require(seen: str, known: Iterable[str], key: str) -> None:
    if seen not in known:
        raise ValueError(f"{key} names {seen!r}, {nearest(seen, known)}")
