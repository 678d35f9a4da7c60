#!/usr/bin/env python3
"""contract.py lines NAME | get NAME FIELD - what pkgs/contracts/NAME.json says of an image, for builds here.

`lines` prints the lines that end a Containerfile, so that an image made here has the user, folders,
variables, entry point, ports and stop signal of the real one, and none of the PROGRAMS that the real
one lacks. They come last: the programs that are removed may be those that a RUN line needs.
`get` prints one field as JSON (a dot goes into an object: sigterm.pid1).

An image that is not listed as its own base keeps its Python in PYTHON (`lines` moves it there), so
that a health check cannot use a python3 which the real image does not have.
"""
import json
import pathlib
import sys

CONTRACTS = pathlib.Path(__file__).resolve().parents[3] / "pkgs/contracts"
# What a Debian tree brings, or what the trees here add, and a real image may lack: program -> files.
PROGRAMS = {
    "bash": "bash rbash",
    "curl": "curl wcurl",
    "grep": "grep egrep fgrep",
    "perl": "perl perl5*",
    "pg_isready": "pg_isready",
    "psql": "psql",
    "python3": "python python3*",
    "redis-cli": "redis-cli",
    "sh": "sh dash",
    "wget": "wget",
}
PYTHON = "/usr/libexec/rig/python"


def contract(name):
    path = CONTRACTS / f"{name}.json"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in CONTRACTS.glob("*.json")))
        sys.exit(f"contract.py: no contract {name}; there are: {known}")
    return json.loads(path.read_text())


def lines(c):
    out = ["# From the image's contract (tests/runtime/lib/contract.py)."]
    for name, value in c["environment"].items():
        out.append(f"ENV {name}={json.dumps(value)}")
    for path, f in sorted(c["folders"].items()):
        out.append(f"RUN mkdir -p {path} && chown {f['uid']}:{f['gid']} {path} && chmod {f['mode']} {path}")
    if c["workdir"]:
        out.append(f"WORKDIR {c['workdir']}")
    out += [f"EXPOSE {port}" for port in c["exposed"] or []]
    out += [f"VOLUME {json.dumps([volume])}" for volume in c["volumes"] or []]
    out.append(f"STOPSIGNAL {c['stopSignal']}")
    out.append(
        f"RUN test ! -x /usr/bin/python3 || test -x {PYTHON} || "
        f"{{ mkdir -p {PYTHON.rsplit('/', 1)[0]} && cp $(readlink -f /usr/bin/python3) {PYTHON}; }}"
    )
    gone = [f"/usr/bin/{file}" for name, files in PROGRAMS.items() if name not in c["programs"] for file in files.split()]
    # One program removes them all: the shell may be among them.
    if gone:
        out.append("RUN rm -f " + " ".join(gone))
    if c["user"] and c["user"]["set"] not in ("", "root"):
        out.append(f"USER {c['user']['uid']}:{c['user']['gid']}")
    out.append(f"ENTRYPOINT {json.dumps(c['entrypoint'] or [])}")
    if c["cmd"]:
        out.append(f"CMD {json.dumps(c['cmd'])}")
    return out


def main():
    match sys.argv[1:]:
        case ["lines", name]:
            print("\n".join(lines(contract(name))))
        case ["get", name, field]:
            value = contract(name)
            for part in field.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            print(json.dumps(value))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
