"""The operator's own settings: flags, or environment variables (`--health-port`, `FLINKJOB_HEALTH_PORT`).

Read once by `__main__` and given to `app`; nothing else reads flags or the environment. Frozen. No setting is a secret.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, CliSettingsSource, CliSuppress, NoDecode, SettingsConfigDict

from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.access.hosts import HostRules
from flinkjob.core.identity import UNNAMED

PROGRAM = "flinkjob-operator"
ENV_PREFIX = "FLINKJOB_"
USAGE_ERROR = 2
MOST_SHARED_IDENTITY = 45
"""Characters: with --shards the name of the Lease, PROGRAM-IDENTITY, is the value of a label, which has at most 63."""
_REPOSITORY = re.compile(r"https?://[^/@\s?#]+(/[^@\s?#]*)?")
_OBJECT = re.compile(r"[a-z0-9][-a-z0-9]{0,62}/[a-z0-9][-.a-z0-9]{0,252}")
_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")


def _split(value: object) -> object:
    """`a, b` as (a, b); the CLI gives repeated flags as a list of such."""
    if value is None:
        return ()
    parts = [value] if isinstance(value, str) else list(value) if isinstance(value, (list, tuple)) else None
    if parts is None:
        return value
    return tuple(
        dict.fromkeys(item.strip() for part in parts for item in str(part).strip("[]").split(",") if item.strip())
    )


def _label(value: str) -> str:
    if not _LABEL.match(value):
        raise ValueError(f"{value!r} is not a DNS label (lower-case letters, digits and -, at most 63)")
    return value


def _absolute(value: Path) -> Path:
    if not value.is_absolute():
        raise ValueError(f"{str(value)!r} is not an absolute path")
    return value


def _host_patterns(value: tuple[str, ...]) -> tuple[str, ...]:
    HostRules.of(value)
    return value


def _repository(value: str | None) -> str | None:
    if value is not None and not _REPOSITORY.fullmatch(value):
        raise ValueError("not an http or https address without user information, query and fragment")
    return value


def _object(value: str | None) -> str | None:
    if value is not None and not _OBJECT.fullmatch(value):
        raise ValueError("not the namespace and the name of an object, with / between them")
    return value


def _grants(value: tuple[str, ...]) -> tuple[str, ...]:
    StoreGrants.of(value)
    return value


Name = Annotated[str, AfterValidator(_label)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class Settings(BaseSettings):
    """Runs the Flink jobs that FlinkJobs describe. Each flag is an environment variable too: FLINKJOB_HEALTH_PORT."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        frozen=True,
        env_ignore_empty=True,
        extra="forbid",
        cli_prog_name=PROGRAM,
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        cli_enforce_required=False,
        validate_default=True,
    )

    namespaces: Annotated[tuple[Name, ...], NoDecode, BeforeValidator(_split)] = Field(
        (), description="watched namespaces, separated by commas; none: all of the cluster"
    )
    identity: Name = Field(
        UNNAMED,
        description="names this installation in job ids, owner marks and copies of savepoints, which need another one than "
        "the default; never change it while jobs run",
    )
    job_metrics: int = Field(
        0, ge=0, le=10_000, description="so many FlinkJobs have metrics of their own (flinkjob_job_...), by their names"
    )
    health_port: int = Field(8080, ge=0, le=65535, description="port of /healthz, /readyz and /metrics; 0: any")
    cache_dir: AbsolutePath = Field(Path("/var/cache/flinkjob"), description="where fetched jars are kept")
    artifact_dirs: Annotated[tuple[AbsolutePath, ...], NoDecode, BeforeValidator(_split)] = Field(
        (), description="directories below which file: jars may be read, separated by commas; none: no file: jars"
    )
    maven_repository: Annotated[str | None, AfterValidator(_repository)] = Field(
        None,
        description="address of the Maven repository that maven:GROUP:ARTIFACT:VERSION is fetched from; none: such jars are "
        "refused",
    )
    variables_config_map: Annotated[str | None, AfterValidator(_object)] = Field(
        None,
        description="NAMESPACE/NAME of the ConfigMap with the variables of the operator, which FlinkJobs may use whose "
        "namespace has the label flinkjob.dev/operator-variables: allowed; none: there are none",
    )
    runner_dir: AbsolutePath = Field(
        Path("/opt/flinkjob/runner"),
        description="where the runners of SQL and Python jobs are, which the image has there",
    )
    state_dirs: Annotated[tuple[AbsolutePath, ...], NoDecode, BeforeValidator(_split)] = Field(
        (),
        description="directories (mounted volumes) below which checkpoints and savepoints may be looked for when a "
        "cluster has lost its jobs, separated by commas; none: lost jobs are held",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_host_patterns)] = (
        Field(
            (),
            description="hosts (flink.example.com, *.example.com, 10.0.0.0/8) of clusters and jars that the operator may "
            "connect to, "
            "separated by commas; none: all but link-local and loopback ones",
        )
    )
    allow_loopback: bool = Field(
        False,
        description="whether clusters and jars on this machine itself (127.0.0.1, ::1, localhost) may be connected to",
    )
    allow_unmarked_jobs: bool = Field(
        False,
        description="whether jobs that no operator started may be adopted (annotation flinkjob.dev/adopt) and be the target "
        "of a FlinkSavepoint, from every watched namespace; false: only jobs of FlinkJobs of the same namespace",
    )
    credentials_over_http: bool = Field(
        False,
        description="whether credentials of clusters and artifact servers (authSecretRef), and tokens for an endpoint of "
        "Google's storage, may be sent over http, where everybody on the way can read them; false: over https only",
    )
    store_grants: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_grants)] = Field(
        (),
        description="where the operator's own store identity and its mounted directories may be used for copies of "
        "savepoints, and where snapshots that the operator did not take may be deleted, by namespace "
        "(team-a=s3://backup/team-a, *=file:///backup), separated by commas; none: nowhere",
    )
    max_syncs: int = Field(
        2,
        ge=1,
        le=64,
        description="savepoints that are copied at the same time; beyond that one for each namespace that copies none, up to "
        "twice as many",
    )
    max_sync_memory_mb: int = Field(
        88,
        ge=80,
        le=65536,
        description="memory of the process that makes one copy, or looks for one to start from, in MiB; more is needed for a "
        "_metadata of over 40 MiB, or more than some 50,000 files",
    )
    sync_mb_per_second: int = Field(0, ge=0, description="limit for all copies of savepoints together, in MiB; 0: none")
    max_overview_mb: int = Field(
        8,
        ge=1,
        le=64,
        description="longest list of the jobs of a cluster that is read, in MiB; 8: some 20,000 jobs",
    )
    max_exceptions_mb: int = Field(
        4, ge=1, le=64, description="longest list of the exceptions of a job that is read, in MiB"
    )
    max_artifact_mb: int = Field(1024, ge=1, le=65536, description="largest jar, in MiB")
    max_cache_mb: int = Field(
        4096,
        ge=1,
        description="how much of the disk the cache takes, in MiB, jars that are being fetched included; what one namespace "
        "fetches and uploads at the same time has half of it",
    )
    max_downloads: int = Field(
        8,
        ge=1,
        le=64,
        description="jars that are fetched at the same time, half as many for one namespace; beyond that one for each "
        "namespace that fetches none, up to twice as many",
    )
    artifact_timeout_seconds: float = Field(600.0, gt=0, le=86400, description="for one whole download")
    log_format: Literal["json", "text"] = Field("json", description="one JSON object a line, or text for people")
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
    ] = Field("INFO", description="the least level that is logged")
    poll_fast_ms: int = Field(
        200,
        ge=50,
        le=60000,
        description="poll interval of a cluster where something happens; in the first second down to a quarter of it",
    )
    poll_slow_ms: int = Field(2000, ge=50, le=600000, description="poll interval of a cluster where nothing happens")
    workers: int = Field(
        64,
        ge=1,
        le=1024,
        description="resources that are reconciled at the same time; up to as many again, each the only one of its namespace",
    )
    workers_per_namespace: int = Field(
        32, ge=1, le=1024, description="how many of them may be of one namespace, so that others find a free one"
    )
    max_connections: int = Field(
        512,
        ge=16,
        le=65536,
        description="connections to all clusters at the same time; a namespace may have half of them",
    )
    max_long_calls: int = Field(
        128,
        ge=2,
        le=4096,
        description="jars that are uploaded, and programs whose main() runs to be started or compiled, at the same time; a "
        "namespace may have half of them",
    )
    kubeconfig: Path | None = Field(
        None, description="kubeconfig file; none: the Pod's ServiceAccount, else the user's kubeconfig"
    )
    lease_namespace: Name | None = Field(
        None, description="namespace of the Lease by which one of several replicas leads; none: there is only one"
    )
    shards: int = Field(
        1,
        ge=1,
        le=64,
        description="into how many parts the clusters are shared out over the replicas, each of which works on some; 1: one "
        "replica leads and the others stand by. The same in all replicas",
    )
    fault_kill_at: CliSuppress[str] = ""
    """Test hook: the name of the executor's fault point at which the process kills itself."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.poll_slow_ms < self.poll_fast_ms:
            raise ValueError("--poll-slow-ms must not be smaller than --poll-fast-ms")
        if self.max_cache_mb < self.max_artifact_mb:
            raise ValueError("--max-cache-mb must not be smaller than --max-artifact-mb")
        if self.shards > 1 and self.lease_namespace is None:
            raise ValueError("--shards needs --lease-namespace: by Leases the replicas know of each other")
        if self.shards > 1 and len(self.identity) > MOST_SHARED_IDENTITY:
            raise ValueError(f"--shards needs an --identity of at most {MOST_SHARED_IDENTITY} characters")
        return self

    def shown(self) -> Mapping[str, Any]:
        """The settings as they are logged at the start; the test hook only when it is set."""
        values = self.model_dump(mode="json")
        if not self.fault_kill_at:
            del values["fault_kill_at"]
        return values


def load(arguments: Sequence[str]) -> Settings:
    """Settings from flags, then environment, then defaults.

    Prints one line for each wrong value and exits with 2, or prints help and exits with 0.

    Args:
        arguments: without the program's name.
    """
    try:
        return Settings(_cli_settings_source=_Flags(Settings, cli_parse_args=list(arguments)))
    except ValidationError as error:
        _refuse([_line(problem) for problem in error.errors(include_url=False, include_context=False)])


class _Flags(CliSettingsSource[Any]):
    """Flags whose help says `LIST` and not how Python writes a tuple."""

    def _metavar_format(self, obj: Any) -> str:
        text = super()._metavar_format(obj)
        return "LIST" if "tuple" in text else text.upper() if text.isidentifier() else text


def _line(problem: Any) -> str:
    text = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return text
    field = str(problem["loc"][0])
    flag = "--" + field.replace("_", "-")
    return f"{flag} (or {ENV_PREFIX}{field.upper()}): {text}, got {problem['input']!r}"


def _refuse(lines: list[str]) -> NoReturn:
    for line in lines:
        print(f"{PROGRAM}: {line}", file=sys.stderr)
    raise SystemExit(USAGE_ERROR)
