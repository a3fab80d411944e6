"""One way from a simulated Feishu to AstrBot: a daemon, a platform, and messages with answers."""

import asyncio
import contextlib
import json
from pathlib import Path

from processes import DaemonProcess, free_port
from support import eventually

from feishu_ws.simulator import corpus
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

AGAIN_S = (1.0,) * 300  # what a killed daemon did not confirm comes again after a second
CONSUMER = "astrbot"
BOT = "ou_bot"


class Route:
    """A Feishu, the daemon in front of it, and AstrBot's platform behind.

    Attributes:
        name: The platform's id: `plugin` or `lookalike`.
        secret: The app's own; AstrBot knows another one.
    """

    def __init__(self, name, app_id, directory):
        self.name = name
        self.app_id = app_id
        self.secret = f"the-real-secret-of-{name}-4f1e"
        self.local_secret = f"good-only-here-{name}-93ac"
        self.directory = Path(directory) / name
        self.directory.mkdir()
        settings = SimulatorSettings(
            app_id=app_id, app_secret=self.secret, redelivery_s=AGAIN_S, keep_log=True
        )
        self.feishu = Simulator(settings)
        self.daemon = None
        self._serial = 0

    async def open(self):
        """Start the daemon, with a Feishu that does not listen yet."""
        await self.feishu.start()
        await self.feishu.stop_listening()
        self._origin = self.feishu.new_origin()
        self.daemon = DaemonProcess(
            self.directory,
            self.feishu.domain,
            app__id=self.app_id,
            app__secret=self.secret,
            lookalike__listen=f"127.0.0.1:{free_port()}",
            lookalike__secret=self.local_secret,
        )
        await asyncio.to_thread(self.daemon.start)

    async def close(self):
        """End both."""
        if self.daemon is not None:
            with contextlib.suppress(AttributeError):
                self.daemon.kill()
        await self.feishu.stop()

    @property
    def endpoint(self):
        """The daemon's lookalike."""
        return "http://" + self.daemon.env["FEISHU_WS_LOOKALIKE__LISTEN"]

    def platform(self):
        """Return what a user enters in AstrBot."""
        common = {
            "id": self.name,
            "enable": True,
            "app_id": self.app_id,
            "app_secret": self.local_secret,
            "domain": self.endpoint,
        }
        if self.name == "lookalike":
            return common | {"type": "lark", "lark_connection_mode": "socket"}
        more = {"socket_path": str(self.daemon.socket_path), "consumer": CONSUMER}
        return common | {"type": "feishu_ws"} | more

    # -- messages ------------------------------------------------------------------------

    def message(self, text="/sid", *, chat="group", kind=None, content=None, mention=False):
        """Return a message's payload and id."""
        self._serial += 1
        sample = f"message.{kind or 'text'}" if chat == "group" else "message.text.p2p"
        body = json.loads(corpus.sample(sample, self._serial, self._origin))
        message = body["event"]["message"]
        if kind is None or content is not None:
            message["content"] = json.dumps(content or {"text": text}, ensure_ascii=False)
        if mention:
            ids = {"open_id": BOT, "union_id": "on_bot", "user_id": ""}
            message["mentions"] = [{"key": "@_user_1", "id": ids, "name": "Simulated"}]
        return body, message["message_id"]

    def say(self, *args, parts=None, **kwargs):
        """Push a message; return its id."""
        body, message_id = self.message(*args, **kwargs)
        self.feishu.push(body, split=parts)
        return message_id

    def event(self, name):
        """Return any other event's payload."""
        self._serial += 1
        return json.loads(corpus.sample(name, self._serial, self._origin))

    def replies(self, message_id):
        """Return what was replied to a message: what people see, a repeated uuid counts once."""
        return [sent for sent in self.feishu.rest.messages if sent.to == message_id]

    async def answered(self, *message_ids, timeout_s=30):
        """Wait until each of these messages has a reply."""
        try:
            await eventually(lambda: not self.unanswered(message_ids), timeout_s, 0.05)
        except AssertionError as exc:
            left = self.unanswered(message_ids)
            seen = f"{self.name}: {len(left)} of {len(message_ids)} not answered"
            raise AssertionError(f"{seen} in {timeout_s} s\n{self.daemon.log()[-1500:]}") from exc

    def unanswered(self, message_ids):
        """Return which of these messages have no reply."""
        replied = {sent.to for sent in self.feishu.rest.messages}
        return [each for each in message_ids if each not in replied]

    @property
    def pending(self):
        """How many events AstrBot has not settled."""
        return sum(each["pending"] for each in self.daemon.status()["consumers"])

    def requests(self, method, end):
        """Return requests to Feishu by method and the end of their path."""
        found = self.feishu.rest.seen
        return [each for each in found if each.method == method and each.path.endswith(end)]
