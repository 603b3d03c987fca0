"""`penstock doctor`: what stands between this machine and a Penstock server, and what it does to streams.

    address.py      where to ask, from what was typed
    probe.py        the client: sockets, TLS, redirects, and the time of everything
    answer.py       the bytes of one answer, taken apart
    observation.py  what was seen
    findings.py     what that means, and what to do about it; unreached.py when no stream began
    remedies.py     the settings of well-known proxies
    report.py       how it is told
    command.py      the command

It knows a server only by its address: it can look at one of another version, on another continent.
"""
