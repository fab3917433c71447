// Short vectors of CUDA (float4, int2, dim3, ...), aligned as on the device, and their make_ functions.
#pragma once

#include <cstdint>

#define EMULATION_VECTORS(type, name, all)                                      \
    struct alignas(sizeof(type)) name##1 {                                      \
        type x;                                                                 \
    };                                                                          \
    struct alignas(2 * sizeof(type)) name##2 {                                  \
        type x, y;                                                              \
    };                                                                          \
    struct name##3 {                                                            \
        type x, y, z;                                                           \
    };                                                                          \
    struct alignas(all) name##4 {                                               \
        type x, y, z, w;                                                        \
    };                                                                          \
    inline name##1 make_##name##1(type x) { return {x}; }                       \
    inline name##2 make_##name##2(type x, type y) { return {x, y}; }            \
    inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; } \
    inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }

EMULATION_VECTORS(signed char, char, 4)
EMULATION_VECTORS(unsigned char, uchar, 4)
EMULATION_VECTORS(short, short, 8)
EMULATION_VECTORS(unsigned short, ushort, 8)
EMULATION_VECTORS(int, int, 16)
EMULATION_VECTORS(unsigned int, uint, 16)
EMULATION_VECTORS(float, float, 16)
EMULATION_VECTORS(long long, longlong, 16)
EMULATION_VECTORS(unsigned long long, ulonglong, 16)
EMULATION_VECTORS(double, double, 16)
#undef EMULATION_VECTORS

struct dim3 {
    unsigned int x, y, z;
    constexpr dim3(unsigned int of_x = 1, unsigned int of_y = 1, unsigned int of_z = 1) : x(of_x), y(of_y), z(of_z) {}
    constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
};
