#!/usr/bin/env python3
"""lock.py PYLOCK MINOR - a pylock.toml as requirements with hashes, one of each file that fits CPython 3.MINOR
on Linux with glibc; the source's where no wheel fits.
"""
import re
import sys
import tomllib


def fits(name, minor):
    python, abi, platform = name.removesuffix(".whl").split("-")[-3:]
    if platform != "any" and not re.search(r"manylinux.*_(x86_64|aarch64)\b", platform):
        return False
    for tag in python.split("."):
        if tag in ("py3", f"cp3{minor}"):
            return True
        if abi == "abi3" and (found := re.fullmatch(r"cp3(\d+)", tag)) and int(found[1]) <= minor:
            return True
    return False


with open(sys.argv[1], "rb") as file:
    packages = tomllib.load(file)["packages"]
print("# Made by tests/runtime/lock.")
for package in packages:
    files = [w for w in package.get("wheels", []) if fits(w["url"].rsplit("/", 1)[1], int(sys.argv[2]))]
    print(f"{package['name']}=={package['version']}", end="")
    for one in files or [package["sdist"]]:
        print(f" \\\n    --hash=sha256:{one['hashes']['sha256']}", end="")
    print()
