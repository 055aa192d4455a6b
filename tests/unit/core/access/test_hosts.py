"""The allow list of hosts, and the ways around it that are closed."""

import pytest

from flinkjob.core.access.hosts import HostRules
from flinkjob.core.errors import Invalid

LISTED = HostRules.of(["flink.example.com", "*.jars.example", "10.0.0.0/8", "192.168.1.7", "fd00::/8"])
OPEN = HostRules.of([])


@pytest.mark.parametrize(
    "url",
    [
        "http://flink.example.com:8081",
        "https://FLINK.example.com./jars",
        "https://eu.jars.example/a.jar",
        "http://10.1.2.3/",
        "http://192.168.1.7",
        "http://[fd00::1]:8081",
        "http://[::ffff:10.1.2.3]/",
        "http://user:secret@flink.example.com/",
    ],
)
def test_listed(url: str) -> None:
    LISTED.check_url(url)


@pytest.mark.behaviour(82)
@pytest.mark.threat("metadata-service")
@pytest.mark.parametrize(
    "url",
    [
        "http://other.example.com",
        "http://jars.example",
        "http://evil-jars.example",
        "http://flink.example.com.evil.example",
        "http://flink.example.com@evil.example/",
        "http://11.0.0.1",
        "http://[fe80::1]",
        "http://167772161/",
        "http://0x0a000001/",
        "http://",
        "http://[::1/",
    ],
)
def test_not_listed(url: str) -> None:
    with pytest.raises(Invalid):
        LISTED.check_url(url)


@pytest.mark.threat("metadata-service")
@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1%25eth0]/",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://metadata.google.internal/",
        "http://[fd00:ec2::254]/",
        "http://[fd00:ec2::23]/",
        "http://[fd20:ce::254]/",
        "http://168.63.129.16/",
        "http://192.0.0.192/",
        "http://metadata.tencentyun.com/",
        "http://[::169.254.169.254]/",
        "http://[64:ff9b::169.254.169.254]/",
        "http://[64:ff9b:1::a9fe:a9fe]/",
        "http://[2002:a9fe:a9fe::1]/",
        "http://[2001:0:a9fe:a9fe::1]/",
        "http://[2001:0:4136:e378:8000:63bf:5601:5601]/",
        "http://[64:ff9b::127.0.0.1]/",
        "http://[2002:7f00:1::]/",
        "http://100.100.100.200/",
        "http://127.0.0.1:8081/",
        "http://127.8.9.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://0.0.0.0/",
        "http://localhost/",
        "http://LocalHost./",
        "http://a.localhost/",
    ],
)
def test_without_a_list_metadata_services_and_loopback_are_refused(url: str) -> None:
    OPEN.check_url("http://anything.example/")
    with pytest.raises(Invalid):
        OPEN.check_url(url)


@pytest.mark.parametrize("rules", [HostRules.of([], loopback=True), HostRules.of(["flink.example.com"], loopback=True)])
def test_loopback_can_be_allowed(rules: HostRules) -> None:
    rules.check_url("http://127.0.0.1:8081/")
    rules.check_url("http://localhost:8081/")
    rules.check_address("::1")
    with pytest.raises(Invalid):
        rules.check_address("169.254.169.254")


def test_a_listed_name_does_not_lead_to_what_is_refused() -> None:
    LISTED.check_address("93.184.216.34")
    LISTED.check_address("10.1.2.3")
    for address in ("169.254.169.254", "127.0.0.1", "::1", "fe80::1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"):
        with pytest.raises(Invalid):
            LISTED.check_address(address)
    HostRules.of(["169.254.10.0/24"]).check_address("169.254.10.1")


def test_link_local_can_be_listed() -> None:
    HostRules.of(["169.254.10.0/24"]).check_url("http://169.254.10.1/")


@pytest.mark.parametrize("pattern", ["10.0.0.1/8", "http://x", "*", "*.", "a*b", "a b", "host:80"])
def test_no_patterns(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no address, network, host or"):
        HostRules.of([pattern])
