"""A TLS proxy before a SuperLink, with the SuperLink's own certificate, that misbehaves on demand."""

import http.client
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.certificates import Certificates
from tests.superlink import HOST, SuperLink


@dataclass
class Answer:
    """What goes back to the device."""

    status: int
    headers: dict[str, str]
    body: bytes


Tamper = Callable[[str, Answer], Answer | None]


@dataclass
class Proxy:
    """What the proxy saw, and what it does.

    Attributes:
        port: Where it listens.
        tamper: Gets the call's name (``pull-object``) and the SuperLink's answer; what it returns
            goes to the device, and with None the connection is cut.
        seen: Each call's name, headers and body, in order.
    """

    port: int = 0
    tamper: Tamper = lambda call, answer: answer
    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def calls(self, name: str) -> list[bytes]:
        """Bodies of all calls of a name."""
        return [body for call, _, body in self.seen if call == name]


@contextmanager
def proxy_before(
    link: SuperLink,
    *,
    certificates: Certificates | None = None,
    newest_tls: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> Iterator[Proxy]:
    """A proxy before `link`, with its certificate or another."""
    proxy = Proxy()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            call = self.path.removeprefix("/v1/fleet/")
            proxy.seen.append((call, dict(self.headers.items()), body))
            answer = proxy.tamper(call, forward(link, self.path, dict(self.headers.items()), body))
            if answer is None:
                self.close_connection = True
                return
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)
            if len(answer.body) < int(answer.headers.get("Content-Length", 0)):
                self.close_connection = True

        def log_message(self, format: str, *arguments: object) -> None:
            """Stay silent."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *arguments: object) -> None:
            """A handshake that the device broke off is what some tests want."""

    files = link.certificates if certificates is None else certificates
    with Server((HOST, 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = newest_tls
        context.load_cert_chain(files.server, files.key)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        proxy.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join(timeout=10)


def forward(link: SuperLink, path: str, headers: dict[str, str], body: bytes) -> Answer:
    """Ask the SuperLink what the device asked."""
    context = ssl.create_default_context(cafile=str(link.certificates.authority))
    onward = http.client.HTTPSConnection(HOST, link.port, context=context, timeout=30)
    try:
        onward.request("POST", path, body, headers)
        answer = onward.getresponse()
        content = answer.read()
        kept = {"Date": answer.headers["Date"], "Content-Length": str(len(content))}
        return Answer(answer.status, kept, content)
    except OSError:
        return Answer(502, {"Content-Length": "0"}, b"")
    finally:
        onward.close()
