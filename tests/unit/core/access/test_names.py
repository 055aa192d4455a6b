"""Hosts by short names: whose Service they are, and what is said about names that lead nowhere."""

from __future__ import annotations

from flinkjob.api.cluster_spec import ClusterSpec
from flinkjob.core.access.names import advice
from tests.support.tables import table


@table(
    ("written", "meant"),
    "a name alone is a Service of the object's namespace",
    ("http://flink-jobmanager:8081", "http://flink-jobmanager.shop.svc:8081"),
    "without a port too",
    ("https://flink", "https://flink.shop.svc"),
    "and with a path",
    ("http://flink/behind/it", "http://flink.shop.svc/behind/it"),
    "in capitals too",
    ("http://Flink:8081", "http://Flink.shop.svc:8081"),
    "localhost is this machine",
    ("http://localhost:8081", "http://localhost:8081"),
    "localhost without a port too",
    ("http://localhost", "http://localhost"),
    "a name that begins like it is a Service",
    ("http://localhost-2:8081", "http://localhost-2.shop.svc:8081"),
    "a dot at the end says that the name is whole",
    ("http://flink.:8081", "http://flink.:8081"),
    "a name with a namespace stays",
    ("http://flink.streaming:8081", "http://flink.streaming:8081"),
    "a whole name stays",
    ("http://flink.example.com:8081/x", "http://flink.example.com:8081/x"),
    "an address stays",
    ("http://10.0.0.7:8081", "http://10.0.0.7:8081"),
    "an address of the other kind too",
    ("http://[fd00::7]:8081", "http://[fd00::7]:8081"),
    "an address that only resolvers understand stays, so that it is refused",
    ("http://2852039166:8081", "http://2852039166:8081"),
    "what no Service can be named stays",
    ("http://flink_1:8081", "http://flink_1:8081"),
)
def test_which_host_an_address_means(written: str, meant: str) -> None:
    assert ClusterSpec(url=written).address("shop") == meant


@table(
    ("host", "said"),
    "a Service",
    ("flink.shop.svc", "is there a Service flink in namespace shop?"),
    "a Service with the cluster's domain",
    ("flink.shop.svc.cluster.local", "is there a Service flink in namespace shop?"),
    "a Pod of a Service",
    ("jm-0.flink.shop.svc", "is there a Service flink in namespace shop?"),
    "a name with a namespace, or a short name of a jar's server",
    ("flink.shop", "for a Service write NAME.NAMESPACE.svc, for another host its full name"),
    "any other",
    ("flink.example.com", "is the name right, and known to the DNS that the operator uses?"),
    "one with a dot at its end",
    ("flink.", "is the name right, and known to the DNS that the operator uses?"),
)
def test_what_to_write_instead(host: str, said: str) -> None:
    assert advice(host) == said
