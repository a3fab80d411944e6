"""Who answers for Feishu, or why the handshake failed."""

import datetime as dt
import ssl

import pytest

from feishu_ws.cli.examine.finding import State
from feishu_ws.cli.examine.passage import Peer
from feishu_ws.cli.examine.place import Place
from feishu_ws.cli.examine.tls import Greeting, judge
from feishu_ws.faults import CATALOGUE, Fault, FeishuWsError

FEISHU = Place("open.feishu.cn", 443)
PEER = Peer(
    "DigiCert Inc",
    ("*.feishu.cn",),
    dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    dt.datetime(2027, 1, 1, tzinfo=dt.UTC),
    "TLSv1.3",
    0.031,
)


def untrusted(code, words="not good"):
    exc = ssl.SSLCertVerificationError(1, "verify failed")
    exc.verify_code, exc.verify_message = code, words
    return exc


def broken(reason):
    exc = ssl.SSLError(1, "failed")
    exc.reason = reason
    return exc


def test_a_good_handshake():
    """Version, time, issuer and how long the certificate holds."""
    finding = judge(Greeting(FEISHU, 0.04, PEER))

    assert finding.state is State.OK
    assert finding.seen == (
        "TLSv1.3 in 31 ms, certificate of open.feishu.cn by 'DigiCert Inc',"
        " valid 2026-01-01 to 2027-01-01"
    )
    assert finding.facts["not_after"] == "2027-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("error", "fault", "seen", "hint"),
    [
        (None, Fault.CONNECT_TIMEOUT, "said nothing for 5.0 s", "MTU"),
        (untrusted(18), Fault.TLS_FAILED, "not good; by 'DigiCert Inc'", "upstream.ca_file"),
        (untrusted(19), Fault.TLS_FAILED, "not trusted", "upstream.ca_file"),
        (untrusted(20), Fault.TLS_FAILED, "not trusted", "upstream.ca_file"),
        (untrusted(9), Fault.TLS_FAILED, "not trusted", "timedatectl"),
        (untrusted(10), Fault.TLS_FAILED, "valid 2026-01-01", "timedatectl"),
        (untrusted(62), Fault.TLS_FAILED, "for *.feishu.cn", "/etc/hosts"),
        (untrusted(7), Fault.TLS_FAILED, "not good", CATALOGUE[Fault.TLS_FAILED].hint),
        (broken("WRONG_VERSION_NUMBER"), Fault.TLS_FAILED, "speaks no TLS", "captive portal"),
        (
            broken("TLSV1_ALERT_PROTOCOL_VERSION"),
            Fault.TLS_FAILED,
            "tlsv1 alert protocol version",
            CATALOGUE[Fault.TLS_FAILED].hint,
        ),
        (ConnectionResetError(), Fault.TLS_FAILED, "cut the connection", "host names"),
        (
            FeishuWsError(Fault.CONFIG_INVALID, "upstream.ca_file x: no"),
            Fault.CONFIG_INVALID,
            "upstream.ca_file x: no",
            CATALOGUE[Fault.CONFIG_INVALID].hint,
        ),
    ],
)
def test_why_it_failed(error, fault, seen, hint):
    """Interception, a wrong clock, another server, a portal and a firewall are told apart."""
    finding = judge(Greeting(FEISHU, 5.0, error=error, shown=PEER))
    assert (finding.state, finding.fault) == (State.FAIL, fault)
    assert seen in finding.seen
    assert hint in finding.advice


def test_without_a_closer_look():
    """The failure stands by itself."""
    finding = judge(Greeting(FEISHU, 0.1, error=untrusted(18)))
    assert finding.seen == "certificate of open.feishu.cn not trusted: not good"
