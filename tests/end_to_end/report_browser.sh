#!/bin/sh
# report_browser.sh PROGRAM: writes the sample report with PROGRAM and opens it in headless Chromium.
set -eu
program=$1
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null 2>&1 || { echo "SKIPPED: python3 is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
"$program" "$work/report.html"
python3 "$here/report_browser.py" "$work/report.html"
