# shellcheck shell=sh
# The set-up steps of ./run: Debian packages, LibTorch, Python for the tests. Sourced with the tree's root as working
# directory. Each step looks first whether its result is there, so that a second call only looks.

base_packages="build-essential cmake ninja-build ccache pkg-config git libopenmpi-dev openmpi-bin libhdf5-dev
  libyaml-cpp-dev libboost-program-options-dev doctest-dev nlohmann-json3-dev libfmt-dev libxxhash-dev zlib1g-dev
  libutf8proc-dev libpng-dev libjpeg-dev librapidcheck-dev hdf5-tools python3-venv ca-certificates unzip"
browser_packages="chromium fonts-dejavu-core"
# Tests that need them are skipped without: a Slurm of one node, hosts in namespaces, the modulefile.
cluster_packages="slurmctld slurmd slurm-client munge iproute2 util-linux environment-modules"
lint_packages="clang-format-19 clang-tidy-19 shellcheck"

cache=${GUDA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/guda}
torch_version=2.11.0
GUDA_PYTHON=$PWD/.deps/tools/bin/python
GUDA_PARITY_PYTHON=$PWD/.deps/parity/bin/python
export GUDA_PYTHON GUDA_PARITY_PYTHON

now_ms() { echo $(($(date +%s%N) / 1000000)); }
started_ms=$(now_ms)
seconds_since() { awk -v ms="$(($(now_ms) - $1))" 'BEGIN { printf "%.1f s", ms / 1000 }'; }

# step WHAT COMMAND...: says what it does and, afterwards, how long it took
step() {
  what=$1
  shift
  echo "==> $what"
  step_ms=$(now_ms)
  "$@" || {
    status=$?
    echo "run: '$what' failed after $(seconds_since "$step_ms") (exit $status)" >&2
    exit $status
  }
  echo "    $what: $(seconds_since "$step_ms")"
}

summary() { echo "==> ready after $(seconds_since "$started_ms")"; }

cores() { nproc; }

# As many compilers as there are cores and 2 GB of memory each, which is what a file with LibTorch's headers takes.
jobs() {
  if [ -n "${GUDA_JOBS-}" ]; then
    echo "$GUDA_JOBS"
    return
  fi
  limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || echo max)
  awk -v cores="$(cores)" -v limit="$limit" '
    /^MemTotal:/ { memory = $2 / 1048576 }
    END {
      if (limit != "max" && limit / 1073741824 < memory) memory = limit / 1073741824
      n = int(memory / 2 + 0.5)
      if (n > cores) n = cores
      print n < 1 ? 1 : n
    }' /proc/meminfo
}

# ---- Debian packages -------------------------------------------------------------------------------------------------

# missing_packages NAME...: those that dpkg does not know as installed
missing_packages() {
  installed=" $(dpkg-query -W -f '${Package}=${db:Status-Status} ' "$@" 2>/dev/null || true)"
  for package in "$@"; do
    case $installed in
      *" $package=installed "*) ;;
      *) printf '%s ' "$package" ;;
    esac
  done
}

# has_candidate NAME: apt could install a package of that very name; a virtual one, such as Ubuntu's chromium, is none
has_candidate() { LC_ALL=C apt-cache policy "$1" 2>/dev/null | grep -q '^  Candidate: [^(]'; }

# The command prefix that gives the right to install; fails where there is none.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    echo env
  elif command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    echo sudo
  else
    return 1
  fi
}

apt_install() {  # apt_install PREFIX PACKAGES...
  mkdir -p .deps
  prefix=$1
  shift
  {
    "$prefix" apt-get update -q &&
      "$prefix" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
  } </dev/null >.deps/apt.log 2>&1 || {
    status=$?
    tail -n 20 .deps/apt.log >&2
    return $status
  }
}

# install_packages NAME...: 0 if all are there now; 1, having said what an administrator could type, if not
install_packages() {
  command -v dpkg-query >/dev/null 2>&1 || return 1
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  if prefix=$(as_root); then
    # shellcheck disable=SC2086  # a list of words
    step "install Debian packages: $missing" apt_install "$prefix" $missing
    return 0
  fi
  echo "Not installed: $missing" >&2
  echo "No right to install. An administrator can type:" >&2
  echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends $missing" >&2
  return 1
}

setup_packages() {
  # shellcheck disable=SC2086  # a list of words
  install_packages $base_packages && return 0
  echo "==> look for compiler and libraries in PATH, CMAKE_PREFIX_PATH and loaded modules instead"
  probe=$(mktemp -d)
  probe_status=0
  for tool in cmake ninja c++ git mpirun; do
    command -v "$tool" >/dev/null 2>&1 || {
      echo "    missing program: $tool" >&2
      probe_status=3
    }
  done
  if [ $probe_status = 0 ] && ! cmake -S cmake/probe -B "$probe" -G Ninja >"$probe/log" 2>&1; then
    sed -n '/^CMake Error/,/^Call Stack/p' "$probe/log" >&2
    probe_status=3
  fi
  rm -rf "$probe"
  [ $probe_status = 0 ] || {
    echo "run: something is missing and may not be installed from here; docs/install.md, 'Without root'" >&2
    exit 3
  }
  echo "    all found"
}

setup_lint_tools() {
  # shellcheck disable=SC2086  # a list of words
  install_packages $lint_packages || exit 3
}

# ---- Python ----------------------------------------------------------------------------------------------------------

# The system's python3 where it can make virtual environments, else the first one in PATH that can.
find_python() {
  for python in /usr/bin/python3 python3; do
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
      echo "$python"
      return
    fi
  done
  echo "run: no python3 with the modules venv and ensurepip (Debian: python3-venv)" >&2
  return 1
}

stamp_of() { cat "$@" | sha256sum | cut -c 1-16; }

link_dep() {  # link_dep TARGET NAME
  mkdir -p .deps
  if [ "$(readlink ".deps/$2" 2>/dev/null)" != "$1" ]; then
    rm -rf ".deps/$2"
    ln -s "$1" ".deps/$2"
  fi
}

make_venv() {  # make_venv NAME REQUIREMENTS...
  venv=$cache/$1
  stamp=$venv/.guda-$(stamp_of cmake/requirements/tools.txt "$2")
  if [ ! -e "$stamp" ]; then
    python=$(find_python) || return 3
    mkdir -p "$cache" && "$python" -m venv "$venv" &&
      "$venv/bin/python" -m pip install -q --disable-pip-version-check -r "$2" && touch "$stamp"
  fi
}

has_venv() { [ -e "$cache/$1/.guda-$(stamp_of cmake/requirements/tools.txt "$2")" ]; }

# Debian's packages start their daemons where an init system runs: the tests use the programs only.
install_cluster_packages() {
  # shellcheck disable=SC2086  # a list of words
  install_packages $cluster_packages || return 1
  if command -v systemctl >/dev/null 2>&1; then
    for unit in slurmctld slurmd munge; do $(as_root) systemctl disable --now $unit >/dev/null 2>&1 || true; done
  fi
}

# The tests' own Python, and a browser for the report's tests. Tests that lack one are reported as skipped by CTest.
setup_test_tools() {
  # shellcheck disable=SC2086  # a list of words
  if [ -n "$(missing_packages $browser_packages)" ]; then
    if has_candidate chromium; then
      (install_packages $browser_packages) || echo "    no Chromium: the browser tests will be skipped" >&2
    elif ! command -v chromium >/dev/null 2>&1 && ! command -v google-chrome >/dev/null 2>&1; then
      echo "    no Chromium package here (Ubuntu has it as a snap only): the browser tests will be skipped" >&2
    fi
  fi
  # shellcheck disable=SC2086  # a list of words
  if command -v apt-cache >/dev/null 2>&1 && [ -n "$(missing_packages $cluster_packages)" ]; then
    (install_cluster_packages) || echo "    no Slurm of our own: those tests will be skipped" >&2
  fi
  has_venv tools cmake/requirements/tools.txt ||
    (step "Python for tests: h5py, xarray ($cache/tools)" make_venv tools cmake/requirements/tools.txt) ||
    echo "    no Python with h5py and xarray: those tests will be skipped" >&2
  link_dep "$cache/tools" tools
}

# Peers that ./run bench coordinator measures beside us; a missing one is said there.
setup_bench_peers() {
  has_venv tools cmake/requirements/bench.txt ||
    (step "libEnsemble, a peer of the bench ($cache/tools)" make_venv tools cmake/requirements/bench.txt) ||
    echo "    no libEnsemble to measure beside us" >&2
  if command -v apt-cache >/dev/null 2>&1 && [ -n "$(missing_packages python3-mpi4py)" ]; then
    (install_packages python3-mpi4py) || echo "    no mpi4py to measure beside us" >&2
  fi
}

# torch and diffusers from PyPI, 5 GB: only for the tests that compare with the reference implementation.
setup_parity() {
  if has_venv parity cmake/requirements/parity.txt; then
    :
  elif [ "$(uname -m)" != x86_64 ]; then
    echo "    no reference implementation on $(uname -m): the parity tests will be skipped" >&2
  elif mkdir -p "$cache" && [ "$(df -Pk "$cache" | awk 'NR == 2 { print $4 }')" -lt 9000000 ]; then
    echo "    less than 9 GB free in $cache: no reference implementation, the parity tests will be skipped" >&2
  else
    (step "reference implementation: torch, diffusers from PyPI, 5 GB ($cache/parity)" \
      make_venv parity cmake/requirements/parity.txt) ||
      echo "    no reference implementation: the parity tests will be skipped" >&2
  fi
  link_dep "$cache/parity" parity
}

# ---- LibTorch --------------------------------------------------------------------------------------------------------

download_wheels() {  # download_wheels REQUIREMENTS FOLDER
  if [ ! -x "$cache/tools/bin/pip" ]; then
    python=$(find_python) || return 3
    "$python" -m venv "$cache/tools" || return 3
  fi
  "$cache/tools/bin/python" -m pip download -q --disable-pip-version-check --progress-bar off --no-deps \
    --only-binary=:all: --python-version 311 --implementation cp --platform manylinux_2_28_x86_64 \
    --platform manylinux_2_27_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux_2_18_x86_64 \
    --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --require-hashes -r "$1" -d "$2"
}

# unpack_wheels WHEELS FOLDER cpu|cuda: what we compile and link with, and the licences. libtorch_cuda alone is 450 MB.
unpack_wheels() {
  wheels=$1 tree=$2 device=$3
  set -- 'nvidia/*/lib/libcudart.so*' 'nvidia/*/lib/libcupti.so*'
  [ "$device" = cpu ] || set -- 'torch/lib/libtorch_cuda*.so' 'torch/lib/libc10_cuda.so' 'torch/lib/libcaffe2_nvrtc.so' \
    'torch/lib/libtorch_nvshmem.so' 'nvidia/*/lib/*.so*'
  for wheel in "$wheels"/*.whl; do
    unzip -q -o "$wheel" 'torch/include/*' 'torch/lib/libtorch_cpu.so' 'torch/lib/libc10.so' 'torch/lib/libgomp*' \
      '*.dist-info/licenses/*' '*.dist-info/LICENSE*' '*.dist-info/NOTICE*' "$@" -d "$tree" 2>/dev/null
    case $? in
      0 | 11) ;;  # 11: not every pattern is in every wheel
      *) return 1 ;;
    esac
  done
  [ -e "$tree/torch/lib/libtorch_cpu.so" ]
}

# fetch_torch REQUIREMENTS STAMP TARGET cpu|cuda: made beside TARGET and renamed, so that nobody sees half of it
fetch_torch() {
  mkdir -p "$cache" && work=$(mktemp -d "$cache/partial.XXXXXX") || return 1
  trap 'rm -rf "$work"; exit 130' INT TERM
  fetch_status=0
  download_wheels "$1" "$work/wheels" && unpack_wheels "$work/wheels" "$work/tree" "$4" &&
    touch "$work/tree/$2" && { [ ! -e "$3" ] || mv "$3" "$work/old"; } &&
    { mv -T "$work/tree" "$3" 2>/dev/null || [ -e "$3/$2" ]; } || fetch_status=$?
  rm -rf "$work"
  trap - INT TERM
  return $fetch_status
}

setup_torch() {  # setup_torch cpu|cuda: .deps/libtorch or .deps/libtorch-cuda
  torch_link=libtorch
  [ "$1" = cpu ] || torch_link=libtorch-cuda
  if [ -n "${GUDA_TORCH_DIR-}" ]; then
    [ -e "$GUDA_TORCH_DIR/torch/lib/libtorch_cpu.so" ] || {
      echo "run: GUDA_TORCH_DIR=$GUDA_TORCH_DIR has no torch/lib/libtorch_cpu.so" >&2
      exit 3
    }
    link_dep "$GUDA_TORCH_DIR" "$torch_link"
    return
  fi
  if [ "$(uname -m)" != x86_64 ]; then
    echo "run: the pinned LibTorch is for x86_64, this is $(uname -m). What works here: ./run build no-torch (everything" >&2
    echo "     but guda-worker), or GUDA_TORCH_DIR=<the site-packages of a torch $torch_version you installed> ./run build" >&2
    exit 3
  fi
  torch_folder=$cache/libtorch-$torch_version
  torch_list=cmake/requirements/libtorch.txt
  if [ "$1" = cuda ]; then
    torch_folder=$torch_folder-cuda
    torch_list=cmake/requirements/libtorch-cuda.txt
  fi
  torch_stamp=.guda-$(stamp_of cmake/requirements/libtorch.txt "$torch_list")
  [ -e "$torch_folder/$torch_stamp" ] ||
    step "LibTorch $torch_version ($1) from PyPI into $torch_folder" \
      fetch_torch "$torch_list" "$torch_stamp" "$torch_folder" "$1"
  link_dep "$torch_folder" "$torch_link"
}
