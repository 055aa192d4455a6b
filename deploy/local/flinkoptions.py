"""Which options of Flink act only in the configuration of a cluster: `python -m deploy.local.flinkoptions` writes the list.

Reads the options from the classes that declare them, in the jars of all supported versions, and writes their names, or
the words that these begin with, to `operator/flinkjob/api/cluster_options.py`. What a class declares is said by hand in
`CLUSTER`, `MIXED` and `JOBS`; a test finds classes that are in none of them.
"""

import struct
import zipfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path

from deploy.local.flinkdist import DIGESTS, distribution

TARGET = Path(__file__).parents[2] / "operator" / "flinkjob" / "api" / "cluster_options.py"
CLUSTER = frozenset(
    {
        *("AkkaOptions", "AlgorithmOptions", "ApplicationResultStoreOptions", "BlobServerOptions", "CleanupOptions"),
        *("EventOptions", "ExternalResourceOptions", "HeartbeatManagerOptions", "HighAvailabilityOptions"),
        *("HistoryServerOptions", "JMXServerOptions", "JobEventStoreOptions", "JobManagerOptions"),
        *("JobResultStoreOptions", "KubernetesConfigOptions", "KubernetesHighAvailabilityOptions"),
        *("NettyShuffleEnvironmentOptions", "QueryableStateOptions", "ResourceManagerOptions", "RestOptions"),
        *("RpcOptions", "SecurityOptions", "ShuffleServiceOptions", "SlowTaskDetectorOptions", "TraceOptions"),
        *("WebOptions", "YarnConfigOptions"),
    }
)
"""Classes of options that are read when a process of the cluster starts, or by the JobManager for all jobs alike."""
MIXED: Mapping[str, frozenset[str]] = {
    "ClusterOptions": frozenset({"cluster", "process"}),
    "CoreOptions": frozenset({"env", "fs", "io", "plugin"}),
    "MetricOptions": frozenset({"metrics"}),
    "TaskManagerOptions": frozenset({"minicluster", "taskmanager"}),
}
"""Classes that declare some of either sort, and the first words of those of the cluster."""
JOBS = frozenset(
    {
        *("ArtifactFetchOptions", "AsyncSinkConnectorOptions", "BatchExecutionOptions", "CheckpointingOptions"),
        *("ClientOptions", "DeploymentOptions", "ExecutionCheckpointingOptions", "ExecutionOptions"),
        *("ForStConfigurableOptions", "ForStNativeMetricOptions", "ForStOptions", "FsStateChangelogOptions"),
        *("OptimizerOptions", "PipelineOptions", "RestartStrategyOptions", "RocksDBConfigurableOptions"),
        *("RocksDBManualCompactionOptions", "RocksDBNativeMetricOptions", "RocksDBOptions", "SavepointConfigOptions"),
        *("SinkOptions", "SourceReaderOptions", "StateBackendOptions", "StateChangelogOptions"),
        *("StateLatencyTrackOptions", "StateRecoveryOptions", "StateSizeTrackOptions", "StreamPipelineOptions"),
    }
)
"""Classes of options that a job can set for itself, or that only a command line reads."""
JOBS_OWN = frozenset({"metrics.latency.interval"})
"""Options that a job can set although their first word is the cluster's."""

BELOW_A_REPORTER = frozenset({"class", "enabled", "factory", "filter", "interval", "scope"})
"""First words of options that are declared without the name of the reporter that they stand below."""
OWN_WORD = 4
"""A first word that so many options have is Flink's own; a program may use others for its own options."""

_KEY_OF = (b"org/apache/flink/configuration/ConfigOptions", b"key")
_LDC, _LDC_W, _INVOKESTATIC = 0x12, 0x13, b"\xb8"
_SIZES = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2}
_UTF8, _LONG, _DOUBLE, _STRING, _METHOD = 1, 5, 6, 8, 10


@cache
def declared(version: str) -> Mapping[str, frozenset[str]]:
    """The names of the options that each class named `…Options` declares, by its simple name.

    Args:
        version: of Flink, in full.
    """
    found: dict[str, frozenset[str]] = {}
    (jar,) = (distribution(version) / "lib").glob("flink-dist*.jar")
    with zipfile.ZipFile(jar) as opened:
        for name in opened.namelist():
            simple = name.rpartition("/")[2].removesuffix(".class")
            if name.startswith("org/apache/flink/") and "/shaded/" not in name and simple.endswith("Options"):
                keys = frozenset(_keys(opened.read(name)))
                if keys:
                    found[simple] = found.get(simple, frozenset()) | keys
    return found


def of_clusters(version: str) -> frozenset[str]:
    """The names of the options of a cluster."""
    found: set[str] = set()
    for owner, keys in declared(version).items():
        words = MIXED.get(owner, frozenset())
        found |= {key for key in keys if owner in CLUSTER or _word(key) in words}
    return frozenset(key for key in found - JOBS_OWN if _word(key) not in BELOW_A_REPORTER)


def generated() -> str:
    """The module that the operator reads."""
    known = set[str]().union(*map(of_clusters, DIGESTS))
    counts = Counter(map(_word, known))
    words = {word for word, count in counts.items() if count >= OWN_WORD}
    versions = f"{min(DIGESTS).rpartition('.')[0]} to {max(DIGESTS).rpartition('.')[0]}"
    parts = (
        f'"""Options of Flink that act only in the configuration of a cluster, by the classes of Flink {versions}.\n\n'
        'Generated by `deploy/local/flinkoptions.py`.\n"""\n\nfrom typing import Final\n',
        _tuple("WORDS", words, "What the names of such options begin with, before the first dot."),
        _tuple("OPTIONS", {key for key in known if _word(key) not in words}, "Such options of other names."),
        _tuple("JOBS_OWN", JOBS_OWN, "Options that a job can set all the same."),
        "\n\ndef acts_only_in_cluster(option: str) -> bool:\n"
        '    """True for an option that has no effect where a job sets it."""\n'
        '    of_cluster = option.partition(".")[0] in WORDS or option in OPTIONS\n'
        "    return of_cluster and option not in JOBS_OWN\n",
    )
    return "\n".join(parts[:2]) + "".join(parts[2:])


def _word(key: str) -> str:
    return key.partition(".")[0]


def _tuple(name: str, content: Collection[str], about: str) -> str:
    if len(content) == 1:
        return f'{name}: Final = ("{next(iter(content))}",)\n"""{about}"""\n'
    lines = "".join(f'    "{each}",\n' for each in sorted(content))
    return f'{name}: Final = (\n{lines})\n"""{about}"""\n'


def _keys(content: bytes) -> Iterator[str]:
    """The constants that a class gives to `ConfigOptions.key`: each is loaded right before the call."""
    pool, end = _pool(content)
    for index, entry in pool.items():
        if not (isinstance(entry, tuple) and entry[0] == _METHOD and _method(pool, entry) == _KEY_OF):
            continue
        call = _INVOKESTATIC + struct.pack(">H", index)
        at = content.find(call, end)
        while at != -1:
            loaded = _loaded_before(content, at, pool)
            if loaded is not None:
                yield loaded
            at = content.find(call, at + 1)


def _loaded_before(content: bytes, at: int, pool: Mapping[int, bytes | tuple[int, int, int]]) -> str | None:
    wide = content[at - 3] == _LDC_W
    index = struct.unpack(">H", content[at - 2 : at])[0] if wide else content[at - 1]
    entry = pool.get(index) if wide or content[at - 2] == _LDC else None
    text = pool.get(entry[1]) if isinstance(entry, tuple) and entry[0] == _STRING else None
    return text.decode() if isinstance(text, bytes) and b"<" not in text else None


def _method(pool: Mapping[int, bytes | tuple[int, int, int]], entry: tuple[int, int, int]) -> tuple[object, object]:
    owner, name = pool.get(entry[1]), pool.get(entry[2])
    return (
        pool.get(owner[1]) if isinstance(owner, tuple) else None,
        pool.get(name[1]) if isinstance(name, tuple) else None,
    )


def _pool(content: bytes) -> tuple[dict[int, bytes | tuple[int, int, int]], int]:
    """The constants of a class by their index, texts as bytes, others as tag and up to two numbers; and where they end."""
    count = struct.unpack(">H", content[8:10])[0]
    pool: dict[int, bytes | tuple[int, int, int]] = {}
    at, index = 10, 1
    while index < count:
        tag = content[at]
        if tag == _UTF8:
            length = struct.unpack(">H", content[at + 1 : at + 3])[0]
            pool[index] = content[at + 3 : at + 3 + length]
            at += 3 + length
        else:
            size = _SIZES[tag]
            first = struct.unpack(">H", content[at + 1 : at + 3])[0]
            second = struct.unpack(">H", content[at + 3 : at + 5])[0] if size >= 4 else 0
            pool[index] = (tag, first, second)
            at += 1 + size
        index += 2 if tag in (_LONG, _DOUBLE) else 1
    return pool, at


if __name__ == "__main__":
    TARGET.write_text(generated())
