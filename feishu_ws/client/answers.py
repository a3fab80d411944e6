"""What the sender of a callback is told, in the shapes Feishu's clients expect. Pure.

Each is a JSON object that a handler returns or `reply` is given; `|` joins two::

    return toast("Approved", kind="success") | card(done)

Source: lark-oapi 1.7.5 event/callback/model; Feishu docs "处理卡片回调", "拉取链接预览数据".
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

Kind = Literal["info", "success", "warning", "error"]
Answer = dict[str, Any]

KINDS: Final[tuple[str, ...]] = get_args(Kind)


def toast(content: str, kind: Kind = "info", i18n: Mapping[str, str] | None = None) -> Answer:
    """Return an answer that shows a line of text for a moment.

    Args:
        content: What is shown where `i18n` has nothing for the user's language.
        kind: Its look.
        i18n: Text by language, such as `zh_cn` and `en_us`.

    Raises:
        ValueError: There is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"toast is of kind {kind!r}, expected {', '.join(KINDS)}")
    shown: Answer = {"type": kind, "content": content}
    return {"toast": shown if i18n is None else shown | {"i18n": dict(i18n)}}


def card(raw: Mapping[str, Any]) -> Answer:
    """Return an answer that puts a card, given as its JSON, in place of the one that was used."""
    return {"card": {"type": "raw", "data": dict(raw)}}


def template_card(
    template_id: str, variables: Mapping[str, Any] | None = None, version: str | None = None
) -> Answer:
    """Return an answer that puts a card from Feishu's card tool in place of the one used.

    Args:
        template_id: As the tool shows it, `AAq…`.
        variables: Values of the template's variables.
        version: Which published version, such as `1.0.0`; None is the newest.
    """
    data: Answer = {"template_id": template_id}
    if version is not None:
        data["template_version_name"] = version
    if variables is not None:
        data["template_variable"] = dict(variables)
    return {"card": {"type": "template", "data": data}}


def preview(
    title: str,
    *,
    image_key: str | None = None,
    urls: Mapping[str, str] | None = None,
    i18n: Mapping[str, str] | None = None,
) -> Answer:
    """Return the answer to `url.preview.get`; joined with a card it also unfolds to that.

    Args:
        title: Stands in the message in place of the link.
        image_key: An icon that was uploaded to Feishu.
        urls: Where it leads: `copy_url`, `ios`, `android`, `pc`, `web`.
        i18n: Titles by language, such as `zh_cn` and `en_us`.
    """
    inline: Answer = {"title": title}
    if i18n is not None:
        inline["i18n_title"] = dict(i18n)
    if image_key is not None:
        inline["image_key"] = image_key
    if urls is not None:
        inline["url"] = dict(urls)
    return {"inline": inline}
