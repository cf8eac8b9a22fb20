"""The other end of worker.mjs, in Python: requests in, answers out, one at a time, as lines of JSON."""
import json
import os
import sys


def answering(open_peer):
    """open_peer(options) gives (ready, answer); what it raises is why this peer is absent."""
    # what libraries print to stdout goes to stderr: stdout is for answers
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def say(value):
        out.write(json.dumps(value) + "\n")
        out.flush()

    try:
        ready, answer = open_peer(json.loads(sys.argv[-1]))
    except Exception as error:
        say({"absent": first_line(error)})
        return
    say(ready)
    for line in sys.stdin:
        try:
            say(answer(json.loads(line)))
        except Exception as error:
            say({"error": first_line(error)})


def first_line(error):
    return f"{type(error).__name__}: {error}".split("\n")[0]
