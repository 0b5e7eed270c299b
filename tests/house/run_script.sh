#!/bin/sh
# ./run: plain POSIX sh, usage errors, and set-up for somebody who may not install packages. Works on a copy.
set -eu
fail() {
  echo "FAILED: $1" >&2
  exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$GUDA_SOURCE_DIR"
if command -v dash >/dev/null 2>&1; then
  for script in run cmake/*.sh; do dash -n "$script" || fail "dash does not read $script"; done
fi
if command -v shellcheck >/dev/null 2>&1; then
  shellcheck -x -P SCRIPTDIR run cmake/*.sh .ci/run || fail "shellcheck"
fi

# The copy has a fake LibTorch, no rights, and a dpkg that lacks one package.
mkdir -p "$work/tree" "$work/bin" "$work/torch/torch/lib"
cp -r run cmake CMakePresets.json "$work/tree"
touch "$work/torch/torch/lib/libtorch_cpu.so"
cat >"$work/bin/id" <<'EOF'
#!/bin/sh
echo 1000
EOF
cat >"$work/bin/sudo" <<'EOF'
#!/bin/sh
exit 1
EOF
cat >"$work/bin/dpkg-query" <<'EOF'
#!/bin/sh
shift 3
for package; do [ "$package" = libpng-dev ] || printf '%s=installed ' "$package"; done
EOF
cat >"$work/bin/apt-get" <<'EOF'
#!/bin/sh
echo "apt-get was called" >&2
exit 99
EOF
chmod +x "$work"/bin/*
run() { (cd "$work/tree" && PATH="$work/bin:$PATH" HOME="$work" GUDA_CACHE="$work/cache" GUDA_TORCH_DIR="$work/torch" \
  ./run "$@") </dev/null >"$work/out" 2>&1; }
expect() {  # expect STATUS COMMAND...
  expected=$1
  shift
  status=0
  run "$@" || status=$?
  [ "$status" = "$expected" ] || {
    cat "$work/out" >&2
    fail "./run $* exits with $status, not $expected"
  }
}
says() { grep -qF "$1" "$work/out" || { cat "$work/out" >&2; fail "it does not say: $1"; }; }

expect 0 help && says "usage: ./run COMMAND"
expect 2 rebuild && says "no command 'rebuild'"
expect 2 setup --gpu && says "no option '--gpu'"

# Ubuntu's chromium is a virtual package that ends in a snap: nothing to install, and nothing to try again every time.
for answer in '(none)' '1.0-1'; do
  printf '#!/bin/sh\necho "$2:\n  Installed: (none)\n  Candidate: %s"\n' "$answer" >"$work/bin/apt-cache"
  chmod +x "$work/bin/apt-cache"
  found=no
  (cd "$work/tree" && PATH="$work/bin:$PATH" sh -c '. ./cmake/setup.sh && has_candidate chromium') && found=yes
  case $answer/$found in '(none)/no' | 1.0-1/yes) ;; *) fail "candidate $answer: has_candidate says $found" ;; esac
done

# The libraries are there all the same (this very build found them): a command for the administrator, then on we go.
expect 0 setup
says "sudo apt-get update && sudo apt-get install -y --no-install-recommends libpng-dev"
says "all found"
[ "$(readlink "$work/tree/.deps/libtorch")" = "$work/torch" ] || fail "GUDA_TORCH_DIR is not linked as .deps/libtorch"

# One that is really missing: exit 3, by name.
sed -i 's/guda_need(libpng-dev PNG)/guda_need(libpng-dev AbsentLibrary)/' "$work/tree/cmake/GudaDependencies.cmake"
expect 3 setup && says "AbsentLibrary (Debian and Ubuntu: libpng-dev)"
rm "$work/torch/torch/lib/libtorch_cpu.so"
cp cmake/GudaDependencies.cmake "$work/tree/cmake/"
expect 3 setup && says "has no torch/lib/libtorch_cpu.so"
echo "run: usage errors, no rights, missing libraries"
