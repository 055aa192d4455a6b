"""Which places of stores a namespace may reach by the operator's own access: only what was granted, however it is spelled."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.errors import Invalid

GRANTS = StoreGrants.of(["team-a=s3://backup/team-a", "team-b=file:///backup/b/", "*=gs://shared", "ops=az://all"])


@pytest.mark.parametrize(
    ("namespace", "uri"),
    [
        ("team-a", "s3://backup/team-a"),
        ("team-a", "s3://backup/team-a/"),
        ("team-a", "s3://backup/team-a/deeper/still"),
        ("team-a", "S3://backup/team-a/x"),
        ("team-a", "s3a://backup/team-a/x"),
        ("team-a", "s3p://backup/team-a/x"),
        ("team-b", "file:/backup/b/savepoint-1"),
        ("team-b", "/backup/b/savepoint-1"),
        ("team-b", "file:///backup/b%2Fsavepoint-1"),
        ("team-c", "gs://shared/anything"),
        ("ops", "wasbs://all/x"),
    ],
)
def test_what_was_granted(namespace: str, uri: str) -> None:
    GRANTS.check(namespace, uri)


@pytest.mark.parametrize(
    ("namespace", "uri"),
    [
        ("team-b", "s3://backup/team-a"),
        ("team-a", "s3://backup"),
        ("team-a", "s3://backup/"),
        ("team-a", "s3://backup/team-a-too"),
        ("team-a", "s3://backup/team"),
        ("team-a", "s3://backup-2/team-a"),
        ("team-a", "s3://backup/TEAM-A"),
        ("team-a", "s3://elsewhere@backup/team-a"),
        ("team-a", "s3://backup/team-a/../team-b"),
        ("team-a", "s3://backup/team-a/./x"),
        ("team-a", "s3://backup/team-a%2F..%2Fteam-b"),
        ("team-a", "s3://backup/team-a/%2e%2e/team-b"),
        ("team-a", "gs://backup/team-a"),
        ("team-a", "file:///backup/b"),
        ("team-b", "file:///backup/bb"),
        ("team-b", "file://elsewhere/backup/b"),
        ("team-a", "s3://[/team-a"),
        ("team-c", "gs://shared-not"),
        ("ops", "abfss://all@account.dfs.core.windows.net/x"),
        ("*", "s3://backup/team-a"),
    ],
)
def test_what_was_not_granted(namespace: str, uri: str) -> None:
    with pytest.raises(Invalid):
        GRANTS.check(namespace, uri)


@pytest.mark.threat("foreign-store")
def test_nothing_is_granted_by_default() -> None:
    with pytest.raises(Invalid, match="--store-grants"):
        StoreGrants().check("team-a", "file:///")


@pytest.mark.parametrize("text", ["", "team-a", "=s3://x", "team-a=", "team-a=/backup", "a=s3://x/../y", "a=s3://["])
def test_a_grant_that_cannot_be_read_ends_the_start(text: str) -> None:
    with pytest.raises(ValueError):
        StoreGrants.of([text])


SEGMENT = st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="-_.%/\\ "), max_size=8)


@pytest.mark.threat("foreign-store")
@given(parts=st.lists(SEGMENT, max_size=5), namespace=st.sampled_from(["team-a", "team-b"]))
@example(parts=["team-a", "..", "team-b"], namespace="team-a")
@example(parts=["team-a", "%2e%2e", "team-b"], namespace="team-a")
def test_nothing_below_another_place_is_ever_granted(parts: list[str], namespace: str) -> None:
    """Whatever the spelling: what passes lies, once decoded, below the granted place."""
    from urllib.parse import unquote, urlsplit

    uri = "s3://backup/" + "/".join(parts)
    try:
        GRANTS.check(namespace, uri)
    except Invalid:
        return
    assert namespace == "team-a"
    segments = [segment for segment in unquote(urlsplit(uri).path).split("/") if segment]
    assert segments[0] == "team-a"
    assert not {".", ".."} & set(segments)
