"""What is set, as far as it is valid."""

import pytest

from feishu_ws.cli.examine.configured import ADDRESS, IDENTITY, TRUST, configure, judge
from feishu_ws.cli.examine.finding import State
from feishu_ws.faults import Fault

WHO = {"FEISHU_WS_APP__ID": "cli_a", "FEISHU_WS_APP__SECRET": "s3cret"}


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No configuration lies around."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("feishu_ws.config.draft.SYSTEM_FILE", str(tmp_path / "none.toml"))


def test_all_is_set():
    """App and domain are told, never the secret."""
    found = configure(None, WHO)
    finding = judge(found, is_daemon_there=False)

    assert (finding.state, finding.seen) == (
        State.OK,
        "environment: app cli_a at https://open.feishu.cn",
    )
    assert found.obstacle(IDENTITY) == ""


def test_a_wrong_key_stops_only_what_needs_it():
    """A missing secret is in the way of discovery and not of TCP; a wrong path of neither."""
    without = configure(None, {"FEISHU_WS_APP__ID": "cli_a"})
    wrong = configure(None, WHO | {"FEISHU_WS_JOURNAL__PATH": "", "FEISHU_WS_LOG__LEVEL": "loud"})

    assert (without.obstacle(ADDRESS), without.obstacle(TRUST)) == ("", "")
    assert without.obstacle(IDENTITY) == "app.secret is not valid"
    assert wrong.obstacle(IDENTITY) == ""
    assert judge(wrong, is_daemon_there=True).fault is Fault.CONFIG_INVALID


def test_a_file_that_cannot_be_read_stops_all():
    """What is in it may be anything."""
    found = configure("/no/such.toml", WHO)

    assert found.obstacle(ADDRESS) == "the configuration cannot be read"
    assert judge(found, is_daemon_there=False).fault is Fault.CONFIG_INVALID


def test_more_than_one_error():
    """The first is told, the others counted; programs get them all."""
    finding = judge(
        configure(None, WHO | {"FEISHU_WS_A": "", "FEISHU_WS_B": ""}), is_daemon_there=False
    )

    assert "FEISHU_WS_A: an unknown variable" in finding.seen
    assert finding.seen.endswith("(and 1 more)")
    assert len(finding.facts["errors"]) == 2


@pytest.mark.parametrize(
    ("env", "is_daemon_there", "state", "fault"),
    [
        ({}, True, State.SKIP, None),
        ({}, False, State.FAIL, Fault.CONFIG_INVALID),
        ({"FEISHU_WS_APP__ID": "cli_a"}, True, State.WARN, None),
        ({"FEISHU_WS_APP__ID": "cli_a"}, False, State.FAIL, Fault.CONFIG_INVALID),
    ],
)
def test_a_daemon_may_have_what_this_command_lacks(env, is_daemon_there, state, fault):
    """A credential of the service manager, or the whole configuration, is the daemon's alone."""
    finding = judge(configure(None, env), is_daemon_there=is_daemon_there)
    assert (finding.state, finding.fault) == (state, fault)


def test_the_daemon_serves_another_app():
    """Then this is not its configuration."""
    finding = judge(configure(None, WHO), is_daemon_there=True, app_id="cli_b")
    assert (finding.state, "cli_b" in finding.seen) == (State.WARN, True)


def test_what_is_unwise_is_a_warning():
    """It works, and somebody should look at it."""
    found = configure(None, WHO | {"FEISHU_WS_TELEMETRY__LISTEN": "0.0.0.0:9530"})
    finding = judge(found, is_daemon_there=False)
    assert (finding.state, "telemetry.listen" in finding.seen) == (State.WARN, True)
