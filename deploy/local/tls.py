"""Certificates for a local Flink REST endpoint: a CA, a server certificate for localhost and a client certificate.

Files, PEM for HTTP clients and PKCS12 for Flink. The CA has the extensions that Python 3.13 asks for.
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.prerequisites import require
from deploy.local.progress import StepFailed

PASSWORD = "changeit"
_DAYS = "365"


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificates:
    """Paths of the files; `mutual` says whether the server asks for the client's certificate."""

    directory: Path
    mutual: bool

    @property
    def ca(self) -> Path:
        """PEM certificate of the CA that signed both others."""
        return self.directory / "ca.crt"

    @property
    def client_certificate(self) -> Path:
        """PEM certificate of the client."""
        return self.directory / "client.crt"

    @property
    def client_key(self) -> Path:
        """PEM key of the client, without password."""
        return self.directory / "client.key"

    def flink_options(self) -> Mapping[str, str]:
        """Flink configuration that serves REST with these certificates."""
        prefix = "security.ssl.rest"
        return {
            f"{prefix}.enabled": "true",
            f"{prefix}.authentication-enabled": str(self.mutual).lower(),
            f"{prefix}.keystore": str(self.directory / "server.p12"),
            f"{prefix}.keystore-password": PASSWORD,
            f"{prefix}.key-password": PASSWORD,
            f"{prefix}.truststore": str(self.directory / "trust.p12"),
            f"{prefix}.truststore-password": PASSWORD,
        }


def make_certificates(directory: Path, *, mutual: bool = False) -> Certificates:
    """Writes a CA and both certificates into `directory`; keeps those that are there.

    Raises:
        MissingPrerequisite: openssl or keytool is not installed.
        StepFailed: one of them failed.
    """
    made = Certificates(directory=directory, mutual=mutual)
    if (directory / "trust.p12").exists():
        return made
    directory.mkdir(parents=True, exist_ok=True)
    openssl, keytool = require("openssl", "certificates"), require("keytool", "trust store of Flink")
    _run(
        directory,
        *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", _DAYS, "-subj", "/CN=flinkjob local CA"),
        *("-keyout", "ca.key", "-out", "ca.crt"),
        *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
    )
    for name, usage in (("server", "serverAuth"), ("client", "clientAuth")):
        (directory / f"{name}.ext").write_text(
            "basicConstraints=critical,CA:FALSE\n"
            "keyUsage=critical,digitalSignature,keyEncipherment\n"
            f"extendedKeyUsage={usage}\n"
            "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
            "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
        )
        _run(
            directory,
            *(openssl, "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN=flinkjob local {name}"),
            *("-keyout", f"{name}.key", "-out", f"{name}.csr"),
        )
        _run(
            directory,
            *(openssl, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-days", _DAYS, "-extfile", f"{name}.ext", "-out", f"{name}.crt"),
        )
    _run(
        directory,
        *(openssl, "pkcs12", "-export", "-in", "server.crt", "-inkey", "server.key", "-certfile", "ca.crt"),
        *("-name", "server", "-passout", f"pass:{PASSWORD}", "-out", "server.p12"),
    )
    _run(
        directory,
        *(keytool, "-importcert", "-noprompt", "-alias", "ca", "-file", "ca.crt"),
        *("-keystore", "trust.p12", "-storetype", "PKCS12", "-storepass", PASSWORD),
    )
    return made


def _run(directory: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, env=dict(os.environ))
    if done.returncode:
        raise StepFailed(f"{' '.join(command[:2])}: {(done.stderr or done.stdout).strip()}")
