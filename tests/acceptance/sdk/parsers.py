"""What the official Python SDK reads of messages: a process that answers line by line.

A line on stdin is a payload of `im.message.receive_v1`; the line on stdout for it is what
`lark_oapi.channel.normalize` makes of it, without any API at hand.
"""

import asyncio
import json
import sys
from importlib.metadata import version

from lark_oapi.channel.normalize.pipeline import InboundPipeline, PipelineConfig, PipelineDeps
from lark_oapi.channel.types import PostContent

pipeline = InboundPipeline(PipelineConfig(), PipelineDeps())


async def read(payload):
    """Return mentions, text, keys, and what a post is said to consist of."""
    event = json.loads(payload)["event"]
    found = await pipeline.process(None, event["message"], event.get("sender") or {})
    is_post = isinstance(found.content, PostContent)
    return {
        "raised": "",
        "mentions": [[one.key, one.open_id or "", one.name or ""] for one in found.mentions],
        "mentions everybody": found.mentioned_all,
        "text": found.content_text,
        "keys": [
            [
                one.type,
                one.file_key,
                one.file_name or None,
                one.duration_ms,
                one.cover_image_key or None,
            ]
            for one in found.resources
        ],
        "post title": found.content.title if is_post else "",
        "post has text": bool(found.content.text) if is_post else False,
    }


async def main():
    """Answer until stdin ends."""
    print(json.dumps({"version": version("lark-oapi")}), flush=True)
    for line in sys.stdin:
        try:
            found = await read(line)
        except Exception as error:  # noqa: BLE001 whatever it is, the SDK's user gets it
            found = {"raised": type(error).__name__}
        print(json.dumps(found), flush=True)


asyncio.run(main())
