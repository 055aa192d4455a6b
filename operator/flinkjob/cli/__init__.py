"""`kubectl flinkjob`: what a person does with FlinkJobs from a terminal, with the person's own rights.

Each command has a pure part, which makes lines or requests of objects, and a thin one that reads, writes and prints:

    texts, table, bars, rows, eventlines, failures, lineage, fleet, statusview, history, owners    lines of objects
    changes, goals, rollback                    requests, and when what they ask for is reached
    explain, advice, validate, migrate/         work without a cluster
    manifests, sqltexts, yamlwords, seconds     what is read of files, ConfigMaps and options
    session, output, errors                     the API server, the terminal, the ends of a command
    flinkway, flinkview                         Flink, as far as the person's rights reach
    reading, acting, adoption, sending, checking, query, completing     the commands
    main                                        how they are called

Invariants: nothing foreign reaches the terminal but through `texts.text` and `output`, which show control characters
instead of sending them; the Secrets of a namespace are never read.
"""
