"""The journal against its model for longer: some thousand crashes."""

from hypothesis import settings
from journal.test_machine import STEPS, SqliteMachine

TestLong = SqliteMachine.TestCase
TestLong.settings = settings(STEPS, max_examples=800, stateful_step_count=50)
