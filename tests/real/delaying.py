"""A TCP proxy before Argo CD that holds requests back: they arrive, even when their sender has gone."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Iterator


class Delaying:
    """Passes TLS through untouched; `share` of what clients send is held back for up to `longest` seconds."""

    def __init__(self, server: str, chance: random.Random, share: float, longest: float) -> None:
        host, _, port = server.partition(":")
        self._target = (host, int(port or 443))
        self._chance, self._share, self._longest = chance, share, longest
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self.address = f"localhost:{self._listener.getsockname()[1]}"
        self.held: list[float] = []  # seconds

    @contextlib.contextmanager
    def up(self) -> Iterator[Delaying]:
        accepting = threading.Thread(target=self._accept, daemon=True)
        accepting.start()
        try:
            yield self
        finally:
            self._over.set()
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            accepting.join(10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for passing in (self._ask, self._answer):
                    threading.Thread(target=passing, args=(client, server), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        gone = False
        while not gone:
            data = b""
            with contextlib.suppress(OSError):
                data = client.recv(1 << 16)
            gone = not data
            if data and self._chance.random() < self._share:
                self.held.append(seconds := self._chance.uniform(0.5, self._longest))
                self._over.wait(seconds)
            with contextlib.suppress(OSError):
                server.sendall(data)
        # What was sent last is answered before the server hears that its client has gone.
        time.sleep(1.0)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()

    def _answer(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 14):
                with contextlib.suppress(OSError):
                    client.sendall(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        client.close()
