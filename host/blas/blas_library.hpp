// The BLAS library behind the CPU backend: found and loaded when the program runs, with the kernels that fit the
// processor, or one line that says why not.
//
// An OpenBLAS that is older than the processor falls back to kernels of twenty years ago, three to five times slower,
// and some of its newer kernels compute wrong results on processors that it does not know. So the kernel that the
// library picks is compared with what the processor offers; a better one is set before the library is loaded, but only
// after every product that this program uses came out right with it in a process of its own.
#pragma once

#include <string>

namespace pdadmm {

// The values of the C interface to BLAS (cblas.h).
inline constexpr int blas_column_major = 102, blas_lower = 122, blas_non_unit = 131;
enum class BlasTrans : int { no = 111, yes = 112 };
enum class BlasSide : int { left = 141, right = 142 };

/// What the program calls: of the C interface to BLAS, and of LAPACK by Fortran's names.
struct BlasFunctions {
    void (*sgemm)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*,
                  int) = nullptr;
    void (*dgemm)(int, int, int, int, int, int, double, const double*, int, const double*, int, double, double*,
                  int) = nullptr;
    void (*ssyrk)(int, int, int, int, int, float, const float*, int, float, float*, int) = nullptr;
    void (*dsyrk)(int, int, int, int, int, double, const double*, int, double, double*, int) = nullptr;
    void (*dtrsm)(int, int, int, int, int, int, int, double, const double*, int, double*, int) = nullptr;
    void (*dpotrf)(const char*, const int*, double*, const int*, int*) = nullptr;
    void (*dpotri)(const char*, const int*, double*, const int*, int*) = nullptr;
    void (*dtrtri)(const char*, const char*, const int*, double*, const int*, int*) = nullptr;
    void (*set_threads)(int) = nullptr;  // of the calling thread's products, or of all, by the library's variant
};

struct BlasLibrary {
    BlasFunctions functions;
    std::string file;     // as it was given to the loader
    std::string version;  // "OpenBLAS 0.3.21"
    std::string kernel;   // "SkylakeX": decides the last bits of products
    std::string choice;   // who chose the kernel: "its own choice", "set for this processor", "OPENBLAS_CORETYPE"
};

/// The library to load in this process: a file, or `auto`, or `as-is` (its own choice of kernels, untested). Before the
/// first call of blas_library(); without it PDADMM_BLAS says, else `auto`.
void use_blas(const std::string& library);

/// The library, loaded by the first call in the process: the file that was asked for, else the first of those that were
/// found when the program was built, else libopenblas.so.0. Its products run in the thread that calls them. Throws
/// DeviceError where there is none, where it lacks a function or threads' safety, or where its products are wrong.
const BlasLibrary& blas_library();

/// "OpenBLAS 0.3.21, SkylakeX kernels (set for this processor), libopenblas.so.0"
std::string describe(const BlasLibrary& library);

/// The functions of blas_library().
inline const BlasFunctions& blas() {
    static const BlasFunctions& functions = blas_library().functions;
    return functions;
}

/// "" where every product that the program uses comes out right with these functions, odd sizes included, else what
/// did not: "sgemm 33 x 17 x 65, transposed: off by 1.2".
std::string blas_fault(const BlasFunctions& functions);

/// How new a kernel's instructions are: 0 SSE and unknown names, 1 AVX, 2 AVX2, 3 AVX-512.
int kernel_level(const std::string& kernel);

}  // namespace pdadmm
