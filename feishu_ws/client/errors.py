"""What a consumer may have to handle, besides `RpcError`."""

from feishu_ws.faults import Fault, FeishuWsError


class Disconnected(FeishuWsError):  # noqa: N818  # a fact, as in "what happened"
    """The daemon is not there, or went away before it answered.

    A settle that ends so was either taken or not: the event comes again in the
    second case, and only then.

    Args:
        reason: Why: a system error, or what the daemon's `bye` said.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(Fault.DAEMON_UNREACHABLE, detail)
        self.reason = reason


class NotAllowed(FeishuWsError):  # noqa: N818
    """This user may not connect to the socket.

    Attributes:
        hint: What to do about it; `socket.allow_users` is another matter.
    """

    hint = (
        "run it as root (sudo) or as the daemon's user,"
        " or set socket.group to a group that this user is in"
    )

    def __init__(self, detail: str) -> None:
        super().__init__(Fault.CLIENT_REFUSED, detail)


class Superseded(FeishuWsError):  # noqa: N818
    """Another process took over this consumer's name; connecting again would be a fight."""

    def __init__(self, name: str) -> None:
        detail = f"consumer {name} was taken over, expected to be its only process"
        super().__init__(Fault.CONSUMER_CONFLICT, detail)
