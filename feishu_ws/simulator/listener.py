"""The port of a simulated Feishu, which can be given up and taken again."""

import asyncio
from typing import Final

from aiohttp import web

from feishu_ws.faults import Fault, FeishuWsError

BACKLOG: Final = 128


class Listener:
    """A TCP port for an HTTP server; the same one as long as this lives.

    Attributes:
        port: The port listened on, also while not listening; 0 before a free one is found.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = port
        self._host = host
        self._listening: asyncio.Server | None = None

    @property
    def authority(self) -> str:
        """HOST:PORT, with brackets around an IPv6 address."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self.port}"

    async def open(self, server: web.Server) -> None:
        """Listen, if that is not so yet.

        Raises:
            FeishuWsError: `port_in_use`, the port cannot be bound.
        """
        if self._listening is not None:
            return
        loop = asyncio.get_running_loop()
        try:
            self._listening = await loop.create_server(
                server, self._host, self.port, backlog=BACKLOG, reuse_address=True
            )
        except OSError as exc:
            why = exc.strerror or exc
            raise FeishuWsError(
                Fault.PORT_IN_USE, f"simulator: cannot listen on {self.authority}: {why}"
            ) from exc
        self.port = self._listening.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Refuse connections from now on; live ones stay."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
