"""From a run to its hosts: sends commands until they are answered, and says what became of silence.

`part` decides, purely, what to do next about one host; `conductor` does it for one run; `conductors` knows the runs
that this instance holds and hears what hosts say; `grants` signs, `bodies` carries large scripts, `ticker` wakes,
`strays` sends cancels that come too late for a conductor.
"""
