"""What becomes of an exception nobody foresaw: it costs a link, not the daemon."""

import asyncio

from feishu_ws.faults import Fault, FeishuWsError


def report_defect(exc: Exception) -> FeishuWsError:
    """Hand a defect with its traceback to the loop's exception handler; return it as a fault."""
    asyncio.get_running_loop().call_exception_handler(
        {"message": "a link failed in a way that is a defect", "exception": exc}
    )
    return FeishuWsError(Fault.INTERNAL, f"a defect: {type(exc).__name__}")
