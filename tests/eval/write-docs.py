#!/usr/bin/env python3
"""Put generated text into pages: {"README.md": "| service | ...", ...} from standard
input, each between the marks of its file below the folder given.

  write-docs.py FOLDER            write the files
  write-docs.py FOLDER --check    exit 1 and print a diff where one differs"""

import difflib
import json
import pathlib
import sys

BEGIN = "<!-- generated: tests/run render --update -->\n"
END = "<!-- end of the generated part -->"

root = pathlib.Path(sys.argv[1])
check = "--check" in sys.argv[2:]
differs = False
for name, text in sorted(json.load(sys.stdin).items()):
    file = root / name
    old = file.read_text()
    if old.count(BEGIN) != 1 or old.count(END) != 1:
        sys.exit(f"{name}: wants one pair of lines `{BEGIN.strip()}` and `{END}`")
    before, rest = old.split(BEGIN)
    _, after = rest.split(END)
    new = f"{before}{BEGIN}\n{text.strip()}\n\n{END}{after}"
    if new == old:
        continue
    if check:
        differs = True
        sys.stdout.writelines(
            difflib.unified_diff(old.splitlines(True), new.splitlines(True), name, "what the modules say")
        )
    else:
        file.write_text(new)
sys.exit(1 if differs else 0)
