"""A model server that answers, and fails, on cue: a public tool, and the tests' oracle.

    penstock sim --port 9000 --truth truth.jsonl

It listens on real sockets, in its own process. A request brings its cue along, as `sim:{"tokens": 20, "cut_after": 5}`
in its last user message, or finds it in a script file. What was really sent goes into the truth file.

`cue`        every key a cue may have
`truth`      reads the truth file
`process`    runs the sim as a subprocess
"""
