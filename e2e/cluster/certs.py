"""Certificates by openssl: the one package of the operating system that the cluster needs."""

from __future__ import annotations

import base64
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

EC_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
DAYS = "365"


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a folder: `<name>.crt` and `<name>.key`."""

    folder: Path
    name: str

    @property
    def certificate(self) -> Path:
        return self.folder / f"{self.name}.crt"

    def sign(self, name: str, *, common_name: str, organisation: str = "", alternatives: str = "") -> None:
        """Writes `<name>.key` and `<name>.crt` for servers and clients; `alternatives` as in openssl: DNS:a,IP:b."""
        stem = self.folder / name
        subject = f"/CN={common_name}" + (f"/O={organisation}" if organisation else "")
        usage = "extendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n"
        stem.with_suffix(".ext").write_text(usage + (f"subjectAltName={alternatives}\n" if alternatives else ""))
        openssl("req", "-new", *EC_KEY, "-keyout", f"{stem}.key", "-out", f"{stem}.csr", "-subj", subject)
        ca = ("-CA", self.certificate, "-CAkey", self.certificate.with_suffix(".key"), "-CAcreateserial")
        openssl("x509", "-req", "-in", f"{stem}.csr", *ca, "-out", f"{stem}.crt", "-days", DAYS, "-extfile", f"{stem}.ext")


def make_authority(folder: Path, name: str, alternatives: str = "") -> Authority:
    """An authority with a PKCS#1 RSA key: Kubeflow's certificate rotator hangs on an EC one."""
    openssl("genrsa", "-traditional", "-out", folder / f"{name}.key", "2048")
    extra = ("-addext", f"subjectAltName={alternatives}") if alternatives else ()
    openssl(
        "req",
        "-x509",
        "-key",
        folder / f"{name}.key",
        "-out",
        folder / f"{name}.crt",
        "-days",
        DAYS,
        "-subj",
        f"/CN={name}",
        *extra,
    )
    return Authority(folder, name)


def make_service_account_key(folder: Path) -> None:
    """sa.key signs the pods' tokens, sa.pub checks them."""
    openssl("genrsa", "-out", folder / "sa.key", "2048")
    openssl("rsa", "-in", folder / "sa.key", "-pubout", "-out", folder / "sa.pub")


def kubeconfig(folder: Path, name: str, server: str) -> Path:
    """A kubeconfig for the user of `<name>.crt`, everything inlined."""
    cluster = {"server": server, "certificate-authority-data": encoded(folder / "ca.crt")}
    user = {"client-certificate-data": encoded(folder / f"{name}.crt"), "client-key-data": encoded(folder / f"{name}.key")}
    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}], "users": [{"name": name, "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
    }  # fmt: skip
    target = folder / f"{name}.kubeconfig"
    target.write_text(json.dumps(document))
    target.chmod(0o600)
    return target


def encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
