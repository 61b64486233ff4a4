"""TLS in front of a server that has none, as ElastiCache has it: a certificate of this test, and a tunnel."""

from __future__ import annotations

import socket
import socketserver
import ssl
import subprocess
import threading
from pathlib import Path

_MAKE_CERTIFICATE = """
import datetime, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
certificate = (
    x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    .serial_number(1).not_valid_before(now - day).not_valid_after(now + day)
    .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(key, hashes.SHA256())
)
encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
sys.stdout.write(key.private_bytes(encoding, kind, serialization.NoEncryption()).decode())
sys.stdout.write(certificate.public_bytes(encoding).decode())
"""


def make_certificate(python: Path, folder: Path) -> Path:
    """A key and its certificate for `localhost`, in one file, made by a Python that has the package `cryptography`."""
    path = folder / "localhost.pem"
    made = subprocess.run([python, "-c", _MAKE_CERTIFICATE], capture_output=True, text=True, check=True)
    path.write_text(made.stdout)
    return path


class TlsFront(socketserver.ThreadingTCPServer):
    """Takes TLS connections on a port of its own and hands what is in them on; counts them by protocol."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, certificate: Path, behind: int) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.behind = behind
        self.protocols: list[str | None] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Tunnel(socketserver.BaseRequestHandler):
    server: TlsFront

    def handle(self) -> None:
        try:
            with (
                self.server.context.wrap_socket(self.request, server_side=True) as front,
                socket.create_connection(("127.0.0.1", self.server.behind)) as back,
            ):
                self.server.protocols.append(front.version())
                threading.Thread(target=_copy, args=(back, front), daemon=True).start()
                _copy(front, back)
        except OSError:  # refused, or gone in the middle: the client sees a closed connection
            return


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
