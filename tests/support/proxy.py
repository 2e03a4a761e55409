"""A TCP proxy that can lose exactly one message, such as the answer to COMMIT."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from types import TracebackType

# What happens to a message that holds the word: it arrives and its answer is lost; it never
# arrives; it never
# arrives, and the server is left to believe that the client is still there.
Fault = Literal["lose the answer", "lose the message", "leave the server waiting"]
Side = Literal["questions", "answers"]


class Proxy:
    """Stands between a client and the server of `url`; every fault happens once."""

    def __init__(self, url: str) -> None:
        """Listen on a port of its own."""
        self._target = urlsplit(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._fault: tuple[bytes, Fault] | None = None
        self._left: dict[Side, int] = {}
        self._open: list[socket.socket] = [self._listener]
        self.happened = threading.Event()

    def __enter__(self) -> Self:
        """Begin to take connections."""
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close everything."""
        for one in self._open:
            _close(one)

    @property
    def url(self) -> str:
        """The address of the database through the proxy."""
        login = self._target.netloc.rpartition("@")[0]
        port = self._listener.getsockname()[1]
        return self._target._replace(netloc=f"{login}@127.0.0.1:{port}").geturl()

    def on(self, word: bytes, fault: Fault) -> None:
        """Let the fault happen to the next message that holds the word."""
        self._fault = (word, fault)
        self.happened.clear()

    def cut(self, side: Side, *, after: int) -> None:
        """Cut, once, the connection that carries the byte after so many of all questions or answers."""
        self.happened.clear()
        self._left[side] = after

    def whole(self, side: Side, data: bytes) -> bytes:
        """Give what of some data still goes through; less than all of it is the cut."""
        left = self._left.get(side)
        if left is None:
            return data
        if left >= len(data):
            self._left[side] = left - len(data)
            return data
        del self._left[side]
        self.happened.set()
        return data[:left]

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                port = self._target.port or 5432
                server = socket.create_connection((self._target.hostname, port))
                self._open += [client, server]
                pair = _Pair(client, server, self)
                threading.Thread(target=pair.answer, daemon=True).start()
                threading.Thread(target=self._ask, args=(pair,), daemon=True).start()

    def _ask(self, pair: _Pair) -> None:
        with suppress(OSError):
            while data := pair.client.recv(65536):
                if self._fault and self._fault[0] in data:
                    _, fault = self._fault
                    self._fault = None
                    self.happened.set()  # first: whoever sees the fault may ask at once
                    pair.fail(fault, data)
                    return
                part = self.whole("questions", data)
                pair.server.sendall(part)
                if part != data:
                    _close(pair.client)
                    break
        _close(pair.server)


class _Pair:
    """One client and its connection to the server."""

    def __init__(self, client: socket.socket, server: socket.socket, proxy: Proxy) -> None:
        """Keep both ends."""
        self._proxy = proxy
        self.client = client
        self.server = server
        self._mute = threading.Event()
        self._answered = threading.Event()

    def answer(self) -> None:
        """Hand the server's answers on, but for the one that is lost."""
        with suppress(OSError):
            while data := self.server.recv(65536):
                if self._mute.is_set():
                    self._answered.set()
                    continue
                part = self._proxy.whole("answers", data)
                self.client.sendall(part)
                if part != data:
                    _close(self.server)
                    break
        _close(self.client)

    def fail(self, fault: Fault, data: bytes) -> None:
        """Let the fault happen to this message."""
        if fault == "lose the answer":
            self._mute.set()
            self.server.sendall(data)
            self._answered.wait(10)  # the server has done it before the client learns of anything
        if fault != "leave the server waiting":
            _close(self.server)
        _close(self.client)


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
