"""Every data file of the repository stands in the second table of THIRD_PARTY.md, with a licence and a source."""

import os
import pathlib
import re
import subprocess
import sys

SOURCE_SUFFIXES = set(".cpp .hpp .cu .cuh .cmake .in .md .py .sh .yaml .yml .supp".split())
SOURCE_NAMES = set(
    "CMakeLists.txt CMakePresets.json LICENSE VERSION run .clang-format .clang-tidy .gitignore .gitattributes".split()
)
REQUIREMENTS = re.compile(r"cmake/requirements/[\w-]+\.txt$")
LARGEST_SOURCE = 200_000  # bytes; a bigger file is data whatever its name says


def is_data(path, content):
    name = path.split("/")[-1]
    is_source = name in SOURCE_NAMES or pathlib.PurePath(name).suffix in SOURCE_SUFFIXES or REQUIREMENTS.match(path)
    return not is_source or b"\0" in content or len(content) > LARGEST_SOURCE


def listed_paths(third_party):
    """First cells of the table below "Data in the repository" whose licence and source cells are filled."""
    table = third_party.split("## Data in the repository", 1)[1]
    paths = []
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 4 and all(cells):
            paths.append(cells[0].strip("`"))
    return paths


def unlisted(path, paths):
    return not any(path == known or (known.endswith("/") and path.startswith(known)) for known in paths)


def self_test():
    table = "## Data in the repository\n| path | what | licence | source |\n|---|---|---|---|\n| `a/b/` | x | MIT | y |\n| `c.npy` | x | | y |\n"
    paths = listed_paths(table)
    assert paths == ["a/b/"], paths  # c.npy has no licence
    assert not unlisted("a/b/c.gz", paths) and unlisted("a/bc.gz", paths) and unlisted("c.npy", paths)
    assert is_data("tests/x.npy", b"") and is_data("a.cpp", b"\0") and is_data("a.md", b"x" * (LARGEST_SOURCE + 1))
    assert is_data("tests/table.txt", b"1 2 3") and not is_data("common/a.cpp", b"int x;")
    assert not is_data("cmake/requirements/tools.txt", b"") and not is_data("tests/CMakeLists.txt", b"")


def main():
    self_test()
    root = pathlib.Path(os.environ.get("GUDA_SOURCE_DIR", "."))
    listing = subprocess.run(
        ["git", "-C", root, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True
    )
    if listing.returncode != 0:
        print("skipped: not a git clone, so there is no list of the repository's files")
        return 77
    paths = listed_paths((root / "THIRD_PARTY.md").read_text())
    files = [f for f in listing.stdout.splitlines() if (root / f).is_file()]
    faults = [f for f in files if unlisted(f, paths) and is_data(f, (root / f).read_bytes())]
    for fault in faults:
        print(f"{fault}: a data file that THIRD_PARTY.md does not list with licence and source")
    print(f"{len(files)} files looked at")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
