"""cmake --install to a prefix, load the modulefile from there, and guda answers: what docs/slurm.md tells a newcomer to type.

By Environment Modules where they are installed, and in any case by a Tcl that knows the five commands the modulefile uses.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE, BUILD = Path(os.environ["GUDA_SOURCE_DIR"]), os.environ["GUDA_BUILD_DIR"]
VERSION = (SOURCE / "VERSION").read_text().split()[0]
PLAIN_TCL = """
proc module-whatis args {}
proc conflict args {}
proc prepend-path {name value} { puts "$name='$value':\\$$name; export $name" }
proc setenv {name value} { puts "$name='$value'; export $name" }
set ModulesCurrentModulefile [lindex $argv 0]
source $ModulesCurrentModulefile
"""
PLACES = ["/usr/lib/x86_64-linux-gnu/modulecmd.tcl", "/usr/lib/aarch64-linux-gnu/modulecmd.tcl", "/usr/share/modules/libexec/modulecmd.tcl",
          "/usr/lib/modules/libexec/modulecmd.tcl"]


def answers(how, load, home, environment):
    """Loads in a shell that has nothing of ours, then asks guda."""
    ask = 'command -v guda; guda --version; guda plan "$GUDA_HOME/share/guda/recipes/digits-smoke.yaml" | head -n 1'
    done = subprocess.run(["sh", "-c", f"{load}\n{ask}"], capture_output=True, text=True, env=environment)
    lines = done.stdout.splitlines()
    assert len(lines) == 3 and lines[0] == f"{home}/bin/guda" and VERSION in lines[1] and "10 groups" in lines[2], f"{how}: {load}\n{done.stdout}{done.stderr}"
    print(f"{how}: {lines[1]}")


def main():
    if not shutil.which("tclsh"):
        print("skipped: no tclsh to evaluate the modulefile (Debian: tcl, environment-modules)")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as work:
        home = Path(work).resolve() / "opt" / "guda"
        done = subprocess.run(["cmake", "--install", BUILD, "--prefix", home], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        place = home / "share" / "guda" / "modulefiles"
        modulefile, = (place / "guda").iterdir()
        assert modulefile.name == VERSION, modulefile
        clean = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": work, "LC_ALL": "C.UTF-8"}

        plain = Path(work) / "plain.tcl"
        plain.write_text(PLAIN_TCL)
        load = subprocess.run(["tclsh", plain, modulefile], capture_output=True, text=True, env=clean)
        assert load.returncode == 0, load.stderr
        answers("tclsh", load.stdout, home, clean)

        command = next((p for p in PLACES if Path(p).exists()), shutil.which("modulecmd.tcl"))
        if command:
            load = subprocess.run(["tclsh", command, "sh", "load", "guda"], capture_output=True, text=True, env=clean | {"MODULEPATH": str(place)})
            answers(command, load.stdout, home, clean)
        else:
            print("no Environment Modules here (Debian: environment-modules)")


if __name__ == "__main__":
    main()
