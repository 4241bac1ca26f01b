"""Sockets whose events wait for one another, beside others that do not."""

from __future__ import annotations

import asyncio
import selectors
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.cluster.gathering import GATHER, StreamLoop, StreamSelector, new_event_loop
from driftd.cluster.streaming import NOISE, Stream


class Wires:
    """Pairs of sockets at a selector with a clock of its own; each has a name."""

    def __init__(self, *names: str) -> None:
        self.now = 0.0
        self.selector = StreamSelector(monotonic=lambda: self.now)
        self.near: dict[str, socket.socket] = {}
        self.far: dict[str, socket.socket] = {}
        for name in names:
            self.near[name], self.far[name] = socket.socketpair()
            self.selector.register(self.near[name].fileno(), selectors.EVENT_READ, name)

    def gather(self, *names: str) -> None:
        """Let these be streams."""
        for name in names:
            self.selector.gather(self.near[name].fileno())

    def say(self, *names: str) -> None:
        """Something arrives at each of them."""
        for name in names:
            self.far[name].send(b"x")

    def ready(self) -> list[str]:
        """Which have something to read now; it is read."""
        names = sorted(key.data for key, _ in self.selector.select(0))
        for name in names:
            self.near[name].recv(100)
        return names

    def close(self) -> None:
        """Close everything."""
        self.selector.close()
        for one in (*self.near.values(), *self.far.values()):
            one.close()


@pytest.fixture
def wires() -> Iterator[Wires]:
    """Two streams and another socket."""
    made = Wires("one", "two", "other")
    made.gather("one", "two")
    yield made
    made.close()


def test_streams_wait_after_one_was_heard(wires: Wires) -> None:
    """The first event is read at once; what comes within the time after it, together."""
    wires.say("one")
    assert (wires.ready(), wires.ready()) == (["one"], [])
    wires.say("two")
    assert wires.ready() == []
    wires.say("one", "other")
    assert wires.ready() == ["other"]
    wires.now += GATHER
    assert wires.ready() == ["one", "two"]


def test_a_stream_that_goes_on_is_read_on(wires: Wires) -> None:
    """As long as there is more to read no stream waits."""
    for _ in range(5):
        wires.say("one", "two")
        assert wires.ready() == ["one", "two"]


def test_a_wait_ends_when_streams_are_looked_at_again(wires: Wires) -> None:
    """A long wait for anything gives what a stream said meanwhile, not later than it may."""
    real = StreamSelector(gather=0.01)
    real.register(wires.near["other"].fileno(), selectors.EVENT_READ, "other")
    real.gather(wires.near["other"].fileno())
    wires.say("other")
    assert real.select(30)
    wires.near["other"].recv(100)
    assert real.select(0) == []
    wires.say("other")
    began = time.monotonic()
    assert [key.data for key, _ in real.select(30)] == ["other"]
    assert time.monotonic() - began < 15
    real.close()


def test_a_stream_may_become_as_others_again(wires: Wires) -> None:
    """Moved back, or registered anew, a socket never waits."""
    one, two = (wires.near[name].fileno() for name in ("one", "two"))
    wires.say("one")
    assert (wires.ready(), wires.ready()) == (["one"], [])
    wires.selector.at_once(one)
    wires.selector.unregister(two)
    wires.selector.register(two, selectors.EVENT_READ, "two")
    wires.say("one", "two")
    assert wires.ready() == ["one", "two"]


def test_sockets_are_found_wherever_they_are(wires: Wires) -> None:
    """What is registered can be looked up, changed and taken away, whichever sort it is."""
    for name in ("one", "other"):
        fd = wires.near[name].fileno()
        assert wires.selector.get_key(fd).data == wires.selector.get_map()[fd].data == name
        wires.selector.modify(fd, selectors.EVENT_READ | selectors.EVENT_WRITE, name.upper())
        assert wires.selector.get_key(fd).data == name.upper()
        assert wires.selector.unregister(fd).fd == fd
        with pytest.raises(KeyError):
            wires.selector.get_key(fd)


STEPS = st.lists(
    st.sampled_from(["say", "look", "gather", "at_once", "pass"]).flatmap(
        lambda step: st.tuples(st.just(step), st.sampled_from(["one", "two", "other"]))
    ),
    max_size=40,
)


@given(STEPS)
def test_nothing_is_ever_lost(steps: list[tuple[str, str]]) -> None:
    """Whatever is moved and whenever it is looked: what was said is there after the time."""
    wires = Wires("one", "two", "other")
    said: set[str] = set()
    try:
        for step, name in steps:
            if step == "say":
                wires.say(name)
                said.add(name)
            elif step == "look":
                found = set(wires.ready())
                assert found <= said
                said -= found
            elif step == "pass":
                wires.now += GATHER / 2
            else:
                getattr(wires.selector, step)(wires.near[name].fileno())
        wires.now += GATHER
        assert set(wires.ready()) == said
    finally:
        wires.close()


class _Answer:
    """An answer whose connection has a socket."""

    def __init__(self, end: socket.socket) -> None:
        self.connection = self
        self.transport = self
        self._end = end

    def get_extra_info(self, _name: str) -> socket.socket:
        """The socket."""
        return self._end


def test_a_noisy_stream_waits_until_something_matters() -> None:
    """Events that nobody cares about make a stream wait; one that matters ends that."""

    async def tell() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, StreamLoop)
        near, far = socket.socketpair()
        near.setblocking(False)
        loop.add_reader(near.fileno(), lambda: None)
        answer: Any = _Answer(near)

        def waits() -> bool:
            return near.fileno() in loop.streams.moved

        with Stream(answer, 60) as stream:
            for _ in range(NOISE - 1):
                stream.told(mattered=False)
            assert not waits()
            stream.told(mattered=False)
            assert waits()
            stream.told(mattered=True)
            assert not waits()
            for _ in range(NOISE):
                stream.told(mattered=False)
            assert waits()
        assert not waits()
        loop.remove_reader(near.fileno())
        near.close()
        far.close()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(tell())


def test_the_loop_serves_streams_timers_threads_and_processes() -> None:
    """What an event loop has to do it does, with a stream that is spoken to all the time."""

    async def serve() -> tuple[bytes, str, int]:
        async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in range(20):
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0)
            writer.close()

        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        loop = asyncio.get_running_loop()
        assert isinstance(loop, StreamLoop)
        loop.streams.gather(writer.get_extra_info("socket").fileno())
        read = asyncio.create_task(reader.read())
        thread = await asyncio.to_thread(lambda: "from a thread")
        process = await asyncio.create_subprocess_exec("true")
        code = await process.wait()
        data = await read
        writer.close()
        server.close()
        return data, thread, code

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        assert runner.run(serve()) == (b"x" * 20, "from a thread", 0)
