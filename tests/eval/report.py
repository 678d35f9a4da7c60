#!/usr/bin/env python3
"""The evaluation tests' result (name -> null or what was seen), a line each."""

import json
import sys

for name, seen in json.load(sys.stdin).items():
    print(f"ok    eval: {name}" if seen is None else f"FAIL  eval: {name}: {seen}")
