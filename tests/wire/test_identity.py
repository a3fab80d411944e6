"""Who a local client has to be."""

import pytest

from feishu_ws.secret import Secret
from feishu_ws.wire.identity import Finding, Identity


@pytest.mark.parametrize(
    ("app_id", "secret", "finding"),
    [
        ("cli_a", "s", Finding.RIGHT),
        ("cli_b", "s", Finding.WRONG_ID),
        ("", "s", Finding.WRONG_ID),
        ("cli_b", "x", Finding.WRONG_ID),
        ("cli_a", "x", Finding.WRONG_SECRET),
        ("cli_a", "", Finding.WRONG_SECRET),
        ("cli_a", "\ud800", Finding.WRONG_SECRET),
    ],
)
def test_findings(app_id, secret, finding):
    """What is wrong is named; a wrong id goes first."""
    assert Identity("cli_a", lambda: Secret("s")).examine(app_id, secret) is finding


def test_secret_of_the_moment():
    """A secret that was changed counts at once."""
    secrets = ["old"]
    identity = Identity("cli_a", lambda: Secret(secrets[0]))
    secrets[0] = "new"
    assert identity.examine("cli_a", "old") is Finding.WRONG_SECRET
    assert identity.examine("cli_a", "new") is Finding.RIGHT
