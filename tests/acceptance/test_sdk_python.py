"""The official Python SDK, unmodified, on the simulated Feishu."""

import json
import sys
from pathlib import Path

import pytest
import pytest_asyncio
from acceptance.sdk.contract import PYTHON, SdkContract, connected
from acceptance.sdk.peer import HONEST, Peer, simulator

from feishu_ws.simulator import corpus

CLIENT = str(Path(__file__).parent / "sdk" / "client.py")
WORDS = (sys.executable, CLIENT)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def peer():
    async with connected(WORDS) as running:
        yield running


class TestPythonSdk(SdkContract):
    """lark-oapi."""

    which = PYTHON
    version = "1.7.5"

    @pytest.fixture
    def words(self):
        return WORDS

    @pytest.fixture
    def env(self):
        return {}

    async def test_the_samples_are_what_its_models_expect(self):
        """The SDK has a model for every sample, and every field is one of the model's."""
        names = [name for name in HONEST if not name.startswith("v1.")]
        payloads = [json.loads(corpus.sample(name, 1)) for name in names]
        async with simulator() as feishu, Peer(feishu, *WORDS) as peer:
            await peer.tell(do="fields", payloads=payloads)
            found = (await peer.hears("fields"))["found"]
        assert {name: odd for name, odd in zip(names, found, strict=True) if odd != []} == {}
