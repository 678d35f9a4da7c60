"""Checks of files that no other tool reads: workflows, decisions, links, the file lists of
treefmt.toml. One line each, `ok NAME` or `FAIL NAME: why`; exit code 1 when one failed.
"""

import json
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path

FIELDS = ["Status", "Date"]
STATUS = re.compile(r"^(accepted|proposed|superseded)\b")


def tracked(*patterns):
    """The files that git knows or would add, as paths from the top of the tree."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [line for line in lines if Path(line).is_file()]


def workflows():
    """Each workflow is YAML, limits its token, and pins each action by commit."""
    try:
        from ruamel.yaml import YAML
    except ImportError:
        yield "the Python package ruamel.yaml is missing: tests/run lint installs it"
        return
    files = tracked(".github/workflows")
    if not files:
        yield ".github/workflows has no file"
    for file in tracked(".github/**/*.yml", ".github/*.yml"):
        try:
            document = YAML(typ="safe").load(Path(file).read_text())
        except Exception as error:
            yield f"{file} is not valid YAML: {' '.join(str(error).split())}"
            continue
        if file.startswith(".github/workflows/"):
            yield from (f"{file}: {fault}" for fault in workflow(document))


def workflow(document):
    if "permissions" not in document:
        yield "no `permissions`, so the token may do everything"
    for key in ("on", "jobs"):
        # YAML 1.1 reads a bare `on` as true.
        if key not in document and not (key == "on" and True in document):
            yield f"no `{key}`"
    for name, job in (document.get("jobs") or {}).items():
        steps = job.get("steps") or []
        if "runs-on" not in job or not steps:
            yield f"job {name} has no `runs-on` or no steps"
        if "timeout-minutes" not in job:
            yield f"job {name} has no `timeout-minutes`"
        for step in steps:
            uses = step.get("uses")
            if (uses is None) == (step.get("run") is None):
                yield f"job {name}: a step needs either `uses` or `run`"
            elif uses and not uses.startswith("./") and not re.search(r"@[0-9a-f]{40}$", uses):
                yield f"job {name}: {uses} is not pinned by a commit"


def decisions():
    """Each decision has its fields, and its row in the index says the same."""
    folder = Path("docs/decisions")
    index = (folder / "README.md").read_text()
    files = sorted(folder.glob("[0-9]*.md"))
    rows = []
    for number, file in enumerate(files, start=1):
        text = file.read_text()
        heading = re.match(r"# (\d+)\. (.+)\n", text)
        if not heading or int(heading[1]) != number or not file.name.startswith(f"{number:04}-"):
            yield f"{file}: file name and heading (`# {number}. Title`) do not agree, or a number is missing"
            continue
        values = {}
        for field in FIELDS:
            found = re.search(rf"^- {field}: (.+)$", text, re.MULTILINE)
            if not found:
                yield f"{file} has no line `- {field}: …`"
            values[field] = found[1] if found else ""
        if values["Status"] and not STATUS.match(values["Status"]):
            yield f"{file}: status {values['Status']!r} is not accepted, proposed or superseded"
        if values["Date"] and not re.fullmatch(r"\d{4}-\d\d-\d\d", values["Date"]):
            yield f"{file}: {values['Date']!r} is not a date (YYYY-MM-DD)"
        rows.append(f"| [{number}]({file.name}) | {heading[2]} | {values['Status']} | {values['Date']} |")
    seen = [line for line in index.splitlines() if re.match(r"\| \[\d", line)]
    for row in rows:
        if row not in seen:
            yield f"docs/decisions/README.md lacks: {row}"
    for line in seen:
        if line not in rows:
            yield f"docs/decisions/README.md has a row of no decision: {line}"


def links():
    """Each relative link in a page leads to a file, and to a heading that it has."""
    for page in tracked("*.md"):
        if "/fixtures/" in page:
            continue
        for target in targets(Path(page).read_text()):
            path, _, anchor = target.partition("#")
            file = Path(page).parent / path if path else Path(page)
            if not file.exists():
                yield f"{page}: {target} does not exist"
            elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text()):
                yield f"{page}: {target}: the page has no such heading"


def targets(text):
    text = without_code(text)
    text = re.sub(r"`[^`\n]*`", "", text)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z+]+:", target):
            yield target


def without_code(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text):
    """Names of headings as GitHub makes them."""
    seen = {}
    for heading in re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE):
        heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = seen.get(name, 0)
        seen[name] = count + 1
        yield f"{name}-{count}" if count else name


# Words of CONTRIBUTING.md's table that have one meaning only, and what to write.
WORDS = {
    r"anew": "again",
    r"besides?": "next to, or also",
    r"behind (a|the|each|every) (boot|deploy|start|switch|update)": "after",
}


def words():
    """Pages use the words of CONTRIBUTING.md."""
    for page in tracked("*.md"):
        # Not the page with the table, records of the past, and captured pages.
        if page == "CONTRIBUTING.md" or "/decisions/" in page or "/fixtures/" in page:
            continue
        for number, line in enumerate(Path(page).read_text().splitlines(), start=1):
            for word, better in WORDS.items():
                found = re.search(rf"\b{word}\b", line, re.IGNORECASE)
                if found:
                    yield f"{page}:{number}: {found[0]!r}: write {better}"


def file_lists():
    """treefmt.toml gives each shell script to shfmt and shellcheck, and no list is stale."""
    config = tomllib.loads(Path("treefmt.toml").read_text())
    scripts = [
        file
        for file in tracked()
        if "/fixtures/" not in file and shell(Path(file))
    ]
    for name in ("shfmt", "shellcheck"):
        formatter = config["formatter"][name]
        globs = list(chain.from_iterable(map(braces, formatter["includes"])))
        excluded = formatter.get("excludes", [])
        for file in scripts:
            if not any(matches(file, glob) for glob in globs + excluded):
                yield f"{name} does not read {file}"
        for glob in globs:
            if not any(matches(file, glob) for file in tracked()):
                yield f"{name}: no file matches {glob}"


def shell(file):
    with file.open("rb") as opened:
        return re.match(rb"#!(/usr/bin/env bash|/bin/(ba)?sh)\b", opened.readline()) is not None


def braces(glob):
    found = re.match(r"(.*)\{([^}]*)\}(.*)", glob)
    return [found[1] + word + found[3] for word in found[2].split(",")] if found else [glob]


def matches(file, glob):
    return fnmatchcase(file, glob) or ("/" not in glob and fnmatchcase(Path(file).name, glob))


def inputs():
    """Each input of the flake is used."""
    lock = json.loads(Path("flake.lock").read_text())
    outputs = Path("flake.nix").read_text().partition("outputs =")[2]
    others = [Path(file).read_text() for file in tracked("*.nix") if file != "flake.nix"]
    for name in lock["nodes"][lock["root"]]["inputs"]:
        by_name = re.search(rf"[\s(]{re.escape(name)}[\s.)]", outputs)
        by_set = re.compile(rf"\binputs\.{re.escape(name)}\b")
        if not by_name and not any(map(by_set.search, [outputs, *others])):
            yield f"{name} is in no output and no file"


def version():
    """The changelog has a section for the version of Cargo.toml, or for what comes after it."""
    number = tomllib.loads(Path("Cargo.toml").read_text())["workspace"]["package"]["version"]
    log = Path("CHANGELOG.md").read_text()
    if not re.search(rf"^## \[{re.escape(number)}\]", log, re.MULTILINE):
        yield f"CHANGELOG.md has no section `## [{number}]`, the version of Cargo.toml"
    if "\n## [Unreleased]" not in log:
        yield "CHANGELOG.md has no section `## [Unreleased]`"


def main():
    failed = False
    for check in (workflows, decisions, links, words, file_lists, inputs, version):
        title = check.__doc__.strip().rstrip(".")
        faults = list(check())
        failed = failed or bool(faults)
        print(f"FAIL lint: {title}: {'; '.join(faults[:20])}" if faults else f"ok    lint: {title}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
