"""A model server for many calls at once: each is answered a second after it came, word by word.

It takes what the strict model server of the provider tests takes. Prints its ports; GET /book tells
how many calls there were, and the last one's body. On the port that it prints second it speaks TLS,
with the certificate and key whose files are its arguments.
"""

import asyncio
import json
import pathlib
import ssl
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "provider"))
import models  # noqa: E402

SECONDS = 1
PATH = "/v1/chat/completions"


class Book:
    calls = 0
    last = ""


def record(**content):
    return b"data: " + json.dumps(content, ensure_ascii=False).encode() + b"\n\n"


def piece(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def choice(delta, reason=None):
    return record(id="c", object="chat.completion.chunk", model="ok-served",
                  choices=[{"index": 0, "delta": delta, "finish_reason": reason}])


def whole(status, content):
    data = json.dumps(content).encode()
    return b"HTTP/1.1 %d Whole\r\nContent-Length: %d\r\n\r\n" % (status, len(data)) + data


async def answer(writer, body):
    user = body["messages"][-1]["content"]
    await asyncio.sleep(SECONDS)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                 b"Transfer-Encoding: chunked\r\n\r\n")
    for word in models.reply_to(user).split(" "):
        writer.write(piece(choice({"content": word + " "})))
    usage = {"prompt_tokens": len(user) // 4, "completion_tokens": 20}
    writer.write(piece(choice({}, "stop") + record(choices=[], usage=usage) + b"data: [DONE]\n\n")
                 + b"0\r\n\r\n")


async def take(reader, writer):
    """One request of the connection."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    text = await reader.readexactly(int(headers.get("Content-Length", 0)))
    if first.startswith("GET /book "):
        writer.write(whole(200, {"calls": Book.calls, "last": Book.last}))
        return
    Book.calls += 1
    Book.last = text.decode()
    body = json.loads(text)
    try:
        models.need(first == f"POST {PATH} HTTP/1.1", "path")
        models.check_openai(body, headers)
        models.check_messages(body["messages"])
    except models.Refused as why:
        writer.write(whole(400, {"error": {"message": str(why)}}))
        return
    await answer(writer, body)


async def connection(reader, writer):
    try:
        while True:
            await take(reader, writer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve(tls):
    server = await asyncio.start_server(connection, "127.0.0.1", 0, backlog=1024, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    return server.serve_forever()


async def main(certificate, key):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    await asyncio.gather(await serve(None), await serve(tls))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
