"""Who sends or takes bytes slowly is cut off, and does not keep others out."""

import asyncio
from contextlib import asynccontextmanager

import pytest

uvicorn = pytest.importorskip("uvicorn", reason="the extra `desk` is not installed")
from uvicorn.server import ServerState  # noqa: E402

from universeg.desk.server.patience import Patient  # noqa: E402

ASKED = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n"
LARGE = 64 << 20  # bytes; more than the system takes for one who does not read


class Hurried(Patient):
    seconds = 0.2
    most = 3


async def answer(scope, receive, send):
    """The bytes of the body; or many, where they are asked for."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    said = bytes(LARGE) if body == b"many" else body
    await send({"type": "http.response.body", "body": said})


@asynccontextmanager
async def listening(kind=Hurried):
    config = uvicorn.Config(answer, log_config=None, lifespan="off", ws="none")
    config.load()
    state, loop = ServerState(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: kind(config, state, {}), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield lambda: asyncio.open_connection("127.0.0.1", port)


async def ended(reader):
    """Reads until the other end is gone; everything that it said."""
    said = b""
    try:
        while some := await reader.read(1 << 16):
            said += some
    except ConnectionResetError:
        pass
    return said


@pytest.mark.parametrize(
    "sent", [b"", b"G", b"GET / HTTP/1.1\r\nhost: a\r\nx: ", ASKED, ASKED + b"ab"]
)
def test_who_does_not_say_the_whole_of_it_is_cut_off(sent):
    async def play():
        async with listening() as connect:
            reader, writer = await connect()
            writer.write(sent)
            assert await ended(reader) == b""

    asyncio.run(play())


def test_a_byte_now_and_then_gains_no_time():
    async def play():
        async with listening() as connect:
            reader, writer = await connect()
            writer.write(ASKED[:-2])
            dripping = asyncio.create_task(drip(writer))
            assert await ended(reader) == b""
            dripping.cancel()

    async def drip(writer):
        while True:
            writer.write(b"x: y\r\n")
            await asyncio.sleep(Hurried.seconds / 4)

    asyncio.run(asyncio.wait_for(play(), 20))


def test_who_does_not_read_the_answer_is_cut_off():
    gone = asyncio.Event()

    class Watched(Hurried):
        def connection_lost(self, exc):
            super().connection_lost(exc)
            gone.set()

    async def play():
        async with listening(Watched) as connect:
            _, writer = await connect()
            writer.write(ASKED + b"many")
            await gone.wait()

    asyncio.run(asyncio.wait_for(play(), 20))


def test_one_who_asks_again_and_again_is_served():
    async def play():
        async with listening() as connect:
            reader, writer = await connect()
            for _ in range(3):
                writer.write(ASKED + b"abcd")
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200")
                assert b"abcd" in await reader.readuntil(b"0\r\n\r\n")

    asyncio.run(play())


def test_of_too_many_the_one_that_waited_longest_has_to_go():
    class Patienter(Hurried):
        seconds = 60.0

    async def play():
        async with listening(Patienter) as connect:
            silent = [await connect() for _ in range(Patienter.most)]
            reader, writer = await connect()
            writer.write(ASKED + b"abcd")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert await ended(silent[0][0]) == b""
            for _, other in silent[1:]:
                other.close()
            writer.close()

    asyncio.run(asyncio.wait_for(play(), 20))
