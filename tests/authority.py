"""Certificates for tests, made with openssl: a root, and what it signs; beginning and end to the second."""

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

DAY_SECONDS = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate and its key."""

    cert: Path
    key: Path


class Authority:
    """A root of its own in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 3650 -subj", "/CN=test root")
        (folder / "index.txt").write_text("")
        (folder / "serial").write_text("1000\n")
        (folder / "new").mkdir()
        (folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\nserial = serial\nnew_certs_dir = new\n"
            "certificate = ca.crt\nprivate_key = ca.key\ndefault_md = sha256\npolicy = p\n"
            "unique_subject = no\ncopy_extensions = copy\n[p]\ncommonName = supplied\n"
        )

    @property
    def cert(self) -> Path:
        """The root's certificate."""
        return self.folder / "ca.crt"

    def pair(
        self, name: str, *, ends_at: float, begins_at: float | None = None, hosts: str = "DNS:localhost,IP:127.0.0.1"
    ) -> Pair:
        """A certificate of this common name, signed by the root."""
        begin = ends_at - 400 * DAY_SECONDS if begins_at is None else begins_at
        request = f"req -new -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr"
        self._openssl(request, "-addext", f"subjectAltName={hosts}", "-subj", f"/CN={name}")
        dates = f"-startdate {_asn1(begin)} -enddate {_asn1(ends_at)}"
        self._openssl(f"ca -batch -notext -config ca.cnf -in {name}.csr -out {name}.crt {dates}")
        (self.folder / f"{name}.key").chmod(0o600)
        return Pair(cert=self.folder / f"{name}.crt", key=self.folder / f"{name}.key")

    def self_signed(self, subject: str) -> Pair:
        """A certificate that nobody signed but itself, made out to no host."""
        self._openssl("req -x509 -newkey rsa:2048 -nodes -keyout own.key -out own.crt -days 90 -subj", subject)
        return Pair(cert=self.folder / "own.crt", key=self.folder / "own.key")

    def der(self, pair: Pair, place: Path) -> Path:
        """The same certificate in the other form."""
        self._openssl(f"x509 -in {pair.cert} -outform DER -out {place}")
        return place

    def _openssl(self, options: str, *more: str) -> None:
        subprocess.run(["openssl", *options.split(), *more], cwd=self.folder, check=True, capture_output=True)


def _asn1(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%d%H%M%SZ")
