"""The official Python SDK as a peer: `sdk.py typed|lean|inproc DOMAIN SOCKET`.

typed    the SDK's model of the event, made JSON by the SDK's own `JSON.marshal`
lean     the cheapest way the SDK offers: a customized event as a dict, json.dumps
inproc   the SDK's model, dealt with on the spot; only the event's id is handed on

What is handed on goes to SOCKET as a line with the monotonic time the handler was called.
"""

import json
import os
import socket
import sys
import time

import lark_oapi as lark

RECEIVE = "im.message.receive_v1"


def main(kind, domain, path):
    """Connect to both sides and serve for ever."""
    out = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    out.connect(path)

    def hand_on(at, text):
        out.sendall(b'{"at":%d,"event":%b}\n' % (at, text.encode()))

    def typed(event):
        hand_on(time.monotonic_ns(), lark.JSON.marshal(event))

    def lean(event):
        at = time.monotonic_ns()
        hand_on(at, json.dumps({"header": vars(event.header), "event": event.event}))

    def inproc(event):
        hand_on(time.monotonic_ns(), f'"{event.header.event_id}"')

    builder = lark.EventDispatcherHandler.builder("", "")
    if kind == "lean":
        builder.register_p2_customized_event(RECEIVE, lean)
    else:
        builder.register_p2_im_message_receive_v1(typed if kind == "typed" else inproc)
    lark.ws.Client(
        os.environ["FEISHU_WS_APP__ID"],
        os.environ["FEISHU_WS_APP__SECRET"],
        event_handler=builder.build(),
        log_level=lark.LogLevel.ERROR,
        domain=domain,
    ).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
