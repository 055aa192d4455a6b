"""The lines that `get`, `status`, `history`, `diff`, `exceptions` and `events` make of objects."""

from __future__ import annotations

import copy
import io
from dataclasses import replace
from typing import Any

import pytest
from rich.text import Text

from flinkjob.cli.bars import bar, bars
from flinkjob.cli.errors import CommandFailed
from flinkjob.cli.eventlines import event_lines
from flinkjob.cli.failures import failure_lines
from flinkjob.cli.fleet import fleet
from flinkjob.cli.flinkview import FlinkSeen
from flinkjob.cli.history import HIDDEN, chosen_revision, difference, history, revisions_of
from flinkjob.cli.lineage import MOST_SAVEPOINTS, lineage
from flinkjob.cli.output import Output, as_json, as_yaml
from flinkjob.cli.statusview import Seen, screen
from flinkjob.cli.texts import milliseconds, span
from flinkjob.core.flinkmodel import CheckpointKind, CheckpointStatus, JobException
from tests.unit.cli.objects import (
    EVIL,
    JOB_ID,
    NOW,
    THIRD,
    ago,
    checkpoint,
    condition,
    conditions,
    event,
    flink,
    job,
    raw,
    refused,
    running,
    savepoint,
    stamp,
)

FAILURE = JobException(
    time=ago(30),
    name="java.io.IOException",
    root_cause="ConnectException: refused",
    task="Sink (1/1)",
    taskmanager="tm-1",
)


def plain(lines: list[Text]) -> str:
    return "\n".join(line.plain for line in lines)


def seen(found: dict[str, Any], given: FlinkSeen | None = None, **more: Any) -> Seen:
    whole: dict[str, Any] = {"savepoints": (), "events": (), "flink": given or flink(), "now": NOW, **more}
    return Seen(job=job(found), **whole)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0s"),
        (119, "119s"),
        (120, "2m"),
        (330, "5m30s"),
        (3600, "60m"),
        (11520, "3h12m"),
        (30 * 3600, "30h"),
        (8 * 86400, "8d"),
        (3 * 365 * 86400, "3y"),
        (4 * 86400 + 6 * 3600, "4d6h"),
    ],
)
def test_spans_are_written_as_kubectl_writes_them(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_durations_of_checkpoints() -> None:
    assert [milliseconds(each) for each in (None, 20, 4230, 190_000)] == ["-", "20ms", "4.2s", "3m10s"]


def test_the_fleet_is_a_table() -> None:
    sick = running(
        "views", status_error=None, phase="Held", conditions=conditions("False", "True", "JobHeld", "it is down")
    )
    lines = fleet([job(sick), job(running()), job(raw("new"))], NOW)
    assert [line.plain.split() for line in lines] == [
        ["NAME", "READY", "PHASE", "RUN", "UP", "PARALLELISM", "CHECKPOINT", "RESTARTS", "AGE"],
        ["clicks", "True", "Running", "4", "61m", "1", "-", "1", "120m"],
        ["new", "-", "-", "-", "-", "1", "-", "-", "120m"],
        ["views", "False", "Held", "4", "61m", "1", "-", "1", "120m"],
    ]
    assert len({line.plain.index("AGE" if "AGE" in line.plain else "120m") for line in lines}) == 1, "columns line up"


def test_the_wide_fleet_has_the_message_and_the_namespace() -> None:
    lines = plain(fleet([job(running())], NOW, wide=True, namespaces=True))
    assert "NAMESPACE" in lines
    assert "2 tasks are running" in lines
    assert "2.3.0" in lines


def test_the_screen_of_a_running_job() -> None:
    last = savepoint("clicks-up-3", "s3://state/sp/savepoint-3/", phase="Completed", submission=3, origin="Upgrade")
    shown = plain(
        screen(
            seen(
                running(
                    history=[
                        {
                            "number": 3,
                            "jobId": "b" * 32,
                            "result": "Stopped",
                            "started": stamp(9000),
                            "ended": stamp(3700),
                        }
                    ]
                ),
                flink(checkpoint(1), checkpoint(2, 800), exceptions=(FAILURE,)),
                savepoints=(last,),
                events=(event("Upgraded", 3600, "run 4 runs"),),
            )
        )
    )
    assert "shop/clicks  Running" in shown
    assert "Ready:      Running: 2 tasks are running  for 60s" in shown
    assert f"4 (Upgrade), up 61m, job {JOB_ID}" in shown
    assert "Flink data: directly, at http://flink:8081" in shown
    assert "Source: orders   2       2 RUNNING             97%    20%" in shown
    assert "30s ago  ConnectException: refused  in Sink (1/1) on tm-1" in shown
    assert "#2  ████████████████████████   800ms   2.0Ki    98s ago" in shown
    assert "← savepoint clicks-up-3" in shown
    assert "Upgraded" in shown


def test_a_run_that_flink_refused_is_shown_as_refused() -> None:
    shown = plain(screen(seen(refused())))
    assert f"Run:        4 (Upgrade), refused by Flink, job {'c' * 32}" in shown
    assert "run 4  refused by Flink" in shown
    assert "In Flink" not in shown, "that is the state of the job before"
    assert "refused by Flink" in plain(history(job(refused()), [], NOW))
    starting = refused(rejected=False, stalled=False)
    assert "run 4  starting" in plain(lineage(job(starting), [], NOW))
    assert "run 4  live since 61m" in plain(lineage(job(running()), [], NOW))


def test_the_screen_says_what_a_person_can_do() -> None:
    found = running(
        phase="Held",
        conditions=conditions("False", "True", "StateMissing", "no usable state"),
        hold={"reason": "Lost", "since": stamp(30)},
    )
    shown = plain(screen(seen(found)))
    assert "Stalled:    StateMissing: no usable state" in shown
    assert "What to do: There must be state to continue from but none is usable: give `initialState`" in shown
    assert "Held:       Lost for 30s" in shown


def test_the_screen_says_what_is_waited_for() -> None:
    plan = {"step": "Submit", "reason": "BackOff", "message": "the run call failed", "attempts": 2, "since": stamp(20)}
    found = running(
        phase="Upgrading",
        plan=plan | {"retryTime": stamp(-15)},
        operation={"kind": "Stop", "since": stamp(9)},
        conditions=conditions("False", "False", "BackOff", "the run call failed"),
    )
    shown = plain(screen(seen(found)))
    assert "Doing:      the run call failed for 20s (attempt 2), again in 15s" in shown
    assert "Operation:  Stop for 9s" in shown
    assert "Not ready:  BackOff" in shown


def test_the_screen_of_a_job_that_nobody_looks_after() -> None:
    shown = plain(screen(seen(raw(), FlinkSeen(way="no job was sent to Flink yet"))))
    assert "the operator has not looked at it yet" in shown
    assert "LINEAGE" not in shown


def test_the_screen_of_a_job_whose_flink_cannot_be_read_shows_what_the_status_has() -> None:
    found = running(
        lastCheckpoint={"id": 7, "time": stamp(12), "size": "1.2Mi"},
        lastFailure={"time": stamp(5), "rootCause": "boom", "recent": 3},
    )
    shown = plain(screen(seen(found, FlinkSeen(way="not readable from here"))))
    assert "#7 12s ago, 1.2Mi" in shown
    assert "5s ago  boom" in shown
    assert "3 failures within ten minutes" in shown


def test_conditions_beside_the_job_itself_are_shown() -> None:
    found = running()
    found["status"]["conditions"] += [
        condition("ClusterSuitable", "True", "Risky", "no high availability"),
        condition("ClusterReachable", "False", "NoAnswer", "refused"),
        condition("Synced", "False", "SyncFailed", "403"),
        condition("SourceMayStillRun", "True", "SourceMayStillRun", "does that job still run?"),
    ]
    shown = plain(screen(seen(found)))
    for words in ("Risky: no high availability", "NoAnswer: refused", "SyncFailed: 403", "does that job still run?"):
        assert words in shown


@pytest.mark.threat("terminal")
def test_nothing_foreign_is_obeyed_by_a_terminal() -> None:
    found = running(
        conditions=conditions("False", "True", EVIL[:40], EVIL),
        plan={"message": EVIL},
        hold={"reason": "Stopped", "by": EVIL},
        lastFailure={"rootCause": EVIL},
        history=[{"number": 3, "jobId": EVIL, "from": f"s3://{EVIL}"}],
        cluster={"url": EVIL, "flinkVersion": EVIL},
    )
    bad = JobException(time=None, name=EVIL, root_cause=EVIL, stacktrace_head=EVIL, task=EVIL, taskmanager=EVIL)
    whole = seen(
        found,
        flink(checkpoint(1, status=CheckpointStatus.FAILED, failure=EVIL), exceptions=(bad,)),
        savepoints=(
            savepoint(
                "sp", f"s3://{EVIL}", submission=4, phase="Failed", error={"errorCode": "Timeout", "message": EVIL}
            ),
        ),
        events=(event(EVIL, 5, EVIL, type=EVIL),),
    )
    for lines in (screen(whole), fleet([job(found)], NOW, wide=True), history(job(found), (), NOW)):
        for line in lines:
            assert line.plain.isprintable(), line.plain
    assert "\\x1b" in plain(screen(whole))


def test_the_output_shows_what_slips_through() -> None:
    stream = io.StringIO()
    output = Output(stream, stream)
    output.lines([Text("a\x1bb", "red"), "c\rd"])
    output.warning("e\x07f")
    assert stream.getvalue() == "a\\x1bb\nc\\rd\nWarning: e\\x07f\n"


@pytest.mark.parametrize("write", [as_json, as_yaml])
def test_documents_for_machines_hold_no_control_character(write: Any) -> None:
    written = write({"a": EVIL + "\x7f\x9b", "b": ["plain", EVIL]})
    assert all(each.isprintable() for each in written.splitlines())


@pytest.mark.parametrize(
    ("part", "whole", "drawn"), [(0, 10, ""), (10, 10, "████"), (1, 1000, "▏"), (5, 8, "██▌"), (3, 0, "")]
)
def test_bars_are_as_long_as_their_part(part: int, whole: int, drawn: str) -> None:
    assert bar(part, whole, 4) == drawn


def test_the_newest_twenty_checkpoints_are_shown() -> None:
    many = [checkpoint(number) for number in range(1, 31)]
    many[-1] = checkpoint(30, None, status=CheckpointStatus.IN_PROGRESS, state_bytes=None)
    many[-2] = checkpoint(29, status=CheckpointStatus.FAILED, failure="expired", kind=CheckpointKind.SAVEPOINT)
    lines = [line.plain for line in bars(many, NOW)]
    assert len(lines) == 20
    assert lines[0].split() == ["#30", "-", "-", "70s", "ago", "in", "progress"]
    assert lines[1].endswith("savepoint  failed: expired")
    assert "#11" in lines[-1]


def test_the_lineage_leads_from_each_run_to_the_state_it_came_from() -> None:
    entries = [
        {
            "number": 3,
            "result": "Stopped",
            "from": "s3://c/chk-9",
            "to": "s3://state/sp/savepoint-3",
            "downtime": "1.4s",
        },
        {"number": 2, "result": "Failed", "started": stamp(20000), "ended": stamp(10000)},
    ]
    copied = {"uri": "s3://backup/1", "sequenceNumber": 1, "endTime": stamp(50)}
    found = running(history=entries)
    lines = lineage(
        job(found),
        [
            savepoint(
                "up",
                "s3a://state/sp/savepoint-3/_metadata",
                phase="Completed",
                submission=3,
                origin="Upgrade",
                sync=copied,
            ),
            savepoint("hand", "s3://state/sp/x", phase="Completed", submission=4, size="3Mi", endTime=stamp(20)),
            savepoint("old", "s3://state/sp/o", phase="Completed", submission=1),
            savepoint("other", "s3://state/sp/z", of="views"),
        ],
        NOW,
    )
    assert plain(lines) == "\n".join(
        [
            "  run 4  live since 61m  Upgrade",
            "    • hand  Completed  20s ago  3Mi",
            "    ← savepoint up",
            "  run 3  Stopped, - ago  down for 1.4s",
            "    • up  Completed  Upgrade  copy 1 s3://backup/1",
            "    ← checkpoint s3://c/chk-9",
            "  run 2  Failed after 2h46m, 2h46m ago".replace("2h46m", "166m"),
            "    ← empty",
            "  not of these runs",
            "    • old  Completed",
        ]
    )


def test_of_many_savepoints_the_newest_are_shown() -> None:
    many = [savepoint(f"sp-{number}", f"s3://sp/{number}", submission=4) for number in range(9)]
    shown = plain(lineage(job(running()), many, NOW))
    assert shown.count("• sp-") == MOST_SAVEPOINTS
    assert "• and 4 older ones" in shown


def test_a_reason_of_a_newer_operator_is_not_explained_by_another_one() -> None:
    found = running(conditions=conditions("False", "True", "OfTomorrow", "what will be"))
    shown = plain(screen(seen(found)))
    assert "OfTomorrow: what will be" in shown
    assert "Nothing has been decided" not in shown
    assert "this kubectl flinkjob is older than the operator's word" in shown


def revision(name: str, number: int, uid: str = "uid-clicks", **spec: Any) -> dict[str, Any]:
    base = raw()["spec"]
    meta = {"name": name, "ownerReferences": [{"uid": uid}]}
    return {"metadata": meta, "revision": number, "data": {"spec": {**base, **spec}}}


def test_the_history_has_runs_and_revisions() -> None:
    found = running(history=[{"number": 3, "digest": "3333333333cccc", "result": "Stopped", "started": stamp(900)}])
    kept = revisions_of(
        found,
        [
            revision(THIRD, 3, args=["--rate", "1"]),
            revision("clicks-4444444444", 4),
            revision("x", 9, "other"),
        ],
    )
    shown = plain(history(job(found), kept, NOW))
    assert "clicks-4444444444   4     runs   clicks.jar" in shown
    assert f"{THIRD}   3     -      clicks.jar --rate 1" in shown
    assert f"  3     Stopped   {THIRD}   15m" in shown
    assert chosen_revision(job(found), kept, "3")["metadata"]["name"] == THIRD
    with pytest.raises(CommandFailed, match=f"no revision nope; there are: clicks-4444444444, {THIRD}"):
        chosen_revision(job(found), kept, "nope")


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ({"sql": {"script": "SELECT 1"}}, "SQL"),
        ({"python": {"file": "shop/job.py"}, "args": ["--rate", "2"]}, "shop/job.py --rate 2"),
        ({"python": {"module": "shop.main"}}, "shop.main"),
    ],
)
def test_the_history_says_what_each_revision_ran(program: dict[str, Any], shown: str) -> None:
    kept = revision(THIRD, 3)
    kept["data"]["spec"] = {"cluster": {"restUrl": "http://flink:8081"}, **program}
    lines = plain(history(job(running()), [kept], NOW)).splitlines()
    assert [line.split(None, 3)[3] for line in lines if THIRD in line] == [shown]


def test_a_difference_hides_the_values_of_secret_options() -> None:
    options = {"a": "1", "s3.secret-key": "old-secret", "fs.azure.account.key.x": "same"}
    old = revision(THIRD, 3, args=["--rate", "1"], flinkConfiguration=options)
    new = raw(args=["--rate", "2"], flinkConfiguration={**options, "a": "2", "s3.secret-key": "new-secret"})
    shown = plain(difference(old, new))
    assert "-- --rate" not in shown
    assert "-- '1'" in shown
    assert "+- '2'" in shown
    assert f"~ s3.secret-key: another value, {HIDDEN}" in shown
    assert "-secret" not in shown.replace("s3.secret-key", "")
    assert "same" not in shown
    assert difference(old, {"spec": copy.deepcopy(old["data"]["spec"]) | {"parallelism": 9}}) == []


def test_events_are_sorted_and_cut() -> None:
    lines = event_lines(
        [event("B", 10, "second", count=4), event("A", 90, "first"), event("C", 300, "old")], NOW, most=2
    )
    assert [line.plain.split() for line in lines[1:]] == [
        ["90s", "-", "A", "flinkjob/clicks", "first"],
        ["10s", "-", "B", "flinkjob/clicks", "second", "(x4)"],
    ]


def test_the_heads_of_stack_traces_are_shown_where_they_are_asked_for() -> None:
    failed = running()
    failed["status"]["submission"]["end"] = {"result": "Failed", "message": "it gave up"}
    trace = replace(FAILURE, stacktrace_head="java.io.IOException: x\n\tat a.B.c(B.java:1)\n\x1b[2J")
    shown = plain(failure_lines(job(failed), (trace, FAILURE), NOW, most=1, traces=True))
    assert shown.splitlines() == [
        "     30s ago  ConnectException: refused  in Sink (1/1) on tm-1",
        "      java.io.IOException: x",
        "      at a.B.c(B.java:1)",
        "      \\x1b[2J",
        "  the run ended: it gave up",
    ]
    assert failure_lines(job(running()), (), NOW, most=5) == []


class Terminal(io.StringIO):
    """Says that a person looks at it."""

    def isatty(self) -> bool:
        return True


def test_colours_are_only_for_terminals_and_for_those_who_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")

    def shown(stream: io.StringIO) -> str:
        Output(stream, stream).lines([Text("Running", "bold green")])
        return stream.getvalue()

    assert shown(io.StringIO()) == "Running\n"
    assert shown(Terminal()) == "\x1b[1;32mRunning\x1b[0m\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert shown(Terminal()) == "Running\n"


def test_a_stream_without_such_characters_still_shows_the_rest() -> None:
    raw_bytes = io.BytesIO()
    stream = io.TextIOWrapper(raw_bytes, encoding="ascii")
    Output(stream, stream).lines(["█ 5s"])
    stream.flush()
    assert raw_bytes.getvalue() == b"? 5s\n"
