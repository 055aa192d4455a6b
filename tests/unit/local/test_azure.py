"""The server of Azure's blobs is what was pinned, and nothing of it needs another registry than the user's own."""

from __future__ import annotations

import json

from deploy.local.azure import FILES, SOURCES


def test_every_package_is_pinned_by_its_content() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text())
    wanted = json.loads((SOURCES / "package.json").read_text())
    packages = {path: each for path, each in lock["packages"].items() if path}
    assert len(packages) > 100
    assert [path for path, each in packages.items() if not each["integrity"].startswith("sha512-")] == []
    assert [path for path, each in packages.items() if "resolved" in each] == []
    assert packages["node_modules/azurite"]["version"] == wanted["dependencies"]["azurite"]
    stood_in = {f"node_modules/{name}" for name in wanted["overrides"]}
    assert {packages[path]["name"] for path in stood_in} == {"tslib"}


def test_what_is_installed_is_there() -> None:
    assert [name for name in FILES if not (SOURCES / name).is_file()] == []
