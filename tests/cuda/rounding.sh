#!/bin/sh
# The GPU rounds noise as a CPU does: what nvcc makes of the kernels has no fused multiply-add, no flush to zero and no
# approximate square root, division or logarithm.
set -eu
nvcc=$(command -v nvcc || echo "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc")
[ -x "$nvcc" ] || {
  echo "skipped: no nvcc"
  exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for kernel in noise optimizer; do
  "$nvcc" -std=c++20 -O3 -fmad=false --expt-relaxed-constexpr -arch=compute_90 -I"$GUDA_SOURCE_DIR" -ptx \
    "$GUDA_SOURCE_DIR/worker/cuda/$kernel.cu" -o "$work/$kernel.ptx"
  grep -q 'sqrt.rn.f32' "$work/$kernel.ptx"
  grep -q 'mul.rn.f32' "$work/$kernel.ptx" || grep -q 'mul.f32' "$work/$kernel.ptx"
  if grep -nE '\b(fma|mad)\.(rn\.)?f(32|64)|\.ftz|\.approx' "$work/$kernel.ptx"; then
    echo "$kernel.cu: rounds otherwise than the CPU (lines of its PTX above)"
    exit 1
  fi
done
grep -c 'mul.rn.f32' "$work/noise.ptx"
