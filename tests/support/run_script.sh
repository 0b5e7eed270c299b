#!/bin/sh
# usage: run_script.sh system|tools|parity SCRIPT
# Runs a test script; a Python test whose Python is not there is skipped (exit 77), and says so.
set -eu
python=python3
case $1 in
  tools) python=$GUDA_PYTHON ;;
  parity) python=$GUDA_PARITY_PYTHON ;;
esac
case $2 in
  *.sh) exec sh "$2" ;;
esac
command -v "$python" >/dev/null 2>&1 || {
  echo "skipped: no $python (./run test makes it where PyPI can be reached)"
  exit 77
}
exec "$python" "$2"
