#!/usr/bin/env python3
"""matrix.py OUT… - the closing table of a run: service by scope, what ran, one column for each question.

Reads the `ok` and `FAIL` lines and the `== NAME: SCOPE scope` and `# SERVICE: KIND` lines of the
runs' outputs. `server` is `real` with what it is, `stand-in by contract` (an image made from pkgs/contracts)
or `stand-in` (an image of the user's own). A cell is `passed`, `stand-in` (passed, but no real server ran),
`FAILED`, or `-` where no line asked it; below the table stands which those are.
"""
import re
import sys

# Column: the sections whose lines count for it.
COLUMNS = {
    "starts": ["boot"],
    "answers": ["checks"],
    "listens": ["ports"],
    "confined": ["confined"],
    "killed": ["kill"],
    "re-created": ["recreate"],
    "end to end": ["chat"],
}
# Of a tree's packages, those that are no server.
TOOLS = ("curl", "wget")
scope, kinds, servers, cells, asked = {}, {}, {}, {}, set()


def plain(name):
    return re.sub(r"[^a-z0-9]", "", name.lower())


def server(service, words):
    """What ran: `real, NAME VERSION`, or the words after the service's name as they stand."""
    found = re.fullmatch(r"real server \((.*)\)", words)
    if not found:
        return words
    packages = [p for p in found[1].split(", ") if not p.startswith(TOOLS)]
    own = [p for p in packages if plain(service) in plain(p.split()[0])]
    return "real, " + min(own or packages, key=len)


for path in sys.argv[1:]:
    snapshot = None
    for line in open(path, encoding="utf8", errors="replace"):
        if found := re.match(r"== (\S+): (\S+) scope", line):
            snapshot = found[1]
            scope[snapshot] = found[2]
        elif found := re.match(r"# (\S+): ((real|stand-in)\b.*)", line):
            kinds[snapshot, found[1]] = found[3]
            servers[found[1], scope[snapshot]] = server(found[1], found[2].strip())
        elif found := re.match(r"(ok|FAIL)\s+(\S+) (\S+): (\S+) ", line):
            verdict, name, section, service = found.groups()
            if (name, service) not in kinds:
                continue
            for column, sections in COLUMNS.items():
                if section in sections:
                    key = (service, scope[name], column)
                    asked.add(column)
                    good = "passed" if kinds[name, service] == "real" else "stand-in"
                    if verdict == "FAIL":
                        cells[key] = "FAILED"
                    else:
                        cells.setdefault(key, good)

columns = [c for c in COLUMNS if c in asked]
scopes = [s for s in ("system", "user") if s in scope.values()]
services = sorted({service for _, service in kinds})
head = ["service", "scope", "server", *columns]
rows = [
    [service, s, servers[service, s], *(cells.get((service, s, c), "-") for c in columns)]
    for service in services
    for s in scopes
    if any(cells.get((service, s, c)) for c in columns)
]
if rows:
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        print("# " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print("# -: nothing to ask (no check of its own, no published port), or the section was not run")
