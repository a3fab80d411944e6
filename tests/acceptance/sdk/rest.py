"""What a bot does over the official Python SDK's REST client, told line by line.

Commands are JSON lines on stdin; what it did are JSON lines on stdout.

"""

import io
import json
import sys

import lark_oapi as lark
from lark_oapi.api.im.v1 import (
    CreateFileRequest,
    CreateFileRequestBody,
    CreateImageRequest,
    CreateImageRequestBody,
    CreateMessageRequest,
    CreateMessageRequestBody,
    GetMessageResourceRequest,
    ReplyMessageRequest,
    ReplyMessageRequestBody,
)


def say(said, **fields):
    print(json.dumps({"said": said} | fields), flush=True)


def text(words):
    return json.dumps({"text": words})


def send(client, command):
    body = (
        CreateMessageRequestBody.builder()
        .receive_id(command["to"])
        .msg_type("text")
        .content(text(command["text"]))
        .build()
    )
    request = CreateMessageRequest.builder().receive_id_type("chat_id").request_body(body).build()
    return client.im.v1.message.create(request)


def reply(client, command):
    body = ReplyMessageRequestBody.builder().msg_type("text").content(text(command["text"])).build()
    request = ReplyMessageRequest.builder().message_id(command["to"]).request_body(body).build()
    return client.im.v1.message.reply(request)


def image(client, command):
    picture = io.BytesIO(bytes.fromhex(command["bytes"]))
    body = CreateImageRequestBody.builder().image_type("message").image(picture).build()
    return client.im.v1.image.create(CreateImageRequest.builder().request_body(body).build())


def file(client, command):
    content = (command["name"], io.BytesIO(bytes(command["size"])))
    body = (
        CreateFileRequestBody.builder()
        .file_type("stream")
        .file_name(command["name"])
        .file(content)
        .build()
    )
    return client.im.v1.file.create(CreateFileRequest.builder().request_body(body).build())


def download(client, command):
    request = (
        GetMessageResourceRequest.builder()
        .message_id(command["of"])
        .file_key(command["key"])
        .type("file")
        .build()
    )
    return client.im.v1.message_resource.get(request)


DO = {"send": send, "reply": reply, "image": image, "file": file, "download": download}


def tell(response):
    """Say what came of a request."""
    fields = {"code": response.code, "msg": response.msg}
    if getattr(response, "file", None) is not None:
        fields |= {"bytes": response.file.read().hex(), "name": response.file_name}
    elif response.data is not None:
        data = json.loads(lark.JSON.marshal(response.data))
        fields["data"] = {key: value for key, value in data.items() if value is not None}
    say("done", **fields)


def main():
    """Obey until there is nothing more."""
    say("imported", version="")
    client = None
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "client":
            client = (
                lark.Client.builder()
                .app_id(command["app_id"])
                .app_secret(command["app_secret"])
                .domain(command["domain"])
                .log_level(lark.LogLevel.CRITICAL)
                .build()
            )
            continue
        tell(DO[command["do"]](client, command))


if __name__ == "__main__":
    main()
