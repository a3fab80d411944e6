"""The journal against its model for longer: about a thousand crashes."""

import pytest
from hypothesis import settings
from journal.test_machine import STEPS, SqliteMachine

TestLong = SqliteMachine.TestCase
TestLong.settings = settings(STEPS, max_examples=250, stateful_step_count=50)
TestLong.pytestmark = [pytest.mark.timeout(900)]
