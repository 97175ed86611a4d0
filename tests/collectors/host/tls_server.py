"""A server of TLS for tests, on a port of its own, with whatever its protocol says before TLS begins."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.authority import Pair

Talk = Callable[[socket.socket], None]


@contextmanager
def serving(pair: Pair, talk: Talk = lambda _: None) -> Iterator[int]:
    """A TLS server on a port of its own, that first talks as its protocol wants."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        worker = threading.Thread(target=_serve, args=(listener, context, talk), daemon=True)
        worker.start()
        stack.callback(worker.join, 10)
        stack.callback(listener.shutdown, socket.SHUT_RDWR)
        yield listener.getsockname()[1]


def _serve(listener: socket.socket, context: ssl.SSLContext, talk: Talk) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        with plain, suppress(OSError):  # a client that does not trust it hangs up
            plain.settimeout(10)
            talk(plain)
            _shake_hands(plain, context)
            plain.recv(1)


def _shake_hands(plain: socket.socket, context: ssl.SSLContext) -> None:
    """By buffers: the `wrap_socket` of older Pythons leaves a socket open whose client has gone meanwhile."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secured = context.wrap_bio(incoming, outgoing, server_side=True)
    while True:
        try:
            secured.do_handshake()
        except ssl.SSLWantReadError:
            plain.sendall(outgoing.read())
            if not incoming.write(plain.recv(65536)):
                return
        else:
            plain.sendall(outgoing.read())
            return
