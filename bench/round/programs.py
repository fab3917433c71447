"""Where the programs of a round are, what they need to run, and the command of each step."""

import functools
import glob
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

HERE = pathlib.Path(__file__).resolve().parent.parent  # bench/, or the packed folder
ROOT = HERE.parent
FOLDERS = ('bin', 'host', 'bench', 'tests')
PACKED = 'programs.tar.gz'


class Missing(Exception):
    """What a round or a step cannot do without, in one line."""


def holds_programs(folder):
    return (folder / PACKED).exists() or any((folder / name / 'pdadmm').is_file() for name in FOLDERS)


def build_here(log):
    if not (ROOT / 'CMakePresets.json').exists() or not (shutil.which('cmake') and shutil.which('nvcc')):
        raise Missing('no build: neither gpu-round/ nor build/cuda/ holds pdadmm, expected one; build with '
                      'cmake --preset cuda, or carry what bench/pack_gpu_round.sh packs')
    print('==> building preset cuda', flush=True)
    for command in (['cmake', '--preset', 'cuda'], ['cmake', '--build', 'build/cuda', '-j', str(os.cpu_count())]):
        if subprocess.run(command, cwd=ROOT, stdout=log, stderr=log).returncode != 0:
            raise Missing('build: preset cuda does not build here, expected CUDA 13 and the packages of cuda/README.md; '
                          'see round.log, or carry what bench/pack_gpu_round.sh packs')
    return ROOT / 'build' / 'cuda'


def find_build(given, log):
    """A folder of programs: the one given, the packed one, or a build."""
    if given:
        if not holds_programs(pathlib.Path(given)):
            raise Missing(f'{given}: no pdadmm in it, expected a build or a packed folder')
        return pathlib.Path(given).resolve()
    for folder in (HERE, ROOT / 'gpu-round', ROOT / 'build' / 'cuda'):
        if holds_programs(folder):
            return folder
    return build_here(log)


class Programs:
    def __init__(self, build, work, quick):
        self.build, self.work, self.quick, self.folder = build, work, quick, build
        if (build / PACKED).exists():
            self.folder = work / 'programs'
            with tarfile.open(build / PACKED) as archive:
                archive.extractall(self.folder)
        nvcc = shutil.which('nvcc')
        self.toolkit = pathlib.Path(os.path.realpath(nvcc)).parent.parent if nvcc else pathlib.Path('/usr/local/cuda')
        try:
            self.commit = (build / 'commit').read_text().strip()
        except OSError:
            found = subprocess.run(['git', '-C', ROOT, 'rev-parse', 'HEAD'], capture_output=True, text=True)
            self.commit = found.stdout.strip() or 'unknown'

    def environment(self):
        """Carried libraries first, then the toolkit's, which need not be on the loader's path, then those of pip."""
        t = self.toolkit
        pip = [p for folder in sys.path if folder for p in glob.glob(f'{folder}/nvidia/*/lib')]
        own = [str(p) for p in (self.folder / 'lib',) if p.exists()]
        before = [p for p in os.environ.get('LD_LIBRARY_PATH', '').split(':') if p]
        paths = own + before + [str(p) for p in (t / 'lib64', t / 'lib', t / 'targets' / 'x86_64-linux' / 'lib')] + pip
        oracle, data = self.build / 'oracle', self.build / 'data'
        found = {'LD_LIBRARY_PATH': ':'.join(paths),
                 'PDADMM_ORACLE': str(oracle if oracle.exists() else ROOT / 'tests' / 'oracle')}
        if data.exists():
            found['PDADMM_DATA'] = ':'.join(p for p in (str(data), os.environ.get('PDADMM_DATA', '')) if p)
        return {**os.environ, **found}

    def program(self, name):
        for folder in FOLDERS:
            path = self.folder / folder / name
            if path.is_file() and os.access(path, os.X_OK):
                return str(path)
        raise Missing(f'{name} is not in the build')

    def sanitizer(self):
        bare = self.toolkit / 'compute-sanitizer' / 'compute-sanitizer'
        for path in (shutil.which('compute-sanitizer'), self.toolkit / 'bin' / 'compute-sanitizer', bare):
            if path and os.access(path, os.X_OK):
                return str(path)
        raise Missing('compute-sanitizer is not installed')

    @functools.cached_property
    def graph(self):
        """The smallest real graph that is there, or a made-up one."""
        if self.quick:
            return 'sbm'
        try:
            known = subprocess.run([self.program('pdadmm'), 'info', '--dataset', 'cora'], capture_output=True,
                                   env=self.environment(), timeout=10)
        except subprocess.TimeoutExpired:
            return 'sbm'
        return 'cora' if known.returncode == 0 else 'sbm'

    def command(self, step, seconds):
        """Command and variables of a step that may take `seconds`. Raises Missing where it cannot be run."""
        arguments = list(step.quick if self.quick and step.quick is not None else step.arguments)
        environment = {**self.environment(), **step.environment, 'PYTHONDONTWRITEBYTECODE': '1', 'PYTHONUNBUFFERED': '1'}
        if step.kind == 'tests':
            return [self.program(step.program), f'--gtest_filter={arguments[0]}'], environment
        if step.kind == 'sanitizer':
            return [self.sanitizer(), '--tool', step.tool, '--error-exitcode', '9', self.program(step.program),
                    f'--gtest_filter={arguments[0]}'], environment
        if step.kind == 'bench':
            return [self.program(step.program), *arguments, *(['--quick'] if self.quick else []), '--commit', self.commit,
                    '--json', str(self.work / f'bench-{step.name}.json'), '--seconds', str(max(1, seconds - 8))], environment
        if step.kind == 'training':
            short = '--grow 2,5 --layers 5 --epochs 20'.split() if self.quick else []
            backend = arguments[0]
            return [self.program('pdadmm'), 'train', '--dataset', self.graph, '--backend', backend, '--seeds', '2',
                    '--eval-every', '100', '--quiet', '--no-cache', '--overwrite', *short, '--out',
                    str(self.work / f'run-{backend}')], environment
        if step.kind == 'ranks':
            return [self.program(step.program), *arguments], environment
        if step.kind == 'peer':
            environment['LD_LIBRARY_PATH'] = os.environ.get('LD_LIBRARY_PATH', '')  # PyTorch has its own libraries
            return [sys.executable, str(HERE / 'peers' / step.program), *arguments], environment
        script = next(p for p in (HERE / 'test_nccl.py', ROOT / 'tests' / 'ranks' / 'test_nccl.py') if p.exists())
        return [sys.executable, str(script), self.program(step.program), *arguments], environment
