"""The defaults of the keys."""

from dataclasses import asdict

from feishu_ws.secret import Secret
from feishu_ws.upstream.settings import Credentials, UpstreamSettings


def test_defaults():
    """Each key of the configuration has its documented default."""
    assert asdict(UpstreamSettings()) == {
        "connections": 2,
        "keepalive_interval_s": 15,
        "keepalive_timeout_s": 8,
        "connect_timeout_s": 15,
        "backoff_base_s": 0.5,
        "backoff_unreachable_max_s": 5,
        "backoff_max_s": 60,
        "settled_s": 60,
        "storm_tokens": 20,
        "storm_refill_s": 15,
        "rotate_after_s": 0,
        "proxy": "",
        "ca_file": "",
    }


def test_secret_is_not_shown():
    """Credentials can be printed."""
    assert "hunter2" not in repr(Credentials("cli_a", Secret("hunter2")))
