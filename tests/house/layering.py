"""The include arrows of docs/architecture.md, "The house", read from #include lines, and the list of top-level entries."""

import os
import pathlib
import re
import subprocess
import sys

# room -> rooms it may include
MAY_INCLUDE = {
    "common": {"common"},
    "jobs": {"common", "jobs"},
    "cluster": {"common", "cluster"},
    "orchestrator": {"common", "jobs", "cluster", "orchestrator"},
    "worker": {"common", "jobs", "worker"},
}
# part of common -> the only folders outside common that may include it
PRIVATE_PARTS = {
    "common/mpi/": ("cluster/agent/", "orchestrator/"),
    "common/hdf5/": ("orchestrator/",),
}
# headers of a library -> the only folder that may include them
LIBRARIES = [
    (re.compile(r"mpi\.h$"), "common/mpi/"),
    (re.compile(r"(hdf5|hdf5_hl|H5\w+)\.h$"), "common/hdf5/"),
    (re.compile(r"yaml-cpp/"), "common/config/"),
    (re.compile(r"utf8proc\.h$"), "common/text/"),
    (re.compile(r"(torch|ATen|c10|caffe2)/"), "worker/"),
    (re.compile(r"(nccl|cuda_runtime|cuda)\.h$"), "worker/"),
    (re.compile(r"boost/program_options"), "orchestrator/cli/"),
]
GENERATED = {"guda_build.hpp"}
TOP_LEVEL = set(
    "CMakeLists.txt CMakePresets.json run README.md LICENSE THIRD_PARTY.md VERSION .clang-format .clang-tidy .gitignore "
    ".gitattributes .ci cmake common jobs cluster orchestrator worker tests docs".split()
)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def faults_of(path, text):
    """What is wrong with the #include lines of one file of a room; path is relative to the root."""
    room = path.split("/")[0]
    for number, line in enumerate(text.splitlines(), 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        quote, header = found.groups()
        where = f"{path}:{number}: "
        for pattern, home in LIBRARIES:
            if pattern.match(header) and not path.startswith(home):
                yield where + f"<{header}> may be included below {home} only"
        if quote == "<" or header in GENERATED:
            continue
        target = header.split("/")[0]
        if "/" not in header or target not in MAY_INCLUDE:
            yield where + f'"{header}" is not written from the root of the repository'
        elif target not in MAY_INCLUDE[room]:
            yield where + f"{room} may not include {target} (\"{header}\")"
        for part, guests in PRIVATE_PARTS.items():
            if header.startswith(part) and not path.startswith(("common/",) + guests):
                yield where + f'"{header}" may be included below {" and ".join(guests)} only'


def self_test():
    """Each rule reports a violation of itself, and lets pass what it should."""
    wrong = [
        ("common/a.hpp", '#include "jobs/spec.hpp"'),
        ("jobs/a.cpp", '#include "orchestrator/scheduler.hpp"'),
        ("jobs/a.cpp", '#include "common/hdf5/file.hpp"'),
        ("worker/a.cpp", '#include "common/mpi/mpi_channel.hpp"'),
        ("worker/a.cpp", '#include "cluster/topology.hpp"'),
        ("cluster/local.cpp", '#include "common/mpi/mpi_channel.hpp"'),
        ("orchestrator/a.cpp", '#include "worker/execute.hpp"'),
        ("orchestrator/a.cpp", "#include <torch/torch.h>"),
        ("jobs/a.cpp", "# include <ATen/ATen.h>"),
        ("orchestrator/a.cpp", "  #include <mpi.h>"),
        ("common/a.cpp", "#include <hdf5.h>"),
        ("jobs/a.cpp", "#include <yaml-cpp/yaml.h>"),
        ("orchestrator/a.cpp", "#include <boost/program_options.hpp>"),
        ("jobs/a.cpp", '#include "spec.hpp"'),
    ]
    right = [
        ("common/mpi/a.cpp", "#include <mpi.h>"),
        ("common/hdf5/a.cpp", "#include <H5Fpublic.h>"),
        ("cluster/agent/a.cpp", '#include "common/mpi/mpi_channel.hpp"'),
        ("orchestrator/a.cpp", '#include "cluster/topology.hpp"'),
        ("worker/a.cpp", "#include <torch/torch.h>"),
        ("jobs/a.cpp", "#include <vector>"),
        ("jobs/a.cpp", '// the opposite of #include "orchestrator/scheduler.hpp"'),
    ]
    for path, line in wrong:
        assert list(faults_of(path, line)), f"not detected in {path}: {line}"
    for path, line in right:
        assert not list(faults_of(path, line)), f"wrongly detected in {path}: {line}"


def main():
    self_test()
    root = pathlib.Path(os.environ.get("GUDA_SOURCE_DIR", "."))
    faults, files = [], 0
    for room in MAY_INCLUDE:
        for path in sorted((root / room).rglob("*")):
            if path.suffix in {".cpp", ".hpp", ".cu", ".cuh"}:
                files += 1
                faults += faults_of(path.relative_to(root).as_posix(), path.read_text())
    assert files, f"no source files below {root}"
    tracked = subprocess.run(["git", "-C", root, "ls-files"], capture_output=True, text=True)
    if tracked.returncode == 0:  # a tree from an archive has no git
        for entry in sorted({line.split("/")[0] for line in tracked.stdout.splitlines()} - TOP_LEVEL):
            faults.append(f"{entry}: not one of the top-level entries of docs/architecture.md")
    print("\n".join(faults) or f"{files} files keep the arrows")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
