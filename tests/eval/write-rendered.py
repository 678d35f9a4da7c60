#!/usr/bin/env python3
"""Write snapshots: {"workstation": {"stack.json": "...", ...}, ...} from standard
input into the folder given, replacing what was there. JSON is indented and sorted,
so that a change shows as the lines that changed."""

import json
import pathlib
import shutil
import sys

target = pathlib.Path(sys.argv[1])
for name, files in json.load(sys.stdin).items():
    folder = target / name
    if folder.exists():
        shutil.rmtree(folder)
    for path, text in files.items():
        if path.endswith(".json"):
            text = json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
        elif not text.endswith("\n"):
            text += "\n"
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
