"""AstrBot as a process: its data directory, its life, and what it says of itself."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from support import eventually

HERE = Path(__file__).parent
START_S = 150.0  # 13 s on an idle machine, 31 s on a busy one
PROXIES = {"http_proxy", "https_proxy", "all_proxy"}
SETTINGS = {
    "config_version": 5,
    "provider_settings": {"enable": False},  # no model: nothing but commands is answered
    "platform_settings": {
        "enable_id_white_list": False,
        "rate_limit": {"time": 60, "count": 100_000, "strategy": "stall"},
    },
    "dashboard": {"enable": False},
    "disable_metrics": True,
    "log_level": "INFO",
}


class Bot:
    """A headless AstrBot with some platforms and the probe plugin."""

    def __init__(self, root, python, platforms):
        self.root = Path(root)
        self.data = self.root / "data"
        self.log_path = self.root / "astrbot.log"
        self.process = None
        self.starts = []
        self._python = str(python)
        for name in ("data/config", "data/plugins", "data/temp", "tmp"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / ".astrbot").touch()  # what `astrbot init` makes, and `astrbot run` wants
        shutil.copytree(HERE / "probe", self.data / "plugins" / "probe")
        config = SETTINGS | {"platform": platforms}
        (self.data / "cmd_config.json").write_text(json.dumps(config), "utf-8")

    def spawn(self):
        """Start the process."""
        env = {name: v for name, v in os.environ.items() if name.lower() not in PROXIES}
        env |= {"ASTRBOT_ROOT": str(self.root), "ASTRBOT_CLI": "1", "HOME": str(self.root)}
        env |= {"ASTRBOT_DISABLE_METRICS": "1", "TMPDIR": str(self.root / "tmp"), "NO_PROXY": "*"}
        (self.root / "status.json").unlink(missing_ok=True)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [self._python, str(HERE / "inside.py")],
                cwd=self.root,
                env=env | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.began_s = time.monotonic()

    async def start(self):
        """Start and wait until every platform is connected."""
        self.spawn()
        await self.wait_until_connected()
        self.starts.append(time.monotonic() - self.began_s)

    async def wait_until_connected(self, timeout_s=START_S):
        """Wait until every platform is connected."""
        await self.wait(lambda: self.is_connected, timeout_s)

    async def wait(self, condition, timeout_s):
        """Wait for something; fail with the log's tail if it does not happen."""

        def holds():
            assert self.is_alive, f"AstrBot ended with {self.process.returncode}:\n{self.tail()}"
            return condition()

        try:
            await eventually(holds, timeout_s, 0.05)
        except AssertionError as exc:
            raise AssertionError(f"{exc}\n{self.platforms()}\n{self.tail()}") from exc

    def platforms(self):
        """Return what each platform says, by id; the newest of an id counts."""
        try:
            told = json.loads((self.root / "status.json").read_text())
        except (OSError, ValueError):
            return {}
        return {each["id"]: each for each in told["platforms"] if each["id"]} | {
            "control": told["control"]
        }

    @property
    def is_connected(self):
        """Whether every platform is connected."""
        told = self.platforms()
        told.pop("control", None)
        told.pop("webchat", None)
        return bool(told) and all(each["connected"] for each in told.values())

    @property
    def is_alive(self):
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    async def reload(self, name):
        """Reload a platform as the dashboard does."""
        number = time.time()
        unfinished = self.root / ".control"
        unfinished.write_text(json.dumps({"n": number, "reload": name}))
        unfinished.replace(self.root / "control.json")
        await self.wait(lambda: self.platforms().get("control", {}).get("n") == number, 60)
        assert self.platforms()["control"]["error"] is None

    def kill(self):
        """SIGKILL, and wait for the end."""
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def log(self):
        """Return all it logged."""
        return self.log_path.read_text("utf-8", "replace") if self.log_path.exists() else ""

    def tail(self):
        """Return the end of its log."""
        return self.log()[-4000:]

    def noted(self, **wanted):
        """Return what the probe noted of events, where all of `wanted` holds."""
        path = self.data / "noted.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("}")]
        return [each for each in found if wanted.items() <= each.items()]

    def longest_stall(self, since):
        """Return the longest time, in s, that AstrBot's loop stood still since a wall time."""
        path = self.data / "stalls.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("}")]
        return max((each["s"] for each in found if each["at"] >= since), default=0.0)
