// Stand-in for cuSOLVER's header: Cholesky factors of small matrices.
#pragma once

#include "cublas_v2.h"

enum cusolverStatus_t {
    CUSOLVER_STATUS_SUCCESS = 0,
    CUSOLVER_STATUS_INVALID_VALUE = 3,
    CUSOLVER_STATUS_EXECUTION_FAILED = 6
};
struct cusolverDnContext;
using cusolverDnHandle_t = cusolverDnContext*;
cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t* handle);
cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t handle);
cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream);
/// A_i = L_i L_i', L_i over the triangle that `fill` names; info_i is 0, or the order of the leading minor that is not
/// positive definite.
cusolverStatus_t cusolverDnDpotrfBatched(cusolverDnHandle_t handle, cublasFillMode_t fill, int n, double* A[], int lda,
                                         int* info, int count);
