"""The shapes of answers to callbacks."""

import pytest

from feishu_ws.client import card, preview, template_card, toast

RAW = {"schema": "2.0", "body": {"elements": []}}


@pytest.mark.parametrize(
    ("answer", "shape"),
    [
        (toast("好"), {"toast": {"type": "info", "content": "好"}}),
        (
            toast("Done", kind="success", i18n={"zh_cn": "好了"}),
            {"toast": {"type": "success", "content": "Done", "i18n": {"zh_cn": "好了"}}},
        ),
        (card(RAW), {"card": {"type": "raw", "data": RAW}}),
        (template_card("AAq1"), {"card": {"type": "template", "data": {"template_id": "AAq1"}}}),
        (
            template_card("AAq1", {"name": "x"}, "1.0.2"),
            {
                "card": {
                    "type": "template",
                    "data": {
                        "template_id": "AAq1",
                        "template_version_name": "1.0.2",
                        "template_variable": {"name": "x"},
                    },
                }
            },
        ),
        (
            toast("no", kind="error") | card(RAW),
            {"toast": {"type": "error", "content": "no"}, "card": {"type": "raw", "data": RAW}},
        ),
        (preview("Ticket"), {"inline": {"title": "Ticket"}}),
        (
            preview(
                "Ticket", image_key="img_1", urls={"copy_url": "https://x"}, i18n={"zh_cn": "单"}
            )
            | card(RAW),
            {
                "inline": {
                    "title": "Ticket",
                    "i18n_title": {"zh_cn": "单"},
                    "image_key": "img_1",
                    "url": {"copy_url": "https://x"},
                },
                "card": {"type": "raw", "data": RAW},
            },
        ),
    ],
)
def test_answers_are_what_feishu_expects(answer, shape):
    """Nothing more and nothing less."""
    assert answer == shape


def test_a_toast_of_no_known_kind_is_an_error():
    """Feishu would show nothing at all."""
    with pytest.raises(ValueError, match="kind 'ok', expected info, success, warning, error"):
        toast("x", kind="ok")
