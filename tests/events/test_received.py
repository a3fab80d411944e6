import msgspec

from feishu_ws.events.received import Resource


def test_resources_leave_out_what_is_not_known():
    """Name and duration stand there only where they are known."""
    assert msgspec.json.encode(Resource("image", "k")) == b'{"kind":"image","key":"k"}'
    encoded = msgspec.json.encode(Resource("video", "k", "n", 5))
    assert encoded == b'{"kind":"video","key":"k","name":"n","duration_ms":5}'
