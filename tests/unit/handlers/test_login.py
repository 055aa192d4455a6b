"""Kopf gets the connection that the operator's own client loads, and what has changed when it asks again."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import kopf
import pytest
import yaml

from flinkjob.handlers.login import login_handler


def kubeconfig(path: Path, user: dict[str, Any], **cluster: Any) -> Path:
    named = {
        "clusters": [{"name": "c", "cluster": {"server": "https://api.example:6443", **cluster}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "n"}}],
    }
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": "x", **named}))
    return path


def login(file: Path) -> kopf.ConnectionInfo:
    registry = kopf.OperatorRegistry()
    login_handler(registry, file)
    (handler,) = registry._activities.get_all_handlers()
    made: object = asyncio.run(handler.fn(settings=kopf.OperatorSettings()))  # type: ignore[arg-type, call-arg]
    assert isinstance(made, kopf.ConnectionInfo)
    return made


@pytest.mark.parametrize(
    ("user", "header"),
    [
        pytest.param({"token": "s3cret"}, "Bearer s3cret", id="a bearer token"),
        pytest.param(
            {"username": "ann", "password": "pw"},
            f"Basic {base64.b64encode(b'ann:pw').decode()}",
            id="a name and a password",
        ),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_the_credentials_of_a_user(tmp_path: Path, user: dict[str, Any], header: str | None) -> None:
    made = login(kubeconfig(tmp_path / "config", user))
    assert made.server == "https://api.example:6443"
    assert made.as_http_headers().get("Authorization") == header


def test_certificates_are_files_that_exist(tmp_path: Path) -> None:
    pem = base64.b64encode(b"-----BEGIN CERTIFICATE-----\n").decode()
    user = {"client-certificate-data": pem, "client-key-data": pem}
    made = login(kubeconfig(tmp_path / "config", user, **{"certificate-authority-data": pem}))
    for file in (made.ca_path, made.certificate_path, made.private_key_path):
        assert isinstance(file, str)
        assert Path(file).read_bytes() == b"-----BEGIN CERTIFICATE-----\n"
    assert not made.insecure


def test_a_proxy_and_an_unchecked_certificate(tmp_path: Path) -> None:
    cluster = {"insecure-skip-tls-verify": True, "proxy-url": "http://proxy.example:3128"}
    made = login(kubeconfig(tmp_path / "config", {}, **cluster))
    assert (made.insecure, made.proxy_url) == (True, "http://proxy.example:3128")


def test_a_replaced_token_is_used_when_kopf_asks_again(tmp_path: Path) -> None:
    file = tmp_path / "config"
    assert login(kubeconfig(file, {"token": "old"})).token == "old"
    assert login(kubeconfig(file, {"token": "new"})).token == "new"
