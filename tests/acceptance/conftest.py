"""What several of the slow tests share."""

import pytest

pytest.register_assert_rewrite("acceptance.sdk.contract")  # before any test imports it
