"""Dockerfile, Apptainer definition and modulefile: what can be checked without a container runtime."""
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(os.environ["GUDA_SOURCE_DIR"])
PACKAGING = ROOT / "cmake" / "packaging"
DOCKER = {"FROM", "RUN", "ARG", "ADD", "COPY", "ENV", "WORKDIR", "ENTRYPOINT", "CMD", "LABEL", "USER"}
APPTAINER = {"arguments", "files", "post", "environment", "test", "runscript", "help", "labels"}


def shell_is_sound(script, where):
    done = subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True)
    assert done.returncode == 0, f"{where}: {done.stderr}"


def dockerfile():
    text = re.sub(r"\\\n", " ", (PACKAGING / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    words = [line.split()[0] for line in lines]
    assert set(words) <= DOCKER, set(words) - DOCKER
    assert words[0] == "FROM" and ":" in lines[0] and ":latest" not in lines[0], "the base image has no version"
    for line in lines:
        if line.startswith("RUN"):
            shell_is_sound(line[3:], "Dockerfile RUN")
    assert words.index("ARG") < words.index("ADD"), "TARBALL is used before it is declared"
    assert sum(w == "ENTRYPOINT" for w in words) == 1


def definition():
    text = (PACKAGING / "guda.def").read_text()
    assert text.startswith("Bootstrap: docker\nFrom: debian:12-slim\n")
    sections = dict(re.findall(r"^%(\w+)\n((?:(?!^%).*\n?)*)", text, re.M))
    assert set(sections) <= APPTAINER, set(sections) - APPTAINER
    for name in ("post", "environment", "test", "runscript"):
        shell_is_sound(sections[name], f"guda.def %{name}")
    assert set(re.findall(r"{{ (\w+) }}", text)) == set(re.findall(r"^\s+(\w+)=", sections["arguments"], re.M)), "arguments used and declared differ"


def both_install_what_the_tarball_needs():
    for name in ("Dockerfile", "guda.def"):
        text = (PACKAGING / name).read_text()
        assert "openmpi-bin" in text, f"{name}: the tarball leaves MPI to its target"
        assert "Untested" in text or "untested" in text, f"{name} must say that it was not run"


def modulefile():
    text = (PACKAGING / "modulefile").read_text()
    assert text.startswith("#%Module1.0\n")
    found = [p for p in ("/usr/lib/x86_64-linux-gnu/modulecmd.tcl", "/usr/lib/aarch64-linux-gnu/modulecmd.tcl", "/usr/share/modules/libexec/modulecmd.tcl",
                         "/usr/lib/modules/libexec/modulecmd.tcl") if Path(p).exists()]
    command = found[0] if found else shutil.which("modulecmd.tcl")
    if not command or not shutil.which("tclsh"):
        print("modulefile: not loaded, no Environment Modules here (Debian: environment-modules)")
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder).resolve() / "moved"
        place = home / "share" / "guda" / "modulefiles" / "guda"
        place.mkdir(parents=True)
        shutil.copy(PACKAGING / "modulefile", place / "1.2")
        done = subprocess.run(["tclsh", command, "sh", "load", "guda/1.2"], capture_output=True, text=True,
                              env=os.environ | {"MODULEPATH": str(place.parent), "LOADEDMODULES": "", "_LMFILES_": ""})
        answer = subprocess.run(["sh", "-c", done.stdout + '\necho "$PATH|$GUDA_HOME|$HDF5_USE_FILE_LOCKING"'], capture_output=True, text=True).stdout
        path, root, locking = answer.strip().splitlines()[-1].split("|")
        assert path.split(":")[0] == str(home / "bin") and root == str(home) and locking == "FALSE", (answer, done.stderr)
        print(f"modulefile: loaded by {command}")


if __name__ == "__main__":
    dockerfile()
    definition()
    both_install_what_the_tarball_needs()
    modulefile()
