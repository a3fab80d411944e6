"""How the ending of an attempt or a life is told. Pure."""

from feishu_ws.happenings import LinkFailed, LinkLost
from feishu_ws.upstream.backoff import Ending


def tell(index: int, ending: Ending, failures: int, wait_s: float | None) -> LinkFailed | LinkLost:
    """Return what happened.

    Args:
        index: To which link.
        ending: How it ended.
        failures: Attempts that failed in a row.
        wait_s: Seconds until the next attempt, None if there is none.
    """
    error = ending.error
    if ending.phase is not None:
        return LinkFailed(
            index, error.fault, ending.phase, error.detail, failures, wait_s, error.code
        )
    return LinkLost(
        index,
        error.fault,
        error.detail,
        ending.lived_s,
        wait_s or 0.0,
        ending.close_code,
        ending.unconfirmed,
    )
