"""The machine code of the CPU backend's passes: test_vector_code.py LIBRARY PLANTED

Every pass below must have a loop that works on whole vectors: packed arithmetic, as many packed stores as the pass
writes arrays, no number by itself, nothing gathered and no sum kept in memory. A pass whose loop the compiler left
scalar still computes the same, so nothing else would tell. PLANTED is an object file with passes that must not pass.
"""
import platform
import re
import shutil
import subprocess
import sys
import unittest

# pass -> the arrays that one loop of it writes
PASSES = {
    "p_gradient_of_block": 1,
    "W_gradient": 1,
    "step_size": 0,
    "descend": 1,
    "add_columns|bias_step": 1,
    "activation_pass<(pdadmm::Codec)0>": 4,
    "activation_pass<(pdadmm::Codec)2>": 3,
    "difference_q": 2,
    "difference_move": 1,
    "descent_check": 0,
    "dual_step": 1,
    "subtract_means|center": 1,
    "node_space_target": 1,
    "node_space_close": 3,
    "node_space_step": 1,
    "node_space_descend": 2,
    "dual_gradient": 1,
    "conjugate_weight": 0,
    "conjugate_direction": 2,
    "conjugate_step": 4,
    "scale_by_c": 1,
    "rebuild_q": 1,
    "close_residual": 1,
    "last_step": 0,
    "label_step": 1,
    "add_bias": 1,
    "sparse_row": 0,  # sums stay in registers
    "activation_gradient": 1,
    "::pull(": 1,
    "elastic_pull": 2,
    "optimizer_step|step_block": 3,
}
BY_MASKS = ["difference_q"]  # g++ 12 makes their choices by masks of AVX-512 alone: scalar on older processors
PLANTED = {"planted::captured": 1, "planted::scalar": 1}

ARITHMETIC = re.compile(r"v?(add|sub|mul|div|fmadd|min|max|sqrt)p[sd] ")
SCALAR = re.compile(r"v?(add|sub|mul|div|mov|min|max|cvt\w*2)s[sd] |v?(insertps|unpcklps) ")
STORE = re.compile(r"v?movu?a?p[sd] +%[xyz]mm\d+,(?!.*%r[sb]p).*\(")
TO_STACK = re.compile(r"v?movu?a?p[sd] +%[xyz]mm\d+,.*\(%r[sb]p")


def functions(object_file):
    """(name, [(address, instruction)]) of every function."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "-C", object_file], capture_output=True, text=True,
                          check=True).stdout
    for part in re.split(r"\n(?=[0-9a-f]+ <)", text):
        head = re.match(r"[0-9a-f]+ <(.*)>:\n", part)
        if head:
            yield head[1], [(int(a, 16), i.split("#")[0] + " ") for a, i in
                            re.findall(r"^ +([0-9a-f]+):\t(.*)$", part, re.M)]


def innermost_loops(instructions):
    index = {address: i for i, (address, _) in enumerate(instructions)}
    loops = []
    for i, (_, instruction) in enumerate(instructions):
        jump = re.match(r"j\w+ +([0-9a-f]+) ", instruction)
        start = index.get(int(jump[1], 16)) if jump else None
        if start is not None and start <= i:
            loops.append((start, i))
    ends = {}
    for start, end in loops:
        ends.setdefault(start, end)
        ends[start] = min(ends[start], end)
    loops = sorted(ends.items())
    for start, end in loops:
        if not any(start < s and e <= end or s == start and e < end for s, e in loops):
            yield [instruction for _, instruction in instructions[start:end + 1]]


def is_vector_loop(loop, stores):
    def count(pattern):
        return sum(bool(pattern.match(i)) for i in loop)
    return (count(ARITHMETIC) > 0 and count(STORE) >= stores and count(SCALAR) == 0 and count(TO_STACK) == 0 and
            not any("gather" in i for i in loop))


def without_vector_loop(code, passes):
    """The passes, by name, that have no loop of whole vectors."""
    missing = []
    for name, stores in passes.items():
        own = [loop for function, instructions in code if any(n in function for n in name.split("|"))
               for loop in innermost_loops(instructions)]
        if not any(is_vector_loop(loop, stores) for loop in own):
            missing.append(name)
    return missing


class VectorCode(unittest.TestCase):
    def test_every_pass_works_on_whole_vectors(self):
        code = list(functions(sys.argv[1]))
        masks = any("{%k" in i for _, instructions in code for _, i in instructions)
        self.assertEqual([name for name in without_vector_loop(code, PASSES) if masks or name not in BY_MASKS], [])

    def test_nothing_is_gathered_but_columns(self):
        gathering = [name for name, instructions in functions(sys.argv[1])
                     if "gather_columns" not in name and any("gather" in i for _, i in instructions)]
        self.assertEqual(gathering, [])

    def test_planted_passes_are_found(self):
        self.assertEqual(without_vector_loop(list(functions(sys.argv[2])), PLANTED), list(PLANTED))
        self.assertEqual(without_vector_loop(list(functions(sys.argv[2])), {"planted::vector": 1}), [])


if __name__ == "__main__":
    if platform.machine() != "x86_64" or not shutil.which("objdump"):
        print("skipped: needs objdump on x86-64")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])
