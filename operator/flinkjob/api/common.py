"""Value types that both kinds share: durations, addresses, ids, times and texts; used by the models.

Invariant: every string type is bounded, since the API server refuses validation rules on unbounded ones.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, PlainSerializer

from flinkjob.api.model import Rule, rules

_DURATION: Final = r"^([0-9]+(ms|s|m|h|d))+$"
_IS_DURATION: Final = re.compile(_DURATION)
_DURATION_PART: Final = re.compile(r"([0-9]{1,31})(ms|s|m|h|d)")
_HAS_PASSWORD: Final = re.compile(r"^[^:/]+://[^/:]*:[^/@]*@")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration_seconds(text: str) -> float:
    """The length of a duration of the API, such as `90s`, `1h30m` or `7d`, in seconds.

    Raises:
        ValueError: not a duration, or zero.
    """
    if not _IS_DURATION.fullmatch(text):
        raise ValueError(f"not a duration: {text!r}; write 90s, 1h30m or 7d")
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))
    if seconds <= 0:
        raise ValueError("a duration must not be zero")
    return seconds


def _checked(check: Callable[[str], object]) -> AfterValidator:
    def validate(text: str) -> str:
        check(text)
        return text

    return AfterValidator(validate)


def _no_password(text: str) -> None:
    if _HAS_PASSWORD.match(text):
        raise ValueError("must not contain a password")


Duration = Annotated[
    str,
    Field(
        min_length=2,
        max_length=32,
        pattern=_DURATION,
        json_schema_extra=rules(Rule("self.matches('[1-9]')", "{path} must not be zero")),
    ),
    _checked(duration_seconds),
]
"""`90s`, `1h30m`, `7d`; never zero."""


def _time_zone(text: str) -> None:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("not a known time zone") from error


TimeZone = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$",
        json_schema_extra=rules(
            Rule("timestamp('2026-01-01T00:00:00Z').getHours(self) >= 0", "{path} is not a known time zone")
        ),
    ),
    _checked(_time_zone),
]
"""A name of the time zone database, such as `Europe/Berlin`; the API server knows them too."""

Location = Annotated[
    str,
    Field(
        min_length=2,
        max_length=1024,
        pattern=r"^([a-zA-Z][a-zA-Z0-9+.-]*:/|/)[^\x00-\x1f]*$",
        json_schema_extra=rules(Rule("!self.matches('^[^:/]+://[^/]*:[^/]*@')", "{path} must not contain a password")),
    ),
    _checked(_no_password),
]
"""A directory or snapshot as Flink names it: a URI, or an absolute path on the cluster."""

# A host name or address, or an IPv6 address in brackets; perhaps a port.
_HOST: Final = r"([^/@\s?#:\[\]]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?"

_USER: Final = re.compile(r"^[^/?#]*://[^/?#]*@")
_NO_USER: Final = "must not contain a user name or password: everybody who may read the object sees them"


@dataclass(frozen=True)
class _Address:
    """The shape of an address: checked by rules instead of a pattern, so that a refusal says what to write.

    Attributes:
        shape: a regular expression for the whole, that RE2 knows too.
        wanted: what an address is like, for people.
    """

    shape: re.Pattern[str]
    wanted: str

    def check(self, text: str) -> None:
        if _USER.match(text):
            raise ValueError(_NO_USER)
        if not self.shape.fullmatch(text):
            raise ValueError(self.wanted)

    def rules(self) -> dict[str, Any]:
        user = f"self.matches(r'{_USER.pattern}')"
        return rules(
            Rule(f"{user} || self.matches(r'^({self.shape.pattern})$')", f"{{path}} {self.wanted}"),
            Rule(f"!{user}", f"{{path}} {_NO_USER}"),
        )


_CLUSTER: Final = _Address(
    re.compile(rf"https?://{_HOST}(/[^@\s?#]*)?"),
    "must be an address such as http://flink-jobmanager:8081, without a query",
)
_IN_STORE: Final = r"(s3|gs|az)://[a-z0-9$][a-zA-Z0-9._-]{1,254}/[^\s?#]+"
_ARTIFACT: Final = _Address(
    re.compile(
        rf"https?://{_HOST}/[^\s#]*|file:///[^\s?#]+|{_IN_STORE}|"
        r"maven:[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]*){2,3}"
    ),
    "must be an address such as https://repo.example.com/job.jar, s3://bucket/job.jar, file:///jars/job.jar or "
    "maven:group:artifact:version",
)

_FILE: Final = _Address(
    re.compile(rf"https?://{_HOST}/[^\s#]*|file:///[^\s?#]+|{_IN_STORE}"),
    "must be an address such as https://repo.example.com/dir/file, s3://bucket/dir/file or file:///dir/file",
)

ClusterUrl = Annotated[str, Field(max_length=512, json_schema_extra=_CLUSTER.rules()), _checked(_CLUSTER.check)]
"""Where a JobManager's REST API answers, without user information, query or fragment."""

ArtifactUri = Annotated[str, Field(max_length=2048, json_schema_extra=_ARTIFACT.rules()), _checked(_ARTIFACT.check)]
"""Where a jar is stored; `https`, `http`, `s3`, `gs`, `az`, `maven` or `file`, without user information."""

FileUri = Annotated[str, Field(max_length=2048, json_schema_extra=_FILE.rules()), _checked(_FILE.check)]
"""Where a file is stored that is no jar; `https`, `http`, `s3`, `gs`, `az` or `file`, without user information."""

JobId = Annotated[str, Field(min_length=32, max_length=32, pattern=r"^[0-9a-f]{32}$")]
"""A Flink job id: 32 hexadecimal digits."""

Sha256 = Annotated[str, Field(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""The name of a Kubernetes object."""

JobName = Annotated[str, Field(min_length=1, max_length=45, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""The name of a FlinkJob."""


def _cut(limit: int) -> PlainSerializer:
    """Writes a text as one line of at most `limit` characters: the API server refuses the whole status otherwise."""

    def one_line(text: str) -> str:
        line = " ".join(text.split()) if "\n" in text or "\r" in text else text
        return line if len(line) <= limit else f"{line[: limit - 1]}…"

    return PlainSerializer(one_line, return_type=str)


ShortWord = Annotated[str, Field(max_length=64)]
"""One word of the operator's own in a status."""
Word = Annotated[str, Field(max_length=128)]
"""A short identifier in a status."""
Digests = Annotated[
    tuple[Annotated[str, Field(max_length=64, description="SHA-256 in hexadecimal.")], ...],
    Field(
        max_length=9,
        description="The files that were uploaded beside its jar.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    ),
]
"""Of what a Python program has besides its jar, in a status."""
Text = Annotated[str, Field(max_length=256), _cut(256)]
"""A name in a status, of whatever length outside. Cut at its limit when written."""
Asker = Annotated[str, Field(max_length=268)]
"""`FlinkSavepoint/` and the name of an object, or a word, in a status: never cut, since it is compared."""
ObservedLocation = Annotated[str, Field(max_length=1024)]
"""A directory or snapshot in a status: as Flink says it, so without rules that could refuse to record it."""
Url = Annotated[str, Field(max_length=640)]
"""An address in a status."""
Message = Annotated[str, Field(max_length=1024), _cut(1024)]
"""One line for people in a status. Cut at its limit when written."""


Cause = Annotated[str, Field(max_length=512), _cut(512)]
"""What an error says, in one line. Cut at its limit when written."""

ConditionMessage = Annotated[str, Field(max_length=768), _cut(768)]
"""One line for people beside a word that says the same. Cut at its limit when written."""


def _utc(value: datetime) -> datetime:
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)


def _format_time(value: datetime) -> str:
    return _utc(value).strftime("%Y-%m-%dT%H:%M:%SZ")


def _format_precise_time(value: datetime) -> str:
    return _utc(value).isoformat(timespec="milliseconds").replace("+00:00", "Z")


PreciseTime = Annotated[datetime, AfterValidator(_utc), PlainSerializer(_format_precise_time, return_type=str)]
"""An instant in UTC, written with milliseconds: where a duration is computed from it, such as a downtime or a pause."""

Time = Annotated[datetime, AfterValidator(_utc), PlainSerializer(_format_time, return_type=str)]
"""An instant in UTC, written with whole seconds."""
