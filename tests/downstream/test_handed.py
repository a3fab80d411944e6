"""What becomes of a delivery that failed."""

from itertools import pairwise

from feishu_ws.downstream.handed import FIRST_RETRY_S, MAX_RETRY_S, retry_wait_s


def test_waits_double_up_to_a_bound():
    """A rejected event waits one second, then twice as long each time, at most five minutes."""
    waits = [retry_wait_s(count) for count in range(1, 2000)]
    assert waits[:3] == [FIRST_RETRY_S, 2.0, 4.0]
    assert all(later == min(2 * earlier, MAX_RETRY_S) for earlier, later in pairwise(waits))
