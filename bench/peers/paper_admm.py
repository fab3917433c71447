#!/usr/bin/env python3
"""The paper's algorithm as its published code runs it, written afresh: layer after layer, backtracking line searches whose tests
the host reads, FISTA for z_L, and W p + b formed anew wherever it is needed. Prints seconds and products an iteration.

    paper_admm.py [--layers 10 --hidden 100 --inputs 7165 --nodes 140 --classes 7] [--rho 1e-4 --nu 1e-4] [--device cuda|cpu|numpy] [--reuse]

A hidden layer takes 8 + e_p + e_W products, e the trials of a line search (1 to 11): 10 to 30. --reuse forms W p + b once for z:
two products fewer. Every rule is a function over numpy or PyTorch alike, so that numpy checks the rules (tests/bench/test_peers.py).
Matrices: W (n, m), p (m, N), b (n, 1), z q u (n, N).
"""
import argparse

import problem
from problem import numpy

START, TRIALS = 20.0, 11  # tau, theta = 20, 40, ..., 20 * 2^10


class Algebra:
    """An array module, and the products that were taken through it."""

    def __init__(self, xp, reuse=False):
        self.xp, self.reuse, self.products, self.of_hidden_layers = xp, reuse, 0, 0

    def times(self, a, b):
        self.products += 1
        return a @ b

    def hidden(self, is_hidden, update, *arguments):
        """update(self, *arguments), its products put down to the hidden layers where it is one's."""
        before = self.products
        result = update(self, *arguments)
        self.of_hidden_layers += (self.products - before) if is_hidden else 0
        return result

    def relu(self, x):
        return self.xp.clip(x, 0, None)

    def log_softmax(self, z):
        shifted = z - self.xp.amax(z, axis=0, keepdims=True)
        return shifted - self.xp.log(self.xp.sum(self.xp.exp(shifted), axis=0, keepdims=True))


def square(x):
    return (x * x).sum()


def line_search(x, gradient, phi, phi_here):
    """x - g/tau for the first tau that the majorisation test accepts, else x. Every test is read by the host."""
    tau = START
    for _ in range(TRIALS):
        step = -gradient / tau
        if float(phi(x + step)) <= float(phi_here + (gradient * step).sum() + tau / 2 * square(step)):
            return x + step
        tau *= 2
    return x


def update_p(al, W, b, p, z, q_prev, u_prev, rho, nu):
    def phi_of(residual, p_new):
        gap = p_new - q_prev
        return nu / 2 * square(residual) + (u_prev * gap).sum() + rho / 2 * square(gap)

    residual = al.times(W, p) + b - z
    gradient = nu * al.times(W.T, residual) + u_prev + rho * (p - q_prev)
    return line_search(p, gradient, lambda new: phi_of(al.times(W, new) + b - z, new), phi_of(residual, p))


def update_W(al, W, b, p, z, nu, mu):
    def phi_of(residual, W_new):
        return nu / 2 * square(residual) + mu / 2 * square(W_new)

    residual = al.times(W, p) + b - z
    gradient = nu * al.times(residual, p.T) + mu * W
    return line_search(W, gradient, lambda new: phi_of(al.times(new, p) + b - z, new), phi_of(residual, W))


def update_b(al, W, p, z):
    return (z - al.times(W, p)).mean(axis=1, keepdims=True)


def update_z(al, W, b, p, z, q):
    def target():
        return al.times(W, p) + b

    a = target()
    below = al.xp.clip((a + z) / 2, None, 0)
    a = a if al.reuse else target()
    above = al.xp.clip((a + q + z) / 3, 0, None)
    a = a if al.reuse else target()

    def cost(v):
        return (v - a) ** 2 + (q - al.relu(v)) ** 2 + (v - z) ** 2

    return al.xp.where(cost(below) <= cost(above), below, above)


def update_z_last(al, W, b, p, z, Y, nu, most=50, tolerance=1e-6):
    """FISTA on the cross entropy + nu/2 |v - W p - b|^2, until the objective moves by less than `tolerance` of itself."""
    a = al.times(W, p) + b
    step = 1 / (1 + nu)  # the softmax's Hessian is at most 1
    v, y, momentum, before = z, z, 1.0, float('inf')
    for _ in range(most):
        if not al.reuse:
            a = al.times(W, p) + b
        v_new = y - step * (al.xp.exp(al.log_softmax(y)) - Y + nu * (y - a))
        momentum_new = (1 + (1 + 4 * momentum * momentum) ** 0.5) / 2
        y = v_new + (momentum - 1) / momentum_new * (v_new - v)
        v, momentum = v_new, momentum_new
        if not al.reuse:
            a = al.times(W, p) + b
        now = float(nu / 2 * square(v - a) - (Y * al.log_softmax(v)).sum())
        if abs(before - now) < tolerance * abs(now):
            break
        before = now
    return v


def iterate(al, state, Y, rho, nu, mu, fista=None):
    """One iteration in place; lists W b p z of L layers, q u of L - 1."""
    W, b, p, z, q, u = (state[name] for name in 'Wbpzqu')
    last = len(W) - 1
    for l in range(1, last + 1):
        p[l] = al.hidden(l < last, update_p, W[l], b[l], p[l], z[l], q[l - 1], u[l - 1], rho, nu)
    for l in range(last + 1):
        W[l] = al.hidden(0 < l < last, update_W, W[l], b[l], p[l], z[l], nu, mu)
    for l in range(last + 1):
        b[l] = al.hidden(0 < l < last, update_b, W[l], p[l], z[l])
    for l in range(last):
        z[l] = al.hidden(0 < l, update_z, W[l], b[l], p[l], z[l], q[l])
    z[last] = update_z_last(al, W[last], b[last], p[last], z[last], Y, nu, **(fista or {}))
    for l in range(last):
        q[l] = (rho * p[l + 1] + u[l] + nu * al.relu(z[l])) / (rho + nu)
    for l in range(last):
        u[l] = u[l] + rho * (p[l + 1] - q[l])


def first_state(al, X, layers, hidden, classes, draw):
    """Weights of N(0, 0.1^2), as the published code starts, and a forward pass. draw(rows, cols) is standard normal."""
    sizes = [X.shape[0]] + [hidden] * (layers - 1) + [classes]
    state = {name: [] for name in 'Wbpzqu'}
    p = X
    for l in range(layers):
        state['W'].append(0.1 * draw(sizes[l + 1], sizes[l]))
        state['b'].append(0.1 * draw(sizes[l + 1], 1))
        state['p'].append(p)
        state['z'].append(state['W'][l] @ p + state['b'][l])
        if l < layers - 1:
            p = al.relu(state['z'][l])
            state['q'].append(p)
            state['u'].append(0 * p)
    return state


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    problem.add_options(parser)
    parser.add_argument('--layers', type=int, default=10)
    parser.add_argument('--rho', type=float, default=1e-4)
    parser.add_argument('--nu', type=float, default=1e-4)
    parser.add_argument('--mu', type=float, default=0.01)
    parser.add_argument('--device', choices=['cuda', 'cpu', 'numpy'], default='cuda')
    parser.add_argument('--reuse', action='store_true')
    o = parser.parse_args()
    if o.device == 'numpy':
        generator = numpy.random.default_rng(o.seed)
        al, wait, kind = Algebra(numpy, o.reuse), lambda: None, 'numpy'
        draw = lambda rows, cols: generator.standard_normal((rows, cols), dtype=numpy.float32)
        place = lambda a: a
    else:
        torch = problem.torch_on(o.device)
        torch.backends.cuda.matmul.allow_tf32 = False  # the paper's fp32
        torch.set_grad_enabled(False)
        torch.manual_seed(o.seed)
        al, kind = Algebra(torch, o.reuse), torch.cuda.get_device_name() if o.device == 'cuda' else 'CPU'
        wait = torch.cuda.synchronize if o.device == 'cuda' else lambda: None
        draw = lambda rows, cols: torch.randn(rows, cols, device=o.device)
        place = lambda a: torch.from_numpy(numpy.ascontiguousarray(a)).to(o.device)
    X, labels, classes = problem.problem(o)
    X, Y = place(X), place(numpy.eye(classes, dtype=numpy.float32)[:, labels])
    state = first_state(al, X, o.layers, o.hidden, classes, draw)
    iterations = 0

    def work():
        nonlocal iterations
        iterations += 1
        iterate(al, state, Y, o.rho, o.nu, o.mu)

    seconds = problem.seconds_each(work, wait, o.seconds)
    problem.answer(peer='paper_admm', device=kind, layers=o.layers, hidden=o.hidden, inputs=X.shape[0], nodes=X.shape[1], rho=o.rho, nu=o.nu,
                   reuse=o.reuse, seconds=seconds, products_an_iteration=al.products / iterations,
                   products_of_a_hidden_layer=al.of_hidden_layers / iterations / max(1, o.layers - 2), iterations=iterations)


if __name__ == '__main__':
    main()
