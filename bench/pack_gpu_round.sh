#!/usr/bin/env bash
# Packs a round on a GPU (bench/gpu_round.sh) into one folder below 64 MiB, which runs where there are Python, CUDA's run-time
# libraries (a toolkit's, or those that PyTorch brings) and no network: stripped programs for any x86-64 processor with the
# libraries they need, the round's own scripts, worked examples and graphs.
#   bench/pack_gpu_round.sh [FOLDER] [--build FOLDER] [--data FOLDER]
#   FOLDER/gpu_round.sh OUT                       # there
# FOLDER is gpu-round (git ignores it). Builds build/gpu-round unless a build is given. CUDA's own libraries and NCCL stay
# behind: both machines need the same major version. Graphs: *.npz of data/bundles (data/prepare.py writes there), then of
# --data or PDADMM_DATA, the smallest first, as far as they fit.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
limit_kib=$((60 * 1024)) graphs_kib=$((42 * 1024)) # the folder; up to where graphs fill it: a checkout may travel with it
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

programs=(host/pdadmm bench/bench_cuda bench/bench_ranks tests/nccl_check)
for name in operations augmentation oracle subproblems invariants divergence backpropagation; do programs+=("tests/test_$name"); done
if [ -z "$build" ]; then
    build=$root/build/gpu-round
    (cd "$root" && cmake --preset cuda -B "$build" -DPDADMM_NATIVE=OFF -DPDADMM_MPI=OFF -DPDADMM_NCCL=ON >/dev/null)
    cmake --build "$build" -j "${JOBS:-$(nproc)}" --target "${programs[@]##*/}"
fi

if [ -e "$folder" ] && [ ! -e "$folder/commit" ]; then fail 2 "$folder: there, and not made by this script; name another folder"; fi
rm -rf "$folder"
mkdir -p "$folder/data" "$folder/oracle"
git -C "$root" rev-parse HEAD >"$folder/commit" 2>/dev/null || echo unknown >"$folder/commit"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/lib"
for program in "${programs[@]}"; do
    [ -x "$build/$program" ] || { printf 'not in the build, left out: %s\n' "$program"; continue; }
    strip -o "$work/bin/${program##*/}" "$build/$program"
done
[ -x "$work/bin/pdadmm" ] || fail 4 "$build: no host/pdadmm, expected a build; cmake --preset cuda && cmake --build build/cuda"

# BLAS is loaded by name when the program runs; Debian's OpenBLAS is smaller than the one that ./run fetches.
blas=$(sed -n 's/^OPENBLAS_LIBRARY:[A-Z]*=//p' "$build/CMakeCache.txt")
[ -e "$blas" ] || fail 4 "$build: built without OpenBLAS on this machine, expected libopenblas0-openmp; install it and configure anew"
cp -L "$blas" "$work/lib/libopenblas.so.0"

# The C and C++ run-time libraries are every machine's own (a newer one runs older programs); CUDA's and NCCL are the card's.
ldd "$work"/bin/* "$work/lib/libopenblas.so.0" | awk '/=> \// {print $3}' | sort -u | while read -r library; do
    case ${library##*/} in
        libc.so* | libm.so* | libdl.so* | librt.so* | libpthread.so* | libstdc++.so* | libgcc_s.so* | ld-linux*) ;;
        libcu* | libnv* | libnccl*) ;;
        *) cp -L "$library" "$work/lib/" ;;
    esac
done
tar -czf "$folder/programs.tar.gz" -C "$work" bin lib
cp "$root"/tests/oracle/*.json "$folder/oracle/"
cp "$root/bench/gpu_round.sh" "$root/bench/round_table.py" "$root/tests/ranks/test_nccl.py" "$root/tests/support/seed.py" "$folder/"
mkdir "$folder/round" "$folder/peers"
cp "$root"/bench/round/*.py "$folder/round/"
cp "$root"/bench/peers/*.py "$folder/peers/"

size_kib() { du -sk "$folder" | cut -f1; }
shopt -s nullglob
IFS=: read -ra sources <<<"$root/data/bundles:${data:-${PDADMM_DATA:-}}"
for source in "${sources[@]}"; do
    files=(${source:+"$source"/*.npz "$source"/npz/*.npz})
    [ ${#files[@]} -gt 0 ] || continue
    # shellcheck disable=SC2012 # sizes, and names that are ours
    ls -SrL "${files[@]}" | while read -r file; do
        [ ! -e "$folder/data/${file##*/}" ] || continue
        if [ $(($(size_kib) + $(du -skL "$file" | cut -f1))) -gt "$graphs_kib" ]; then
            printf 'no room left for %s\n' "$file"
        else
            cp -L "$file" "$folder/data/"
            chmod u+w "$folder/data/${file##*/}"
        fi
    done
done
[ "$(size_kib)" -le "$limit_kib" ] || fail 5 "$folder: $(($(size_kib) / 1024)) MiB, expected at most $((limit_kib / 1024))"
printf '%s: %s MiB; on the GPU machine: %s/gpu_round.sh OUT\n' "$folder" "$(($(size_kib) / 1024))" "$folder"
