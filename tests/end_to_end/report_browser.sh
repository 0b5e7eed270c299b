#!/bin/sh
# Writes the sample report and opens it in headless Chromium.
set -eu
program=$GUDA_BIN_DIR/guda_sample_report
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null 2>&1 || { echo "SKIPPED: python3 is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
"$program" "$work/report.html"
python3 "$here/../support/browse_report.py" "$work/report.html"
