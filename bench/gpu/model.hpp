// What the counts of an iteration allow on a card of assumed rates. Nothing of it is measured.
#pragma once

namespace pdadmm::bench {

/// Prints, for the large network that cuda/README.md speaks of, flops and bytes of an iteration, and what they take
/// where products and passes come one behind the other, and where passes run beside products (`bench_cuda --model`).
void print_model();

}  // namespace pdadmm::bench
