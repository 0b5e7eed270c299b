#!/bin/sh
# Installs the build, moves the installation, and runs the smoke recipe from it with nothing of the build tree in reach:
# what `./run package` packs works wherever it is unpacked.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "FAILED: $1" >&2
  exit 1
}

cmake --install "$GUDA_BUILD_DIR" --prefix "$work/first" >"$work/install.log" || {
  cat "$work/install.log"
  fail "cmake --install"
}
mv "$work/first" "$work/moved"
moved=$work/moved

# Only the moved folder and the system: no variable of ours, no library from the build, the clone or the cache.
clean() {
  env -i PATH="$moved/bin:/usr/local/bin:/usr/bin:/bin" HOME="$work" LC_ALL=C.UTF-8 \
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none "$@"
}
for program in "$moved"/bin/*; do
  clean ldd "$program" >"$work/ldd"
  if grep -E 'not found' "$work/ldd"; then fail "$program misses shared objects"; fi
  if grep -F -e "$GUDA_BUILD_DIR" -e "$GUDA_SOURCE_DIR" -e .deps -e libtorch-2 "$work/ldd"; then
    fail "$program reaches back into the build"
  fi
  if readelf -d "$program" | grep -E 'R(UN)?PATH' | grep -vF "[\$ORIGIN/../lib/guda]"; then
    fail "$program has a search path besides \$ORIGIN/../lib/guda"
  fi
done

version=$(head -n 1 "$GUDA_SOURCE_DIR/VERSION")
for program in guda guda-worker; do
  clean "$program" --version >"$work/version" || fail "$program --version"
  grep -qF "$version" "$work/version" || fail "$program --version does not say $version"
done

clean guda run "$moved/share/guda/recipes/digits-smoke.yaml" --run-dir "$work/run" </dev/null >"$work/log" 2>&1 || {
  tail -n 40 "$work/log"
  fail "the smoke recipe"
}
[ -s "$work/run/results.h5" ] || fail "no results.h5"
echo "moved installation: $(du -sh "$moved" | cut -f 1), smoke recipe done"
