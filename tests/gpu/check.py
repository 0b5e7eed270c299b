#!/usr/bin/env python3
"""./run gpu-check: the tests that need a GPU and what the GPU does with our models, as JSON and as a table for docs/performance.md.

usage: check.py BUILD [--seconds S] [--output FILE.json]
Needs nothing but the programs in BUILD and nvidia-smi; 8 minutes at most. Exits with 0 when all tests passed, 1 when one failed,
77 when there is no GPU."""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

TEST_SECONDS, MEASURE_SECONDS, BENCH_SECONDS = 180, 150, 140


def device():
    try:
        said = subprocess.run(["nvidia-smi", "--query-gpu=name,uuid,driver_version,memory.total", "--format=csv,noheader"],
                              capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if said.returncode != 0 or not said.stdout.strip():
        return None
    name, uuid, driver, memory = [field.strip() for field in said.stdout.splitlines()[0].split(",")]
    return {"name": name, "uuid": uuid, "driver": driver, "memory": memory}


def tests(build):
    """Name -> passed | failed | skipped, by running what CTest would, without CTest: a prebuilt tree may lie elsewhere."""
    result, started = {}, time.monotonic()
    program = build / "bin" / "guda_gpu_tests"
    files = sorted(pathlib.Path(__file__).parent.glob("*_test.cpp"))
    for file in files:
        left = TEST_SECONDS - (time.monotonic() - started)
        if left <= 0:
            result[file.stem] = {"state": "not run: out of time"}
            continue
        begin = time.monotonic()
        try:
            said = subprocess.run([program, f"--source-file=*{file.name}"], capture_output=True, text=True, timeout=left)
            state = {0: "passed", 77: "skipped"}.get(said.returncode, "failed")
            output = said.stdout + said.stderr
        except subprocess.TimeoutExpired as stuck:
            state, output = "failed: out of time", str(stuck.stdout)
        result[file.stem] = {"state": state, "seconds": round(time.monotonic() - begin, 1)}
        if state not in ("passed", "skipped"):
            result[file.stem]["output"] = output[-4000:]
        print(f"    gpu.{file.stem}: {state} ({result[file.stem]['seconds']} s)", file=sys.stderr)
    return result


def json_of(command, seconds, environment=None):
    """What a program prints as JSON, or why there is none."""
    try:
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=seconds, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"failed": str(error)}
    if said.returncode != 0:
        return {"failed": f"{command[0]} ended with {said.returncode}: {said.stdout[-500:]}"}
    try:
        return json.loads(said.stdout)
    except json.JSONDecodeError as error:
        return {"failed": f"{command[0]}: {error}"}


def table(report):
    """Markdown for docs/performance.md."""
    lines = [f"{report['device']['name']}, driver {report['device']['driver']} (`./run gpu-check`, guda {report['guda']}):", "",
             "| what | products | batch | as a graph | eager | |", "|---|---|---|---|---|---|"]
    rows = report["measured"].get("rows", [])
    for row in rows:
        if row["deterministic"] or (not row["graph"] and row["batch"] and row["unit"] != "ms"):
            continue
        eager = next((other["value"] for other in rows if other["what"] == row["what"] and other["precision"] == row["precision"]
                      and other["batch"] == row["batch"] and not other["graph"] and not other["deterministic"]), None)
        graph = f"{row['value']:,.1f}" if row["graph"] else ""
        lines.append(f"| {row['what']} | {row['precision']} | {row['batch'] or ''} | {graph} | {eager:,.1f} | {row['unit']} |")
    for row in (row for row in rows if row["deterministic"]):
        free = next(other["value"] for other in rows if other["what"] == row["what"] and other["graph"] and not other["deterministic"]
                    and other["precision"] == row["precision"] and other["batch"] == row["batch"])
        lines.append(f"| {row['what']}, deterministic | {row['precision']} | {row['batch']} | {row['value']:,.1f} ({row['value'] / free:.2f} of it) | | {row['unit']} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--output", type=pathlib.Path)
    options = parser.parse_args()
    build = options.build.resolve()
    card = device()
    rehearsal = os.environ.get("GUDA_TEST_DEVICE") == "cpu"  # to see that all of this runs; measures nothing
    if card is None and not rehearsal:
        print("gpu-check: skipped: nvidia-smi shows no GPU here")
        return 77
    worker = subprocess.run([build / "bin" / "guda-worker", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    report = {"schema": 1, "device": card or {"name": "CPU (rehearsal)", "driver": "none"}, "guda": worker, "tests": tests(build)}
    command = [build / "bin" / "guda_gpu_measure", "--seconds", str(options.seconds)] + (["--small"] if rehearsal else [])
    report["measured"] = json_of(command, MEASURE_SECONDS)
    place = ["--device", "cpu", "--seconds", "5"] if rehearsal else ["--device", "cuda", "--seconds", str(BENCH_SECONDS - 20)]
    report["bench_device"] = json_of([build / "bin" / "guda", "bench-device", *place, "--json", "-", "--no-store"], BENCH_SECONDS)
    output = options.output or build / "gpu-check.json"
    output.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    if "rows" in report["measured"]:
        print(table(report))
    print(f"{output}", file=sys.stderr)
    bad = [name for name, test in report["tests"].items() if test["state"] not in ("passed", "skipped")]
    bad += [name for name in ("measured", "bench_device") if "failed" in report.get(name, {})]
    for name in bad:
        print(f"gpu-check: {name} failed", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
