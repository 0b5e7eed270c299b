#!/bin/sh
# usage: package.sh BUILD_FOLDER
# Packs an installation of a build into build/guda-<version>-<arch>.tar.gz. It runs from wherever it is unpacked, on a
# machine with the same or a newer glibc and an Open MPI 4.1.
set -eu
build=$1
name=guda-$(head -n 1 VERSION)-$(uname -m)
work=$(mktemp -d build/package.XXXXXX)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/$name" --strip >"$work/install.log" || {
  cat "$work/install.log" >&2
  exit 1
}
# Sorted, owned by root and dated by the last commit: the same build gives the same archive.
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)" \
  -czf "build/$name.tar.gz.partial" "$name"
mv "build/$name.tar.gz.partial" "build/$name.tar.gz"
echo "    build/$name.tar.gz ($(du -h "build/$name.tar.gz" | cut -f 1))"
