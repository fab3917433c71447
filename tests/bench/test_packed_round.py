#!/usr/bin/env python3
"""The folder that bench/pack_gpu_round.sh makes, tried where nothing is installed: an empty environment and, where the system
allows that, no network. Its CUDA programs are those of the emulated device; bench_cuda is its rehearsal, and the program's CUDA
runs are done on the CPU, for neither has an emulated form.
Usage: test_packed_round.py BUILD"""
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
import json
from pathlib import Path

BUILD = Path(sys.argv.pop()).resolve()
BENCH = Path(__file__).resolve().parents[2] / 'bench'
ON_EVERY_MACHINE = ('linux-vdso', 'ld-linux', 'libc.so', 'libm.so', 'libdl.so', 'librt.so', 'libpthread.so', 'libstdc++', 'libgcc_s')
STEPS = ['ceilings', 'operations', 'augmentation', 'recorded', 'fused', 'oracle', 'subproblems', 'backpropagation', 'products', 'nccl',
         'train-cuda', 'train-cpu']


def without_network():
    tried = subprocess.run(['unshare', '-rn', 'true'], capture_output=True)
    return ['unshare', '-rn'] if tried.returncode == 0 else []


class Packed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        build, cls.packed = cls.folder / 'build', cls.folder / 'away' / 'packed'
        for name, of in (('host/pdadmm', 'host/pdadmm'), ('bench/bench_cuda', 'bench/bench_cuda_rehearsal'), ('bench/bench_ranks', 'bench/bench_ranks'),
                         *((f'tests/{n}', f'tests/emulated_{n}') for n in ('test_operations', 'test_augmentation', 'test_oracle', 'test_subproblems',
                                                                          'test_invariants', 'test_divergence', 'test_backpropagation', 'nccl_check'))):
            (build / name).parent.mkdir(parents=True, exist_ok=True)
            (build / name).symlink_to(BUILD / of)
        (build / 'CMakeCache.txt').symlink_to(BUILD / 'CMakeCache.txt')
        cls.packed.parent.mkdir()
        done = subprocess.run([BENCH / 'pack_gpu_round.sh', cls.packed, '--build', build], capture_output=True, text=True, timeout=120,
                              env={k: v for k, v in os.environ.items() if k != 'PDADMM_DATA'})
        assert done.returncode == 0, done.stdout + done.stderr
        cls.said = done.stdout
        cls.bytes = sum(p.stat().st_size for p in cls.packed.rglob('*') if p.is_file())

    def test_one_small_folder(self):
        self.assertNotIn('left out', self.said)
        self.assertLess(self.bytes, 60 << 20)
        self.assertFalse(any(p.is_symlink() for p in self.packed.rglob('*')))

    def test_brings_every_library_it_needs(self):
        away = self.folder / 'unpacked'
        with tarfile.open(self.packed / 'programs.tar.gz') as archive:
            archive.extractall(away)
        carried = {p.name for p in (away / 'lib').iterdir()}
        for program in sorted((away / 'bin').iterdir()) + sorted((away / 'lib').iterdir()):
            needed = subprocess.run(['objdump', '-p', program], capture_output=True, text=True).stdout
            names = {line.split()[1] for line in needed.splitlines() if line.strip().startswith('NEEDED')}
            missing = {n for n in names if n not in carried and not n.startswith(ON_EVERY_MACHINE)}
            self.assertEqual(missing, set(), program.name)

    def test_dry_run(self):
        tools, out = self.folder / 'tools', self.folder / 'away' / 'out'
        tools.mkdir()
        bash, python = shutil.which('bash'), sys.executable
        card = 'case $* in -L) echo "GPU 0: Pretended Card (UUID: GPU-0)";; *) echo "Pretended Card, 580.00, 141000 MiB";; esac'
        for name, text in (('nvidia-smi', card), ('python3', f'exec {python} "$@"')):
            (tools / name).write_text(f'#!{bash}\n{text}\n')
            (tools / name).chmod(0o755)
        self.stand_in()
        done = subprocess.run([*without_network(), 'env', '-i', f'PATH={tools}:/usr/bin:/bin', self.packed / 'gpu_round.sh', out, '--quick', '--seconds', '280',
                               '--steps', ','.join(STEPS)], cwd=self.packed.parent, capture_output=True, text=True, timeout=300)
        log = (out / 'round.log').read_text() if out.exists() else ''
        self.assertEqual(done.returncode, 0, log[-3000:] + done.stdout + done.stderr)
        round_ = json.loads((out / 'round.json').read_text())
        self.assertEqual({s['step']: s['result'] for s in round_['steps']}, dict.fromkeys([*STEPS, 'accuracy'], 'passed'), log[-3000:])
        cases = {case for s in round_['steps'] for case, state in s['cases'].items() if state == 'OK'}
        self.assertIn('FusedIterations.FollowTheOrdinaryOnes', cases)
        self.assertIn('Backends.InversesAreRecorded', cases)
        self.assertIn('ConjugateGradients.ReachTheClosedForm', cases)

    def stand_in(self):
        """pdadmm with cuda done on the CPU, in the archive."""
        archive, away = self.packed / 'programs.tar.gz', self.folder / 'changed'
        with tarfile.open(archive) as file:
            file.extractall(away)
        (away / 'bin' / 'pdadmm').rename(away / 'bin' / 'program')
        (away / 'bin' / 'pdadmm').write_text('#!/usr/bin/env bash\nexec "$(dirname "$0")/program" "${@/#cuda/cpu}"\n')
        (away / 'bin' / 'pdadmm').chmod(0o755)
        with tarfile.open(archive, 'w') as file:
            for name in ('bin', 'lib'):
                file.add(away / name, name)


if __name__ == '__main__':
    unittest.main()
