"""`kubectl flinkjob`: what a person does with FlinkJobs from a terminal, with the person's own rights.

Each command has a pure part, which makes lines or requests of objects, and a thin one that reads, writes and prints:

    texts, table, bars, lineage, fleet, statusview, history, owners    lines of objects
    changes, goals, rollback                                           requests, and when what they ask for is reached
    explain, validate, migrate/                                        work without a cluster
    session, flinkview, flinkway, output, errors                       the API server, Flink, the terminal
    reading, acting, checking, completing, uicommand                   the commands
    entry, main                                                        how they are called

Invariants: nothing foreign reaches the terminal but through `texts.text` and `output`, which show control characters
instead of sending them; the Secrets of a namespace are never read.
"""
