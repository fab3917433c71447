"""Storage faults, kills and power losses around checkpoint_driver (design 6, "Checkpoints").

test_faults.py {errors|kills|crashes} DRIVER INJECTOR [--skip REASON]

errors   at every I/O call of a resumed and of a fresh run: EIO, ENOSPC, EINTR and short writes. Either the run succeeds, or
         it ends with code 5, one error line and everything acknowledged intact; started again it always completes.
kills    SIGKILL before and after every I/O call, then at random moments: what was acknowledged loads, the resumed run
         completes and its metrics rows are each there once.
crashes  the trace of a run is replayed as states a power loss may leave (see Disk): recovery finds at least what had been
         acknowledged. The same trace with fsyncs taken out must lose something, or the replay would prove nothing.
"""

import argparse
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from seed import test_seed

ROWS = lambda last: "".join('{"epoch":%d}\n' % step for step in range(1, last + 1))


class Rig:
    """A scratch folder (in memory where there is one), the driver, and a checker process that answers a folder a line."""

    def __init__(self, driver, injector):
        self.driver, self.injector = driver, injector
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.scratch = os.path.realpath(tempfile.mkdtemp(prefix="pdadmm-faults-", dir=memory))
        self.checker = subprocess.Popen([driver, "check"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.failures = []

    def close(self):
        self.checker.stdin.close()
        self.checker.wait()
        shutil.rmtree(self.scratch)

    def environment(self, **settings):
        return dict(os.environ, LD_PRELOAD=self.injector, **settings)

    def save(self, run, last, root=None, values=4, **settings):
        environment = self.environment(FAULT_ROOT=root or os.path.dirname(run), **settings) if settings else None
        return subprocess.run([self.driver, "save", run, str(last), str(values)], env=environment, text=True,
                              timeout=300, capture_output=True)

    def newest(self, run):
        """The step that recovery finds (0: none), or a text "wrong: ..."."""
        self.checker.stdin.write(run + "\n")
        self.checker.stdin.flush()
        answer = self.checker.stdout.readline().strip()
        return int(answer) if answer.isdigit() else answer

    def expect_at_least(self, run, floor, what):
        found = self.newest(run)
        if not isinstance(found, int) or found < floor:
            self.failures.append(f"{what}: recovery finds {found}, expected at least {floor}")

    def expect_completes(self, run, last, what):
        again = self.save(run, last)
        if again.returncode != 0 or self.newest(run) != last:
            self.failures.append(f"{what}: resumed run ends with {again.returncode} at {self.newest(run)}: {again.stderr}")
        with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as metrics:
            if metrics.read() != ROWS(last):
                self.failures.append(f"{what}: metrics rows are missing or double after resuming")

    def calls(self, run, last):
        """The names of the I/O calls of a save, in order."""
        trace = os.path.join(self.scratch, "calls")
        counted = []
        done = self.save(run, last, FAULT_TRACE=trace)
        assert done.returncode == 0, done.stderr
        with open(trace, encoding="utf-8") as lines:
            counted = [line.split("\t")[0] for line in lines]
        os.remove(trace)
        return counted


def acknowledged(output):
    whole = output[: output.rfind("\n") + 1].split()
    return int(whole[-1]) if whole else 0


LAST = 4


def scenarios(rig):
    """(name, function that makes a run folder to start from, acknowledged before, number of I/O calls to LAST)."""
    template = os.path.join(rig.scratch, "template", "run")
    os.makedirs(os.path.dirname(template))
    assert rig.save(template, 2).returncode == 0
    shutil.copytree(os.path.join(template, "checkpoints", "00000002"), os.path.join(template, "checkpoints", ".tmp-00000003"))
    numbers = itertools.count()

    def fresh():
        folder = os.path.join(rig.scratch, f"case-{next(numbers)}")
        os.mkdir(folder)
        return os.path.join(folder, "run")

    def resumed():
        run = fresh()
        shutil.copytree(template, run)
        return run

    def count(make):
        """The injector itself says how many calls there are: the first number at which nothing happens."""
        low, high = 1, 4096
        while low < high:
            middle = (low + high) // 2
            if rig.save(make(), LAST, FAULT=f"any:{middle}:kill").returncode == 0:
                high = middle
            else:
                low = middle + 1
        return low - 1

    for name, make, before in (("resumed", resumed, 2), ("fresh", fresh, 0)):
        yield name, make, before, count(make)


def judge_error(rig, run, done, before, what):
    errors = [line for line in done.stderr.splitlines() if line.startswith("pdadmm: error: ")]
    if done.returncode == 0:
        if errors or rig.newest(run) != LAST:
            rig.failures.append(f"{what}: success, but recovery finds {rig.newest(run)}: {done.stderr}")
    elif done.returncode == 3 and len(errors) == 1 and "cannot be listed" in errors[0]:
        pass  # reading what to resume from failed; nothing was written yet
    elif done.returncode != 5 or len(errors) != 1 or "expected" not in errors[0]:
        rig.failures.append(f"{what}: code {done.returncode}, expected 0, or 5 with one error line: {done.stderr}")
    rig.expect_at_least(run, max(before, acknowledged(done.stdout)), what)


def test_errors(rig):
    points = failed = 0
    for name, make, before, total in scenarios(rig):
        plans = [f"any:{n}:{action}" for n in range(1, total + 1) for action in ("EIO", "ENOSPC", "EINTR")]
        writes = sum(call == "write" for call in rig.calls(make(), LAST))
        plans += [f"write:{n}:short" for n in range(1, writes + 1)]
        for plan in plans:
            run = make()
            done = rig.save(run, LAST, FAULT=plan)
            judge_error(rig, run, done, before, f"{name} {plan}")
            if done.returncode != 0:
                failed += 1
                if not plan.endswith("ENOSPC"):
                    rig.expect_completes(run, LAST, f"{name} {plan}")
            points += 1
            shutil.rmtree(os.path.dirname(run))
        print(f"errors: {name}: {total} I/O calls, {len(plans)} injected faults")
    if failed < points // 4:
        rig.failures.append(f"only {failed} of {points} injected errors ended a run: the injector does not work")
    print(f"errors: {points} points, {failed} ended the run with code 5, {len(rig.failures)} wrong")


def test_kills(rig):
    points = 0
    for name, make, before, total in scenarios(rig):
        for n, action in itertools.product(range(1, total + 1), ("kill", "kill-after")):
            run = make()
            what = f"{name} any:{n}:{action}"
            done = rig.save(run, LAST, FAULT=f"any:{n}:{action}")
            if done.returncode != -9:
                rig.failures.append(f"{what}: code {done.returncode}, expected death by SIGKILL")
            rig.expect_at_least(run, max(before, acknowledged(done.stdout)), what)
            rig.expect_completes(run, LAST, what)
            points += 1
            shutil.rmtree(os.path.dirname(run))
    print(f"kills: {points} I/O boundaries, {len(rig.failures)} wrong")

    seed = test_seed()
    rng = random.Random(seed)
    run, floor, inside = os.path.join(rig.scratch, "random"), 0, 0
    for kill in range(100):
        process = subprocess.Popen([rig.driver, "save", run, "1000000000", "2000"], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.001, 0.04))
        process.kill()
        output = process.communicate()[0]
        floor = max(floor, acknowledged(output))
        inside += any(entry.startswith(".tmp-") for entry in os.listdir(os.path.join(run, "checkpoints"))
                      ) if os.path.isdir(os.path.join(run, "checkpoints")) else 0
        rig.expect_at_least(run, floor, f"random kill {kill} (seed {seed})")
    rig.expect_completes(run, floor + 5, f"after 100 random kills (seed {seed})")
    newest = os.path.join(run, "checkpoints", f"{floor + 5:08d}", "layer-02.safetensors")
    os.truncate(newest, os.path.getsize(newest) - 1)
    if rig.newest(run) != floor + 4:
        rig.failures.append("a shard cut by one byte was not noticed: these checks prove nothing")
    print(f"kills: 100 random (seed {seed}), {inside} inside a save, {floor} checkpoints acknowledged, {len(rig.failures)} wrong")


class Disk:
    """What a power loss may leave of a traced run. Data of a file are durable when the file was fsync'ed, entries of a
    folder when the folder was. Without that: of the data everything, nothing, half or zeros of the right length are there;
    of a folder's changes any number in their order, independently of other folders'."""

    def __init__(self):
        self.files, self.synced = {}, {}  # inode -> bytes now, bytes at the last fsync
        self.logs, self.durable = {0: []}, {0: 0}  # folder inode -> changes, how many are durable
        self.order = []  # (folder, index) of every change, in time
        self.live = {"": 0}  # path -> inode
        self.next = 1

    def change(self, path, *change):
        folder = self.live[path.rpartition("/")[0]]
        self.order.append((folder, len(self.logs[folder])))
        self.logs[folder].append(change)

    def apply(self, call, path, *more):
        base = os.path.basename(path)
        if call == "create":
            self.live[path], self.files[self.next], self.synced[self.next] = self.next, b"", b""
            self.change(path, "add", base, self.next)
            self.next += 1
        elif call == "mkdir":
            self.live[path], self.logs[self.next], self.durable[self.next] = self.next, [], 0
            self.change(path, "add", base, self.next)
            self.next += 1
        elif call == "write":
            offset, data = int(more[0]), bytes.fromhex(more[1])
            inode = self.live[path]
            self.files[inode] = self.files[inode][:offset].ljust(offset, b"\0") + data + self.files[inode][offset + len(data):]
        elif call == "ftruncate":
            self.files[self.live[path]] = self.files[self.live[path]][: int(more[0])].ljust(int(more[0]), b"\0")
        elif call == "fsync":
            inode = self.live[path]
            if inode in self.files:
                self.synced[inode] = self.files[inode]
            else:
                self.durable[inode] = len(self.logs[inode])
        elif call == "rename":
            assert os.path.dirname(path) == os.path.dirname(more[0])
            self.change(path, "rename", base, os.path.basename(more[0]))
            self.live = {(more[0] + name[len(path):] if name == path or name.startswith(path + "/") else name): inode
                         for name, inode in self.live.items() if not (name == more[0])}
        elif call in ("unlink", "rmdir"):
            self.change(path, "remove", base)
            del self.live[path]
        else:
            raise ValueError(call)

    def entry_choices(self):
        """How many changes of each folder survive: every choice where they are few, else one folder at a time with the
        others at either end; and every prefix of all changes in time, as a journal leaves them."""
        open_folders = [folder for folder in self.logs if self.durable[folder] < len(self.logs[folder])]
        ranges = {folder: range(self.durable[folder], len(self.logs[folder]) + 1) for folder in open_folders}
        product = 1
        for choice in ranges.values():
            product *= len(choice)
        if product <= 64:
            for kept in itertools.product(*ranges.values()):
                yield dict(zip(ranges, kept))
            return
        for folder, end in itertools.product(open_folders, (0, -1)):
            for kept in ranges[folder]:
                yield {other: (kept if other == folder else ranges[other][end]) for other in open_folders}
        pending = [(folder, index) for folder, index in self.order if index >= self.durable[folder]]
        for cut in range(len(pending) + 1):
            kept = {folder: self.durable[folder] for folder in open_folders}
            for folder, index in pending[:cut]:
                kept[folder] = index + 1
            yield kept

    def data(self, inode, mode):
        now, safe = self.files[inode], self.synced[inode]
        if mode == "all" or now == safe:
            return now
        if mode == "lost" or len(now) < len(safe):
            return safe
        return now[: (len(safe) + len(now)) // 2] if mode == "half" else safe.ljust(len(now), b"\0")

    def tree(self, kept, mode):
        """{path: bytes, or None for a folder}"""
        found = {}

        def visit(inode, path):
            entries = {}
            for change in self.logs[inode][: kept.get(inode, len(self.logs[inode]))]:
                if change[0] == "add":
                    entries[change[1]] = change[2]
                elif change[0] == "remove":
                    entries.pop(change[1], None)
                else:
                    entries[change[2]] = entries.pop(change[1])
            for name, child in entries.items():
                if child in self.files:
                    found[f"{path}/{name}"] = self.data(child, mode)
                else:
                    found[f"{path}/{name}"] = None
                    visit(child, f"{path}/{name}")

        visit(0, "")
        return found

    def states(self):
        dirty = any(now != self.synced[inode] for inode, now in self.files.items())
        for kept in self.entry_choices():
            for mode in ("all", "lost", "half", "zero") if dirty else ("all",):
                yield self.tree(kept, mode)


def replay(rig, trace, drop, name, keep_states=False):
    """Replays `trace` without the calls that `drop` names; returns (states, lost states, some folders)."""
    disk, floor, states = Disk(), 0, {}
    for call, *fields in trace:
        if call == "ack":
            floor = int(fields[0].split()[1])
        elif call == "open" or drop(call, fields[0], disk):
            continue
        else:
            disk.apply(call, *fields)
        for tree in disk.states():
            key = hash(frozenset(tree.items()))
            if key not in states or states[key][0] < floor:
                states[key] = (floor, tree)
    lost, examples, folders = 0, [], []
    for number, (expected, tree) in enumerate(states.values()):
        folder = os.path.join(rig.scratch, f"{name}-{number}")
        os.mkdir(folder)
        for path, content in tree.items():  # parents come before what they hold
            if content is None:
                os.mkdir(folder + path)
            else:
                with open(folder + path, "wb") as file:
                    file.write(content)
        found = rig.newest(folder + "/run")
        if not isinstance(found, int) or found < expected:
            lost += 1
            examples.append(f"{name}: state {number}: recovery finds {found}, expected at least {expected}: {sorted(tree)}")
        if keep_states and number % 25 == 0:
            folders.append(folder + "/run")
        else:
            shutil.rmtree(folder)
    return len(states), lost, examples, folders


def test_crashes(rig):
    root, trace_file = os.path.join(rig.scratch, "traced"), os.path.join(rig.scratch, "trace")
    os.mkdir(root)
    for last in (24, 48):  # a run and its continuation
        done = rig.save(os.path.join(root, "run"), last, FAULT_TRACE=trace_file)
        assert done.returncode == 0, done.stderr
    with open(trace_file, encoding="utf-8") as lines:
        trace = [line.rstrip("\n").split("\t") for line in lines]
    trace = [[call] + [field[len(root):] if field.startswith(root) else field for field in fields] for call, *fields in trace]
    acks = [number for number, (call, *_) in enumerate(trace) if call == "ack"]
    assert len(acks) == 48

    count, lost, examples, folders = replay(rig, trace, lambda *_: False, "state", keep_states=True)
    rig.failures += examples[:5]
    for folder in folders:
        rig.expect_completes(folder, 49, f"after the crash state {folder}")
    print(f"crashes: {len(trace)} calls, {count} states, {lost} lost an acknowledged checkpoint; {len(folders)} resumed")
    if count < 2000:
        rig.failures.append(f"only {count} crash states, expected at least 2000")

    is_file = lambda disk, path: disk.live.get(path) in disk.files
    mutants = {
        "no file fsync": lambda call, path, disk: call == "fsync" and is_file(disk, path) and "metrics" not in path,
        "no metrics fsync": lambda call, path, disk: call == "fsync" and "metrics" in path,
        "no fsync of the new folder": lambda call, path, disk: call == "fsync" and "/.tmp-" in path and not is_file(disk, path),
        "no fsync of checkpoints": lambda call, path, disk: call == "fsync" and path.endswith("/checkpoints"),
        "no fsync above the run": lambda call, path, disk: call == "fsync" and path in ("", "/run"),
        "no fsync at all": lambda call, path, disk: call == "fsync",
    }
    for name, drop in mutants.items():
        count, lost, _, _ = replay(rig, trace[: acks[4] + 1], drop, "mutant")  # undurable changes pile up: a few saves will do
        print(f"crashes: mutant '{name}': {lost} of {count} states lost")
        if lost == 0:
            rig.failures.append(f"the mutant '{name}' was not noticed")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("errors", "kills", "crashes"))
    parser.add_argument("driver")
    parser.add_argument("injector")
    parser.add_argument("--skip", metavar="REASON")
    arguments = parser.parse_args()
    if arguments.skip:
        print(f"SKIP: {arguments.skip}")
        return 77
    rig = Rig(arguments.driver, arguments.injector)
    try:
        {"errors": test_errors, "kills": test_kills, "crashes": test_crashes}[arguments.part](rig)
    finally:
        rig.close()
    for failure in rig.failures[:20]:
        print("FAILED:", failure)
    return 1 if rig.failures else 0


if __name__ == "__main__":
    sys.exit(main())
