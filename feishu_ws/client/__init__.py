"""The consumer library: read events from the daemon's socket and settle them.

`feishu_ws.client.blocking` has the same names for programs with threads.
"""

from feishu_ws.client.answers import card, preview, template_card, toast
from feishu_ws.client.connection import ask
from feishu_ws.client.consumer import Consumer
from feishu_ws.client.delivery import CloudEvent, Delivery
from feishu_ws.client.errors import Disconnected, NotAllowed, Superseded
from feishu_ws.wire.native import Code, RpcError

__all__ = [
    "CloudEvent",
    "Code",
    "Consumer",
    "Delivery",
    "Disconnected",
    "NotAllowed",
    "RpcError",
    "Superseded",
    "ask",
    "card",
    "preview",
    "template_card",
    "toast",
]
