#!/usr/bin/env bash
# Gathers what bench/gpu_round.sh needs on a machine that has a GPU and the CUDA toolkit, but no compiler packages and no network:
# stripped programs for any x86-64 processor with the libraries they need, worked examples and graphs.
#   bench/pack_gpu_round.sh [FOLDER] [--build FOLDER] [--data FOLDER]
# FOLDER is gpu-round (git ignores it), which gpu_round.sh finds by itself. Builds build/gpu-round unless a build is given. CUDA's own
# libraries stay behind: both machines need the same major version; NCCL is left out, since few toolkits bring it. Graphs: *.npz of data/bundles (data/prepare.py writes there), then
# of --data or PDADMM_DATA, the smallest first, as far as they fit in 56 MiB in all.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
limit_kib=$((56 * 1024))
fail() { printf 'pdadmm: error: pack_gpu_round.sh: %s\n' "$2" >&2; exit "$1"; }

folder=$root/gpu-round build='' data=''
while [ $# -gt 0 ]; do
    case $1 in
        --build | --data)
            [ $# -ge 2 ] || fail 2 "$1: no value, expected a folder"
            case $1 in --build) build=$2 ;; --data) data=$2 ;; esac
            shift 2 ;;
        -*) fail 2 "option $1: unknown, expected --build or --data" ;;
        *) folder=$1; shift ;;
    esac
done

programs=(host/pdadmm bench/bench_cuda bench/bench_ranks tests/test_operations tests/test_oracle tests/test_subproblems tests/test_invariants tests/test_divergence)
if [ -z "$build" ]; then
    build=$root/build/gpu-round
    (cd "$root" && cmake --preset cuda -B "$build" -DPDADMM_NATIVE=OFF -DPDADMM_NCCL=OFF >/dev/null)
    cmake --build "$build" -j "${JOBS:-$(nproc)}" --target "${programs[@]##*/}"
fi

if [ -e "$folder" ] && [ ! -e "$folder/commit" ]; then fail 2 "$folder: there, and not made by this script; name another folder"; fi
rm -rf "$folder"
mkdir -p "$folder/bin" "$folder/lib" "$folder/data" "$folder/oracle"
git -C "$root" rev-parse HEAD >"$folder/commit" 2>/dev/null || echo unknown >"$folder/commit"
for program in "${programs[@]}"; do
    [ -x "$build/$program" ] || { printf 'not in the build, left out: %s\n' "$program"; continue; }
    strip -o "$folder/bin/${program##*/}" "$build/$program"
done
[ -x "$folder/bin/pdadmm" ] || fail 4 "$build: no host/pdadmm, expected a build; cmake --preset cuda && cmake --build build/cuda"

# BLAS is loaded by name when the program runs; Debian's OpenBLAS is smaller than the one that ./run fetches.
blas=$(sed -n 's/^OPENBLAS_LIBRARY:[A-Z]*=//p' "$build/CMakeCache.txt")
[ -e "$blas" ] || fail 4 "$build: built without OpenBLAS on this machine, expected libopenblas0-openmp; install it and configure anew"
cp -L "$blas" "$folder/lib/libopenblas.so.0"

# The C and C++ run-time libraries are every machine's own (a newer one runs older programs), CUDA's are the toolkit's.
ldd "$folder"/bin/* "$folder/lib/libopenblas.so.0" | awk '/=> \// {print $3}' | sort -u | while read -r library; do
    case ${library##*/} in
        libc.so* | libm.so* | libdl.so* | librt.so* | libpthread.so* | libstdc++.so* | libgcc_s.so* | ld-linux*) ;;
        libcu* | libnv*) ;;
        *) cp -L "$library" "$folder/lib/" ;;
    esac
done
tar -czf "$folder/lib.tar.gz" -C "$folder" lib
rm -rf "${folder:?}/lib"
cp "$root"/tests/oracle/*.json "$folder/oracle/"

size_kib() { du -sk "$folder" | cut -f1; }
shopt -s nullglob
IFS=: read -ra sources <<<"$root/data/bundles:${data:-${PDADMM_DATA:-}}"
for source in "${sources[@]}"; do
    files=(${source:+"$source"/*.npz "$source"/npz/*.npz})
    [ ${#files[@]} -gt 0 ] || continue
    # shellcheck disable=SC2012 # sizes, and names that are ours
    ls -SrL "${files[@]}" | while read -r file; do
        [ ! -e "$folder/data/${file##*/}" ] || continue
        if [ $(($(size_kib) + $(du -skL "$file" | cut -f1))) -gt "$limit_kib" ]; then
            printf 'no room left for %s\n' "$file"
        else
            cp -L "$file" "$folder/data/"
            chmod u+w "$folder/data/${file##*/}"
        fi
    done
done
[ "$(size_kib)" -le "$limit_kib" ] || fail 5 "$folder: $(($(size_kib) / 1024)) MiB, expected at most $((limit_kib / 1024))"
printf '%s: %s MiB; on the GPU machine: bench/gpu_round.sh OUT\n' "$folder" "$(($(size_kib) / 1024))"
