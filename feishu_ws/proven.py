"""Whether this app id and secret ever worked with this journal; the secret is not kept."""

import hashlib
from typing import Final

from feishu_ws.config.keys import AppSection
from feishu_ws.journal.contract import Journal

PROVEN: Final = "credentials_proven"


def is_proven(journal: Journal, app: AppSection) -> bool:
    """Whether Feishu took them once."""
    return journal.recall(PROVEN) == _digest(journal, app)


def remember_proven(journal: Journal, app: AppSection) -> None:
    """Feishu took them."""
    journal.remember(PROVEN, _digest(journal, app))


def _digest(journal: Journal, app: AppSection) -> str:
    material = f"{journal.facts().id}\0{app.id}\0{app.secret.reveal()}"
    return hashlib.sha256(material.encode()).hexdigest()
