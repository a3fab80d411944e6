"""Who a local client has to be: it shows an app id and a secret, as to Feishu. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from feishu_ws.secret import Secret


class Finding(Enum):
    """What is wrong with what was shown."""

    RIGHT = "right"
    WRONG_ID = "wrong id"
    WRONG_SECRET = "wrong secret"  # noqa: S105  # no secret


@dataclass(frozen=True, slots=True)
class Identity:
    """The app whose clients are let in.

    Attributes:
        secret: Gives the secret of the moment.
    """

    app_id: str
    secret: Callable[[], Secret]

    def examine(self, app_id: str, secret: str) -> Finding:
        """Judge what was shown; takes as long whatever is wrong with it. Total."""
        is_id = Secret(self.app_id).matches(app_id)
        is_secret = self.secret().matches(secret)
        if not is_id:
            return Finding.WRONG_ID
        return Finding.RIGHT if is_secret else Finding.WRONG_SECRET
