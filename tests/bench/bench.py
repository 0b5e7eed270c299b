"""Speed of guda: every row compares a measured value with a bound, or with a peer whose runs alternate with ours.

usage: ./run bench [--repeat N] [--scale S] [--fresh] [--check | --record] [ROW...]

Medians of interleaved runs, so that a machine that slows down meanwhile slows both sides. The numbers go to
build/bench/<row>.json and a table to the terminal. A missed bound exits 1. A row is a file in tests/bench/rows/.
--check compares ratios with the committed ones, tests/bench/ratios.json, instead of with the bounds: 10 % slower exits 1.
"""

import argparse
import importlib
import json
import os
import pathlib
import platform
import sys

import regression
from measure import BENCH, ROOT, Options

ROWS = sorted(file.stem.replace("_", "-") for file in (pathlib.Path(__file__).parent / "rows").glob("*.py"))


def module_of(row):
    return importlib.import_module("rows." + row.replace("-", "_"))


def cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def print_table(results):
    print(f"\n{'row':44}{'value':>12}{'against':>26}{'ratio':>8}")
    for result in results:
        against = f"bound {result['bound']:g} {result['unit']}" if "bound" in result else ""
        if "reference" in result:
            against = f"{result['reference']} {result['reference_value']:.3g} {result['unit']}"
        ratio = f"{result['ratio']:.2f}" if "ratio" in result else ""
        print(f"{result['name']:44}{result['value']:>8.3g} {result['unit']:3}{against:>26}{ratio:>8}")


def main():
    listing = "rows:\n" + "\n".join(f"  {name:16} {module_of(name).__doc__.splitlines()[0]}" for name in ROWS)
    parser = argparse.ArgumentParser(description=__doc__, epilog=listing, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="default: all")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each side (default 3)")
    parser.add_argument("--scale", type=float, default=0.1, help="digits, overhead: share of the experiment's steps and timesteps (default 0.1)")
    parser.add_argument("--fresh", action="store_true", help="digits: forget the runs of an interrupted measurement instead of going on")
    verdict = parser.add_mutually_exclusive_group()
    verdict.add_argument("--check", action="store_true", help="compare with the committed ratios")
    verdict.add_argument("--record", action="store_true", help="make these the committed ratios (tests/bench/ratios.json)")
    options = parser.parse_args()
    unknown = set(options.rows) - set(ROWS)
    if unknown:
        parser.error(f"no row named {', '.join(sorted(unknown))}; there are: {', '.join(ROWS)}")

    machine = {"cores": os.cpu_count(), "cpu": cpu_model(), "system": platform.platform()}
    BENCH.mkdir(parents=True, exist_ok=True)
    results, skipped = [], []
    for name in options.rows or ROWS:
        print(f"==> {name}", flush=True)
        try:
            rows = module_of(name).measure(Options(options.repeat, options.scale, options.fresh))
        except FileNotFoundError as missing:
            skipped.append(f"{name}: not measured: {missing}")
            continue
        (BENCH / f"{name}.json").write_text(json.dumps({"schema": 1, "machine": machine, "rows": rows}, indent=1) + "\n")
        results += rows
    print_table(results)
    for line in skipped:
        print(line)
    print(f"\n{BENCH.relative_to(ROOT)}/*.json; {machine['cores']} x {machine['cpu']}, load {os.getloadavg()[0]:.1f}")
    if options.record:
        regression.record(results, machine)
        print(f"{regression.FILE.relative_to(ROOT)} has the ratios of these rows")
    if options.check:
        known = regression.committed()
        slower, new = regression.regressions(results, known)
        print(f"\nagainst {regression.FILE.relative_to(ROOT)}, of {known['machine']['cores']} x {known['machine']['cpu']}, {100 * known['tolerance']:.0f} % allowed:")
        print("\n".join(slower + new) or "nothing is slower")
        return 1 if skipped or slower else 0
    return 1 if skipped or any("bound" in r and r["ratio"] > 1 for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
