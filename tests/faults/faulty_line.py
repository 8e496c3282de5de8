"""A line to a server that can be disturbed: it refuses, answers nothing, or breaks off half-way."""

import socket
import threading
from contextlib import suppress


class FaultyLine:
    """Listens on a free port of this machine and passes bytes on to another, unless `fault` says otherwise.

    `fault`: "" for none; "refuses" closes every connection at once; "hangs" takes what comes and answers nothing;
    "breaks off" passes the request on, and of the answer a hundred bytes.
    """

    def __init__(self, host: str, port: int) -> None:
        self._there = (host, port)
        self.fault = ""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no further connection."""
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listening.accept()
                threading.Thread(target=self._pass_on, args=(here,), daemon=True).start()

    def _pass_on(self, here: socket.socket) -> None:
        if self.fault == "refuses":
            here.close()
            return
        with suppress(OSError), here, socket.create_connection(self._there) as there:
            back = threading.Thread(target=self._bring_back, args=(there, here), daemon=True)
            back.start()
            while data := here.recv(65536):
                if self.fault == "refuses":
                    return
                if self.fault != "hangs":
                    there.sendall(data)
            there.shutdown(socket.SHUT_WR)
            back.join(60)

    def _bring_back(self, there: socket.socket, here: socket.socket) -> None:
        with suppress(OSError):
            while data := there.recv(65536):
                if self.fault == "breaks off":
                    here.sendall(data[:100])
                    here.shutdown(socket.SHUT_RDWR)
                    return
                if self.fault != "hangs":
                    here.sendall(data)
            here.shutdown(socket.SHUT_WR)
