"""What clients may have us say to Feishu: `send` and `api` of the native socket."""

from typing import Any

import msgspec

from feishu_ws.faults import FeishuWsError
from feishu_ws.openapi.caller import Caller
from feishu_ws.openapi.sender import Sender
from feishu_ws.wire.answers import Answer
from feishu_ws.wire.native import Code, RpcError
from feishu_ws.wire.outgoing import ApiParams, SendParams, read_api


class Office:
    """Carries out what clients ask for."""

    def __init__(self, caller: Caller, sender: Sender) -> None:
        self._caller = caller
        self._sender = sender

    async def send(self, params: SendParams) -> dict[str, str]:
        """Send a message; return Feishu's `message_id`. See `Sender.send`."""
        return await self._sender.send(params)

    async def api(self, params: ApiParams) -> dict[str, Any]:
        """Make any call below `/open-apis/`; return Feishu's answer, whatever it is.

        The call is made once, but for a token that had to be renewed.

        Raises:
            RpcError: `INVALID_PARAMS`, or `INTERNAL_ERROR` with the fault: there is no answer.
        """
        request = read_api(params)
        try:
            answer = await self._caller.call(request)
        except FeishuWsError as fault:
            said = {"fault": str(fault.fault), "code": fault.code}
            raise RpcError(Code.INTERNAL_ERROR, fault.detail, said) from fault
        return encode_answer(answer)


def encode_answer(answer: Answer) -> dict[str, Any]:
    """Return an answer as the result of `api`: JSON as `body`, anything else as base64."""
    result: dict[str, Any] = {
        "http_status": answer.status,
        "headers": {name.lower(): value for name, value in answer.headers.items()},
    }
    try:
        return result | {"body": msgspec.json.decode(answer.body)}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return result | {"body_base64": answer.body}
