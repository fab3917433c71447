#!/usr/bin/env bash
# One round on a machine with an NVIDIA GPU: the GPU tests, the sanitizers, the benchmarks, the peers in PyTorch, and real training
# on both backends. Needs no network and no packages where a build is there or was carried (bench/pack_gpu_round.sh).
#   bench/gpu_round.sh [OUT] [--build FOLDER] [--parts tests,sanitizers,bench,peers,training] [--quick] [--seconds S]
# Writes OUT/round.json (figures, versions, what passed, failed or was skipped and why) and OUT/round.log. Exit codes: 0 done,
# 1 a test failed, 2 wrong use, 4 no GPU or nothing to run. OUT is runs/gpu-round, the time 570 seconds, unless given.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")

fail() { printf 'pdadmm: error: gpu_round.sh: %s\n' "$2" >&2; exit "$1"; }
usage() { sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

out=runs/gpu-round build='' parts=tests,sanitizers,bench,peers,training quick='' total=570
while [ $# -gt 0 ]; do
    case $1 in
        --build | --parts | --seconds)
            [ $# -ge 2 ] || fail 2 "$1: no value, expected one"
            case $1 in --build) build=$2 ;; --parts) parts=$2 ;; --seconds) total=$2 ;; esac
            shift 2 ;;
        --quick) quick=--quick; shift ;;
        --help | -h) usage; exit 0 ;;
        -*) fail 2 "option $1: unknown, expected --build, --parts, --quick or --seconds" ;;
        *) out=$1; shift ;;
    esac
done
for part in ${parts//,/ }; do
    case $part in tests | sanitizers | bench | peers | training) ;; *) fail 2 "part $part: unknown, expected tests, sanitizers, bench, peers or training" ;; esac
done

command -v python3 >/dev/null || fail 4 "python3: not found, expected it (it writes round.json); install python3"
gpus=$(nvidia-smi -L 2>/dev/null) && [ -n "$gpus" ] || fail 4 "no GPU: nvidia-smi -L shows none, expected an NVIDIA GPU and its driver; run this on such a machine"

# A carried folder holds bin/ and lib.tar.gz; a build folder keeps its own layout.
find_build() {
    local folder
    for folder in ${build:+"$build"} "$root/gpu-round" "$root/build/cuda"; do
        if [ -x "$folder/bin/pdadmm" ] || [ -x "$folder/host/pdadmm" ]; then build=$(cd "$folder" && pwd); return; fi
        [ -z "$build" ] || fail 4 "$build: no pdadmm in it, expected a build or a carried folder"
    done
    command -v cmake >/dev/null && command -v nvcc >/dev/null ||
        fail 4 "no build: neither gpu-round/ nor build/cuda/ holds pdadmm, expected one; build with cmake --preset cuda, or carry what bench/pack_gpu_round.sh packs"
    printf '==> building preset cuda\n'
    (cd "$root" && cmake --preset cuda && cmake --build build/cuda -j "$(nproc)") >"$work/build.log" 2>&1 ||
        { tail -n 5 "$work/build.log" >&2; fail 4 "build: preset cuda does not build here, expected CUDA 13 and the packages of the README; or carry what bench/pack_gpu_round.sh packs"; }
    build=$root/build/cuda
}
program() { # NAME: its path in the build, or nothing
    local folder
    for folder in bin host bench tests; do
        if [ -x "$build/$folder/$1" ] && [ -f "$build/$folder/$1" ]; then echo "$build/$folder/$1"; return; fi
    done
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
find_build
mkdir -p "$out" && out=$(cd "$out" && pwd) || fail 5 "$out: cannot be made, expected a folder that can be written"
log=$out/round.log
: >"$log"
[ ! -f "$build/lib.tar.gz" ] || tar -xzf "$build/lib.tar.gz" -C "$work" || fail 4 "$build/lib.tar.gz: cannot be unpacked, expected what bench/pack_gpu_round.sh made"
# Our programs: carried libraries first, then the toolkit's, which need not be on the loader's path, then those that pip brought.
# Python runs without these: PyTorch has its own.
toolkit=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)")")")
from_pip=$(python3 -c 'import glob, sys; print(":".join(p for s in sys.path if s for p in glob.glob(s + "/nvidia/*/lib")))' 2>/dev/null)
python=(env LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}" python3)
export LD_LIBRARY_PATH="$work/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}:$toolkit/lib64:$toolkit/lib:$toolkit/targets/x86_64-linux/lib${from_pip:+:$from_pip}"
export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

say() { printf '\n==> %s\n' "$*" | tee -a "$log"; }
note() { printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" >>"$work/$part.tsv"; }  # step, passed|failed|skipped, seconds, why

# step NAME COMMAND...: runs it in what is left of the part's time; its output goes to the log and to $work/NAME.out.
step() {
    local name=$1 left=$((part_end - SECONDS)) began=$SECONDS code
    shift
    if [ "$left" -le 1 ]; then note "$name" skipped 0 "no time left in this part"; return 124; fi
    printf '\n--- %s: %s\n' "$name" "$*" >>"$log"
    timeout --kill-after=5 "$left" "$@" >"$work/$name.out" 2>"$work/$name.err"
    code=$?
    cat "$work/$name.out" "$work/$name.err" >>"$log"
    step_seconds=$((SECONDS - began))
    return "$code"
}
# judge NAME CODE: passed, skipped (77) or failed, with the last line of its error output as the reason.
judge() {
    local why
    [ "${step_seconds:-}" ] || return 0 # the step was not begun
    why=$(grep -v '^[[:space:]]*$' "$work/$1.err" | tail -n 1 | tr '\t' ' ' | cut -c1-300)
    case $2 in
        0) note "$1" passed "$step_seconds" '' ;;
        77) note "$1" skipped "$step_seconds" "$why" ;;
        124 | 137) note "$1" failed "$step_seconds" "ran past the time of its part" ;;
        *) note "$1" failed "$step_seconds" "exit code $2: ${why:-$(tail -n 1 "$work/$1.out" | cut -c1-300)}" ;;
    esac
    printf '%s: %s\n' "$1" "$(tail -n 1 "$work/$part.tsv" | cut -f2- | tr '\t' ' ')" | tee -a "$log"
    step_seconds=
}

# gtest NAME BINARY FILTER: cases that were skipped for want of a device, or all of them, have not passed.
gtest() {
    local path code ran deviceless
    path=$(program "$2")
    [ "$path" ] || { note "$1" skipped 0 "$2 is not in the build"; return; }
    step "$1" "$path" --gtest_filter="$3"
    code=$?
    ran=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) tests\{0,1\}.*/\1/p' "$work/$1.out" 2>/dev/null)
    deviceless=$(grep -A1 ': Skipped$' "$work/$1.out" 2>/dev/null | grep -m1 '^CUDA')
    if [ "$code" -eq 0 ] && { [ "${ran:-0}" -eq 0 ] || [ "$deviceless" ]; }; then
        echo "${ran:-0} cases ran: ${deviceless:-no case of that name}" >>"$work/$1.err"
        code=1
    fi
    judge "$1" "$code"
}

run_tests() {
    gtest test_operations test_operations '*/cuda*'
    export PDADMM_TEST_BACKEND=cuda
    [ ! -d "$build/oracle" ] || export PDADMM_ORACLE="$build/oracle"
    [ -d "$build/oracle" ] || export PDADMM_ORACLE="$root/tests/oracle"
    local name
    for name in test_oracle test_subproblems test_invariants test_divergence; do gtest "$name" "$name" '*'; done
    unset PDADMM_TEST_BACKEND PDADMM_ORACLE
    local check
    check=$(program nccl_check)
    [ "$check" ] || { note nccl skipped 0 "nccl_check is not in the build"; return; }
    step nccl "${python[@]}" "$root/tests/ranks/test_nccl.py" "$check" schedule 2
    judge nccl $?
}

run_sanitizers() {
    local tool path sanitizer
    path=$(program test_operations)
    sanitizer=$(command -v compute-sanitizer || { [ -x "$toolkit/bin/compute-sanitizer" ] && echo "$toolkit/bin/compute-sanitizer"; })
    [ "$sanitizer" ] || { note sanitizers skipped 0 "compute-sanitizer is not installed"; return; }
    [ "$path" ] || { note sanitizers skipped 0 "test_operations is not in the build"; return; }
    export PDADMM_TEST_SHAPES=n17_m13_N33_batch4,n5_m3_N700_batch1 # several layers, and more nodes than a block
    for tool in memcheck racecheck initcheck; do
        step "$tool" "$sanitizer" --tool "$tool" --error-exitcode 9 "$path" --gtest_filter='*AgreeWithFloat64*/cuda'
        local code=$?
        if grep -q 'Device not supported' "$work/$tool.out" 2>/dev/null; then
            note "$tool" skipped "${step_seconds:-0}" "compute-sanitizer: device not supported on this machine"
            step_seconds=
            continue
        fi
        judge "$tool" "$code"
    done
    unset PDADMM_TEST_SHAPES
}

run_bench() {
    local path commit
    path=$(program bench_cuda)
    [ "$path" ] || { note bench_cuda skipped 0 "bench_cuda is not in the build"; return; }
    commit=$(cat "$build/commit" 2>/dev/null || git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)
    step bench_cuda "$path" $quick --json "$work/bench.json" --commit "$commit" --seconds "$(((part_end - SECONDS) * 4 / 5))"
    local code=$?
    cat "$work/bench_cuda.out"
    judge bench_cuda "$code"
    path=$(program bench_ranks)
    [ "$path" ] || { note bench_ranks skipped 0 "bench_ranks is not in the build"; return; }
    step bench_ranks "$path" --backend cuda --math tf32 --layers 16 --hidden 4000 --inputs 500 --classes 7 --nodes 44625 --quantize pq --ranks 1,8,16 --rounds 3
    judge bench_ranks $?
    cp "$work/bench_ranks.out" "$out/ranks.jsonl" # for bench/rank_model.py
}

peer() { # NAME SCRIPT OPTION...: its answer to $work/NAME.json
    local name=$1
    shift
    step "$name" "${python[@]}" "$here/peers/$1" "${@:2}"
    local code=$?
    [ "$code" -ne 0 ] || tail -n 1 "$work/$name.out" >"$work/$name.json"
    judge "$name" "$code"
}
run_peers() {
    local large='--layers 16 --hidden 4000 --inputs 2500 --nodes 44625'
    [ -z "$quick" ] || large='--layers 5 --hidden 48 --inputs 60 --nodes 400'
    peer peer-paper-cora paper_admm.py --seconds 5
    peer peer-adam adam_mlp.py --seconds 16
    peer peer-spmm spmm.py ${quick:+--graphs Flickr}
    # shellcheck disable=SC2086
    peer peer-paper-large paper_admm.py $large --seconds 15
}

run_training() {
    local path graphs='' name backend
    path=$(program pdadmm)
    [ ! -d "$build/data" ] || export PDADMM_DATA="$build/data${PDADMM_DATA:+:$PDADMM_DATA}"
    if [ "${PDADMM_DATA:-}" ]; then
        for name in cora photo computers; do ! "$path" info --dataset "$name" >/dev/null 2>&1 || graphs="$graphs $name"; done
    fi
    [ -z "$quick" ] || graphs=sbm
    for name in ${graphs:-sbm}; do
        for backend in cpu cuda; do
            step "train-$name-$backend" "$path" train --dataset "$name" --backend "$backend" --seeds 2 --eval-every 100 --quiet --no-cache --overwrite \
                ${quick:+--grow 2,5 --layers 5 --epochs 20} --out "$work/run-$name-$backend"
            judge "train-$name-$backend" $?
        done
    done
}

{
    printf '%s\n' "$gpus"
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
} >"$work/gpu.txt" 2>&1
tee -a "$log" <"$work/gpu.txt"
round_end=$((SECONDS + total))
declare -A budget=([tests]=120 [sanitizers]=80 [bench]=190 [peers]=110 [training]=60)
step_seconds=
for part in ${parts//,/ }; do
    say "$part"
    part_end=$((SECONDS + ${budget[$part]}))
    [ "$part_end" -lt "$round_end" ] || part_end=$round_end
    "run_$part"
done
"${python[@]}" "$here/round_report.py" "$work" "$out/round.json" "$parts" | tee -a "$log"
exit "${PIPESTATUS[0]}"
