#!/usr/bin/env python3
"""contract.py lines|standin NAME | get NAME FIELD - what pkgs/contracts/NAME.json says of an image, for
builds here.

`lines` prints the lines that end a Containerfile, so that an image made here has the user, folders,
variables, entry point, ports and stop signal of the real one, and none of the PROGRAMS that the real
one lacks. They come last: the programs that are removed may be those that a RUN line needs.
`standin` prints the whole Containerfile of a stand-in: images/standin under the names of the image's
entry point and of its own programs, then those lines.
`get` prints one field as JSON (a dot goes into an object: sigterm.pid1).

An image that is not listed as its own base keeps its Python in PYTHON (`lines` moves it there), so
that a health check cannot use a python3 which the real image does not have.
"""
import json
import pathlib
import posixpath
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
# Programs that are not the image's own: they are as in the tree.
COMMON = {*PROGRAMS, "cat", "docker-entrypoint.sh", "echo", "env", "git", "jq", "mktemp", "sed", "setpriv", "sleep", "test"}


def contract(name):
    path = CONTRACTS / f"{name}.json"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in CONTRACTS.glob("*.json")))
        sys.exit(f"contract.py: no contract {name}; there are: {known}")
    return json.loads(path.read_text())


def lines(c):
    out = ["# From the image's contract (tests/runtime/lib/contract.py).", "USER root"]
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


def standin(name, c):
    """A stand-in: the program at the place of the real one, knowing the contract."""
    first = [*(c["entrypoint"] or []), *(c["cmd"] or [])]
    workdir = c["workdir"] or "/"

    def placed(program):
        folder = workdir if "/" in program else "/usr/local/bin"
        return posixpath.normpath(posixpath.join(folder, program))

    out = [
        f"# Stand-in by contract for {c['image']} {c['version']}.",
        "FROM localhost/rig/http",
        "COPY standin contract.json /usr/libexec/rig/",
        f"RUN cp $(readlink -f /usr/bin/python3) {PYTHON} && sed -i '1s|.*|#!{PYTHON}|' /usr/libexec/rig/standin",
    ]
    places = [placed(program) for program in c["programs"] if program not in COMMON]
    if first[0] in COMMON:
        # `bash start.sh`: the script starts the program.
        script = placed("./" + first[1])
        if not first[1].startswith("-"):
            out.append(f"RUN mkdir -p {workdir} && echo 'exec /usr/libexec/rig/standin' >{script}")
    else:
        places.append(placed(first[0]))
        # A program beside the entry point's script, for those that start it directly.
        places += [f"{workdir}/{p}" for p in c["programs"] if first[0].startswith("./") and p not in COMMON]
    for place in dict.fromkeys(places):
        out.append(f"RUN mkdir -p {posixpath.dirname(place)} && ln -sf /usr/libexec/rig/standin {place}")
    out.append(f"ENV STANDIN={name}")
    return out + lines(c)


def main():
    match sys.argv[1:]:
        case ["lines", name]:
            print("\n".join(lines(contract(name))))
        case ["standin", name]:
            print("\n".join(standin(name, contract(name))))
        case ["get", name, field]:
            value = contract(name)
            for part in field.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            print(json.dumps(value))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
