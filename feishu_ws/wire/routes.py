"""Paths of Feishu's REST API as routes: ids out, so that metrics stay few. Pure.

Source: lark-oapi 1.7.5, `uri` of the requests that bots make; AstrBot 4.29.1, seen on the wire.
"""

from collections.abc import Mapping
from typing import Final

OTHER: Final = "other"

ROUTES: Final = (
    "auth/v3/tenant_access_token/internal",
    "bot/v3/info",
    "cardkit/v1/cards",
    "cardkit/v1/cards/:id/elements/:id/content",
    "contact/v3/users/:id",
    "event/v1/connection",
    "im/v1/chats/:id",
    "im/v1/files",
    "im/v1/images",
    "im/v1/messages",
    "im/v1/messages/:id",
    "im/v1/messages/:id/reactions",
    "im/v1/messages/:id/reactions/:id",
    "im/v1/messages/:id/reply",
    "im/v1/messages/:id/resources/:id",
)
"""What is counted by itself, below `/open-apis/`."""

_PREFIX: Final = "/open-apis/"
_ID: Final = ":id"
_Tree = dict[str, "_Tree"]
_END: Final = ""


def _plant() -> _Tree:
    root: _Tree = {}
    for route in ROUTES:
        node = root
        for segment in route.split("/"):
            node = node.setdefault(segment, {})
        node[_END] = {}
    return root


_TREE: Final[Mapping[str, _Tree]] = _plant()


def route_of(path: str) -> str:
    """Return the route of a path, `other` for one that is not counted by itself.

    Args:
        path: As in a request line; a query does not matter.
    """
    plain = path.partition("?")[0]
    if not plain.startswith(_PREFIX):
        return OTHER
    node, route = _TREE, []
    for segment in plain.removeprefix(_PREFIX).split("/"):
        name = segment if segment in node else _ID
        if not segment or name not in node:
            return OTHER
        route.append(name)
        node = node[name]
    return "/".join(route) if _END in node else OTHER
