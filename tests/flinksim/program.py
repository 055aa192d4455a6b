"""What a simulated jar does: the arguments of the demo job, and jars to upload.

Used by: `cluster.py` at a submission; tests take `make_jar`. Invariant: the arguments mean what they mean to
`deploy/local/job`, so that one test can drive both; arguments that are not known are ignored.
"""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ENTRY_CLASS = "dev.flinkjob.demo.DemoJob"


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """Behaviour of a job; times in seconds, `rate` in records a second."""

    name: str = "demo"
    rate: float = 100.0
    count: int | None = None
    uid: str = "count"
    restart: str | None = None
    max_parallelism: int = 128
    fail_after: int | None = None
    fail_until: str | None = None
    open_seconds: float = 0.0
    snapshot_seconds: float = 0.0
    snapshot_fail_while: str | None = None
    main_seconds: float = 0.0
    main_throw: str | None = None
    exit_code: int | None = None
    no_execute: bool = False
    executes: int = 1
    throw_after_execute: str | None = None
    own_parameters: str | None = None
    own_parallelism: int | None = None

    @property
    def snapshots_fail(self) -> bool:
        """True while the file exists that makes snapshots fail."""
        return self.snapshot_fail_while is not None and Path(self.snapshot_fail_while).exists()

    @property
    def fails(self) -> bool:
        """True while the job is to fail after some records."""
        return self.fail_after is not None and not (self.fail_until and Path(self.fail_until).exists())


def program(arguments: Sequence[str]) -> Program:
    """Read pairs of `--key value`."""
    given = {key.removeprefix("--"): value for key, value in zip(arguments[::2], arguments[1::2], strict=False)}

    def seconds(key: str) -> float:
        return float(given.get(key, "0")) / 1000

    def number(key: str) -> int | None:
        return int(given[key]) if key in given else None

    return Program(
        name=given.get("name", "demo"),
        rate=float(given.get("rate", "100")) or 1e6,
        count=number("count"),
        uid=given.get("uid", "count"),
        restart=given.get("restart"),
        max_parallelism=number("max-parallelism") or 128,
        fail_after=number("fail-after"),
        fail_until=given.get("fail-until"),
        open_seconds=seconds("open-ms"),
        snapshot_seconds=seconds("snapshot-ms"),
        snapshot_fail_while=given.get("snapshot-fail-while"),
        main_seconds=seconds("main-ms"),
        main_throw=given.get("main-throw"),
        exit_code=number("exit"),
        no_execute="no-execute" in given,
        executes=number("executes") or 1,
        throw_after_execute=given.get("throw-after-execute"),
        own_parameters=given.get("own-parameters"),
        own_parallelism=number("own-parallelism"),
    )


def make_jar(*, entry_class: str | None = ENTRY_CLASS, variant: str = "") -> bytes:
    """A small jar that the simulator runs as the demo job.

    Args:
        entry_class: in the manifest; None: the manifest names none.
        variant: another text gives another content (and digest).
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as jar:
        main = f"Main-Class: {entry_class}\n" if entry_class else ""
        jar.writestr(zipfile.ZipInfo("META-INF/MANIFEST.MF"), f"Manifest-Version: 1.0\n{main}\n")
        jar.writestr(zipfile.ZipInfo((entry_class or ENTRY_CLASS).replace(".", "/") + ".class"), b"")
        if variant:
            jar.writestr(zipfile.ZipInfo("META-INF/variant.txt"), variant)
    return content.getvalue()


@dataclass(frozen=True, kw_only=True, slots=True)
class SimJar:
    """An uploaded jar."""

    id: str
    name: str
    uploaded: float
    content: bytes

    @property
    def is_zip(self) -> bool:
        """True when Flink could open it."""
        return zipfile.is_zipfile(io.BytesIO(self.content))

    @property
    def manifest_class(self) -> str | None:
        """The entry class that the manifest names."""
        if not self.is_zip:
            return None
        with zipfile.ZipFile(io.BytesIO(self.content)) as jar:
            try:
                manifest = jar.read("META-INF/MANIFEST.MF").decode()
            except KeyError:
                return None
        lines = (line.partition(":") for line in manifest.splitlines())
        return next((value.strip() for key, _, value in lines if key == "Main-Class"), None)

    def has_class(self, name: str) -> bool:
        """True when the jar holds the class."""
        with zipfile.ZipFile(io.BytesIO(self.content)) as jar:
            return name.replace(".", "/") + ".class" in jar.namelist()
