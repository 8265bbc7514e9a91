"""A TCP proxy before Argo CD that cuts long answers off, or lets them stall, in the middle of a word."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Literal


class Cutting:
    """Passes TLS through untouched; a connection whose answers are longer than `after` bytes meets its fate.

    `times` connections do, the later ones are spared.
    """

    def __init__(self, server: str, fate: Literal["cut", "stall"], after: int, times: int) -> None:
        host, _, port = server.partition(":")
        self._target = (host, int(port or 443))
        self._fate, self._after, self._left = fate, after, times
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.address = f"localhost:{self._listener.getsockname()[1]}"
        self.met = 0  # connections that met their fate

    @contextlib.contextmanager
    def up(self) -> Iterator[Cutting]:
        self._start(self._accept)
        try:
            yield self
        finally:
            for s in (self._listener, *self._sockets):
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)
                s.close()
            for thread in self._threads:
                thread.join(10)

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._sockets += [client, server]
                self._start(self._pass_on, client, server)
                self._start(self._answer, server, client)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 14):
                passed += len(data)
                if passed > self._after and self._doomed():
                    if self._fate == "cut":
                        client.shutdown(socket.SHUT_RDWR)
                        server.shutdown(socket.SHUT_RDWR)
                    return  # or nothing is passed on from here on, without a word
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)

    def _doomed(self) -> bool:
        with self._lock:
            self._left -= 1
            self.met += self._left >= 0
            return self._left >= 0
