#!/usr/bin/env bash
# One round on a machine with an NVIDIA GPU: bench/gpu_round.sh --help says how. It needs Python 3 alone.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v python3 >/dev/null ||
    { printf 'pdadmm: error: gpu_round.sh: python3: not found, expected it (it runs the steps); install python3\n' >&2; exit 4; }
exec python3 "$here/round" "$@"
