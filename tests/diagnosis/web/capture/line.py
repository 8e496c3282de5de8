"""A line between phone and server that can be slow, stand still, or break: in mid-upload, or once a case is stored."""

import socket
import threading
import time
from contextlib import suppress

UPLOAD = b"POST /api/v1/sealed-cases/"


class Line:
    """Passes bytes on, on a port of its own, until it is told to fail the next upload once."""

    def __init__(self, to_port: int) -> None:
        self.to_port = to_port
        self.listener = socket.create_server(("127.0.0.1", 0))
        # Little is held on the way, so that the phone notices how slow it is.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        self.port = int(self.listener.getsockname()[1])
        #: Break the next upload after so many bytes of it.
        self.break_after: int | None = None
        #: Let the next upload arrive, and lose what the server answers.
        self.lose_receipt = False
        #: Seconds that 4 kB of an upload take.
        self.pause = 0.0
        #: Cleared, uploads stand still.
        self.moving = threading.Event()
        self.moving.set()
        self.broken = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """No new connections."""
        self.listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                phone, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.to_port))
                lost = threading.Event()
                for work in (self._up, self._down):
                    threading.Thread(target=work, args=(phone, server, lost), daemon=True).start()

    def _up(self, phone: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        passed: int | None = None
        with suppress(OSError):
            while data := phone.recv(4096):
                if UPLOAD in data:
                    passed = 0
                    if self.lose_receipt:
                        self.lose_receipt = False
                        lost.set()
                if passed is not None:
                    time.sleep(self.pause)
                    self.moving.wait()
                server.sendall(data)
                if passed is not None and self.break_after is not None:
                    passed += len(data)
                    if passed > self.break_after:
                        self.break_after = None
                        self.broken += 1
                        break
        _end(phone, server)

    def _down(self, phone: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if lost.is_set():
                    self.broken += 1
                    break
                phone.sendall(data)
        _end(phone, server)


def _end(*sockets: socket.socket) -> None:
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
