"""The official Node SDK, unmodified, on the simulated Feishu."""

from pathlib import Path

import pytest
import pytest_asyncio
from acceptance.sdk.contract import NODE, SdkContract, connected
from acceptance.sdk.install import node, node_sdk

CLIENT = str(Path(__file__).parent / "sdk" / "client.mjs")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def words():
    return (node(), CLIENT)


@pytest.fixture(scope="module")
def env():
    return {"SDK_DIRECTORY": str(node_sdk())}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def peer(words, env):
    async with connected(words, env) as running:
        yield running


class TestNodeSdk(SdkContract):
    """@larksuiteoapi/node-sdk."""

    which = NODE
    version = "1.74.0"
