"""A page to look at: what `kubectl flinkjob` shows and does, in a browser on the same machine.

    guard                          who may ask for anything, and what a browser may do with an answer
    objects                        the objects as the API server has them, read once for all who look
    fleetview, jobview, pictures, savepointview    what the pages show, as values; pure
    actions                        the actions of the command line, after a confirmation
    app, serving, command          the addresses, and the server of `kubectl flinkjob ui`
    shared                         the server that the chart installs: for many people, behind a proxy, without actions

Invariants: nothing foreign is ever markup: templates escape each value, and no script or style stands in a page; nothing
changes by GET; every right is that of whoever started the server.
"""
