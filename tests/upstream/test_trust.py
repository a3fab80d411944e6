"""Whom TLS trusts."""

import pytest
from upstream.tls import self_signed

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.upstream.trust import Trust


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_bad_trust_anchor(tmp_path, content):
    """A file that is missing or holds no certificate is a configuration error."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(FeishuWsError, match="ca_file") as caught:
        Trust(str(file)).context()
    assert caught.value.fault is Fault.CONFIG_INVALID


def test_extra_anchor(tmp_path):
    """The operator's anchor is trusted besides the system's, and read once."""
    _, file = self_signed(tmp_path)
    trust = Trust(str(file))
    alone = Trust().context().cert_store_stats()["x509"]
    assert trust.context().cert_store_stats()["x509"] == alone + 1
    assert trust.context() is trust.context()
