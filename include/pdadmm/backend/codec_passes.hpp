// Quantised p and q, and messages between ranks (design 4).
#pragma once

#include <cstddef>

#include "pdadmm/backend/figures.hpp"
#include "pdadmm/codec.hpp"

namespace pdadmm {

class CodecPasses {
public:
    virtual ~CodecPasses() = default;

    // Quantised p.
    /// inverse[l] = 1/value for every layer.
    virtual void set_inverse(real* inverse, Index layers, double value) = 0;
    /// pending[l] = all trials, and the snap in place after them.
    virtual void reset_pending(std::int32_t* pending, Index layers) = 0;
    /// Codec grid: where pending[l], d = snap(p - inverse g) - p.
    virtual void grid_move(const Quantizer& q, CMat p, CMat g, const real* inverse, const std::int32_t* pending,
                           Mat d) = 0;
    /// Where pending[l]: accept the move if nu |h|^2 + rho |d|^2 <= |d|^2 / inverse or inverse = 0, else halve inverse,
    /// and set it to 0 (p snapped in place) after the last trial. pending counts the trials that are left.
    virtual void grid_check(CMat d, CMat h, const Controls* k, real* inverse, std::int32_t* pending) = 0;
    /// x = nearest level.
    virtual void snap(const Quantizer& q, Mat x) = 0;
    /// Codec difference: d = decode(code(-inverse g)) with the width of a code that follows from all of the layer's
    /// inverse g in a range of nodes (difference_width, codec.hpp); headers[v * layers + l] = {width of a code, 1} of
    /// layer l in range v.
    virtual void difference_move(const Quantizer& q, CMat g, const real* inverse, Mat d, MessageHeader* headers) = 0;
    /// headers[l].factor = the factor with which the move is accepted, inverse[l] = -factor: descend(inverse, d, p, h,
    /// r) then applies it.
    virtual void difference_check(CMat d, CMat h, const Controls* k, real* inverse, MessageHeader* headers) = 0;

    // Messages between ranks (codec.hpp), one layer each.
    /// message = x (codec none), the codes of x (grid), or header and codes of the decoded change x (difference).
    virtual void encode(const Quantizer& q, CMat x, const MessageHeader* header, std::byte* message) = 0;
    /// x as the sender has it after its update; x must hold what the sender had before.
    virtual void decode(const Quantizer& q, const std::byte* message, Mat x) = 0;
    /// u += rho (p_next - q): the dual step on the far side of a border.
    virtual void dual_step(CMat p_next, CMat q, const Controls* k, Mat u) = 0;
};

}  // namespace pdadmm
