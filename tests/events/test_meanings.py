import pytest
from events.lark import SHAPES
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.events.meanings import _MEANINGS, meaning_of, spell_out
from feishu_ws.simulator.corpus import BODIES, CALLBACK_BODIES
from feishu_ws.simulator.office import V1_BODIES
from feishu_ws.telemetry.labels import EVENT_TYPES

NARROW = 18
SCHEMA_1 = {
    "message", "message_read", "add_bot", "remove_bot", "p2p_chat_create", "add_user_to_chat",
    "remove_user_from_chat", "revoke_add_user_from_chat", "chat_disband", "group_setting_update",
    "user_add", "user_update", "user_leave", "user_status_change", "dept_add", "dept_update",
    "dept_delete", "contact_scope_change", "app_open", "app_uninstalled", "app_status_change",
    "approval_instance", "approval_task", "leave_approvalV2", "work_approval", "shift_approval",
    "remedy_approval", "trip_approval", "out_approval",
}  # fmt: skip
"""Source: oapi-sdk-go v3 event/dispatcher/ext_event_dispatch.go; research of approvals."""


@pytest.mark.parametrize("event_type", [*BODIES, *CALLBACK_BODIES, *V1_BODIES, *EVENT_TYPES])
def test_what_is_simulated_or_counted_by_name_has_a_meaning(event_type):
    """The types one meets are the types there are words for."""
    assert meaning_of(event_type)


@pytest.mark.parametrize("event_type", _MEANINGS)
def test_only_types_that_exist_have_a_meaning(event_type):
    """A misspelt type in the table would go unnoticed, and a long meaning would be cut."""
    assert event_type in {*SHAPES, *SCHEMA_1, *BODIES, "feishu.unknown"}
    assert len(meaning_of(event_type)) <= NARROW


@pytest.mark.parametrize(
    ("event_type", "words"),
    [
        ("corehr.job_data.changed_v1", "corehr job data changed"),
        ("leave_approvalV2", "leave approvalV2"),
        ("a_v12", "a"),
        ("a_v1.b", "a v1 b"),
        ("", ""),
    ],
)
def test_other_types_are_spelt_out(event_type, words):
    """Dots and underscores part words, the version goes."""
    assert meaning_of("corehr.job_data.changed_v1") == ""
    assert spell_out(event_type) == words


@given(st.text())
def test_any_type_can_be_spelt_out(event_type):
    """Never longer than it is."""
    assert len(spell_out(event_type)) <= len(event_type)
