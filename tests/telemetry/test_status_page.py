"""The page at /."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from telemetry import samples

from feishu_ws.faults import Fault
from feishu_ws.telemetry.facts import Loss
from feishu_ws.telemetry.status import status_object
from feishu_ws.telemetry.status_page import CONTENT_SECURITY_POLICY, status_page
from feishu_ws.wire.link import LinkState

HOSTILE = "<script>alert(1)</script>\"'&"


class Tags(HTMLParser):
    """Collects tags, and checks that they nest."""

    def __init__(self, page):
        super().__init__()
        self.seen, self.attrs, self._open = [], [], []
        self.feed(page)
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attrs += [name for name, _ in attrs]
        if tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag


def page(**changes):
    return status_page(status_object(samples.facts(**changes)))


def test_it_says_how_things_are():
    """Readiness, links, consumers, journal and losses can be read without knowing JSON."""
    loss = Loss(samples.NOW_MS - 90_000, 1, Fault.PONG_OVERDUE, 3_700, "no pong")
    text = page(losses=(loss,), links=(samples.link(0), samples.link(1, LinkState.BACKOFF)))
    for words in ("ready", "1 of 2 links live", "astrbot", "1 min 30 s ago", "1 h 1 min"):
        assert words in text


def test_durable_messages_are_counted():
    """Those on their way, and those that were given up."""
    text = page(journal=samples.journal(open_sends=4711, dead_sends=815))
    assert "<td>4711</td><td>815</td>" in text


def test_a_fault_comes_with_its_hint():
    """Who sees the fault sees what to do."""
    text = page(journal=samples.journal(fault=Fault.DISK_FULL))
    assert "not ready" in text
    assert "disk_full: free space" in text


def test_a_storm_is_told():
    """Links that wait for the storm breaker are told apart from links that just wait."""
    assert "2 of 2 links live (reconnect storm), " in page(is_storm=True)
    assert "storm" not in page()


def test_what_waits_for_a_restart_is_told():
    """As in the status; nothing where nothing waits."""
    assert "waiting for a restart: socket.path" in page(needs_restart=("socket.path",))
    assert "restart" not in page()


def test_it_asks_nobody_for_anything():
    """No script, image, font, frame or form: the page is one request."""
    tags = Tags(page())
    assert not set(tags.seen) & {"script", "img", "link", "iframe", "form", "object", "svg"}
    assert not [name for name in tags.attrs if name in {"src", "style"} or name.startswith("on")]
    assert "http:" not in page()
    assert "https:" not in page()


def test_its_style_is_the_only_thing_the_policy_allows():
    """The hash in the policy is that of the style in the page."""
    [style] = re.findall(r"<style>(.*?)</style>", page(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY


def test_hostile_words_stay_words():
    """Names and details of others are escaped wherever they appear."""
    loss = Loss(1, 0, Fault.CONNECTION_LOST, None, HOSTILE)
    text = page(
        app_id=HOSTILE,
        version=HOSTILE,
        losses=(loss,),
        consumers=(samples.consumer(HOSTILE),),
    )
    assert "<script" not in text
    Tags(text)


@pytest.mark.parametrize("changes", [{"links": (), "consumers": ()}, {"last_event_ms": 0}])
def test_an_empty_daemon_has_a_page(changes):
    """Nothing to show is no error."""
    Tags(page(**changes))
