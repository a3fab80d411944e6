"""`feishu-ws run`: hands a valid configuration to the daemon, and its exit code on."""

from feishu_ws.cli.main import execute
from feishu_ws.faults import Exit, Fault, FeishuWsError


def _settings(monkeypatch):
    monkeypatch.setenv("FEISHU_WS_APP__ID", "cli_a")
    monkeypatch.setenv("FEISHU_WS_APP__SECRET", "s")


def test_the_daemon_gets_what_was_loaded(monkeypatch, tmp_path):
    """File and environment, merged."""
    _settings(monkeypatch)
    (tmp_path / "c.toml").write_text("[upstream]\nconnections = 5\n")
    given = []

    def live(loaded):
        given.append(loaded)
        return Exit.OK

    monkeypatch.setattr("feishu_ws.cli.run.main", live)

    assert execute(["run", "--config", str(tmp_path / "c.toml")]) == 0
    assert given[0].settings.upstream.connections == 5
    assert given[0].path == str(tmp_path / "c.toml")


def test_what_makes_the_daemon_give_up_is_told(monkeypatch, tmp_path, capsys):
    """With the exit code of the fault."""
    _settings(monkeypatch)
    monkeypatch.chdir(tmp_path)

    def die(_):
        raise FeishuWsError(Fault.JOURNAL_LOCKED, "process 7 holds it, expected nobody, /j.lock")

    monkeypatch.setattr("feishu_ws.cli.run.main", die)

    assert execute(["run"]) == Exit.IN_USE
    assert capsys.readouterr().err.startswith("feishu-ws: process 7 holds it, expected nobody,")


async def test_a_place_for_the_journal_that_cannot_be_made(command, tmp_path):
    """A plain message and the journal's exit code; it is no defect of ours."""
    (tmp_path / "file").write_text("in the way")
    wanted = tmp_path / "file" / "deeper" / "journal.db"
    code, out, err = await command(
        "run",
        FEISHU_WS_APP__ID="cli_a",
        FEISHU_WS_APP__SECRET="s",
        FEISHU_WS_JOURNAL__PATH=str(wanted),
    )
    assert (code, out) == (Exit.JOURNAL, "")
    assert "Traceback" not in err
    first, *_, last = err.splitlines()
    assert first.startswith(f"feishu-ws: cannot make {wanted.parent}, expected")
    assert last == "  fault: journal_io"
