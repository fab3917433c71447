# What the rooms of tests/ say their tests with.
include(GoogleTest)
find_program(PDADMM_PYTHON python3 HINTS /usr/bin NO_CMAKE_ENVIRONMENT_PATH REQUIRED)  # where apt puts numpy

# What a test's own source is compiled with, behind all other flags: it runs for moments and is built in every preset. Of
# the undefined-behaviour sanitizer it takes what pdadmm_cold does (PDADMM_NOT_EVERY_POINTER). Libraries, the program's and
# those of tests/, keep their own flags.
add_library(test_body INTERFACE)
if(PDADMM_SANITIZE)
  target_compile_options(test_body INTERFACE -O0 ${PDADMM_NOT_EVERY_POINTER})
else()
  target_compile_options(test_body INTERFACE $<$<CONFIG:Release>:-O1>)
endif()
target_link_libraries(test_body INTERFACE GTest::gmock GTest::gtest_main)
if(PDADMM_PRECOMPILE)
  add_library(test_headers OBJECT ${PROJECT_SOURCE_DIR}/tests/support/test_headers.cpp)
  target_link_libraries(test_headers PRIVATE pdadmm_flags test_body)
  target_precompile_headers(test_headers PRIVATE <gmock/gmock.h> <gtest/gtest.h> <algorithm> <cmath> <functional> <random> <span> <string> <vector>)
endif()

# pdadmm_test_body(PROGRAM): the flags and headers of a test's own source.
function(pdadmm_test_body program)
  target_link_libraries(${program} PRIVATE test_body)
  if(PDADMM_PRECOMPILE)
    target_precompile_headers(${program} REUSE_FROM test_headers)
  endif()
endfunction()

# pdadmm_discover(PROGRAM PREFIX FILTER LABEL [VARIABLE=VALUE...]): one ctest entry PREFIX.CASE for every case that the
# filter names. A case whose name ends in Slow has the label `slow` besides.
function(pdadmm_discover program prefix filter label)
  string(MAKE_C_IDENTIFIER "${prefix}_${program}_cases" cases)
  # The longest begin first, so that no processor idles while the last one runs.
  set(cost 0)
  if(label STREQUAL emulated)
    set(cost 10)
  endif()
  gtest_discover_tests(${program} DISCOVERY_MODE PRE_TEST TEST_PREFIX "${prefix}." TEST_FILTER "${filter}" TEST_LIST ${cases}
                       PROPERTIES LABELS ${label} TIMEOUT 600 COST ${cost} ENVIRONMENT "${ARGN}")
  set(script ${CMAKE_CURRENT_BINARY_DIR}/${cases}_slow.cmake)
  file(WRITE ${script} "foreach(case IN LISTS ${cases})
  if(case MATCHES \"Slow($|/)\")
    set_tests_properties(\"\${case}\" PROPERTIES LABELS \"${label};slow\")
  endif()
endforeach()
")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${script})
endfunction()

# pdadmm_test(NAME LIBRARY...): NAME.cpp as a program of its own, on the processor.
function(pdadmm_test name)
  add_executable(${name} ${name}.cpp)
  target_link_libraries(${name} PRIVATE ${ARGN})
  pdadmm_test_body(${name})
  pdadmm_discover(${name} ${name} "-*/cuda" cpu)
endfunction()

# pdadmm_other_blas_test(PROGRAM FILTER): cases on the processor once more, with the other BLAS library. Not under
# sanitizers, with which neither is built.
function(pdadmm_other_blas_test program filter)
  if(PDADMM_OTHER_BLAS AND NOT PDADMM_FORMULAS_ONLY AND NOT PDADMM_SANITIZE AND NOT PDADMM_TSAN)
    pdadmm_discover(${program} other_blas "${filter}" cpu PDADMM_BLAS=${PDADMM_OTHER_BLAS})
  endif()
endfunction()

# pdadmm_gpu_test(NAME): the cases of test_NAME once more, on a GPU; skipped with a reason where the program has no CUDA
# or the machine no device.
function(pdadmm_gpu_test name)
  if(PDADMM_CUDA OR PDADMM_PLAIN)
    pdadmm_discover(test_${name} gpu.${name} "*" gpu PDADMM_TEST_BACKEND=cuda)
  endif()
endfunction()

# pdadmm_emulated_test(NAME FILTER [VARIABLE=VALUE...]): the objects of a test linked a second time, with the emulated
# device behind the backend "cuda".
function(pdadmm_emulated_test name filter)
  if(NOT PDADMM_EMULATED)
    return()
  endif()
  add_executable(emulated_${name} $<TARGET_OBJECTS:${name}>)
  set_target_properties(emulated_${name} PROPERTIES LINKER_LANGUAGE CXX)
  get_target_property(libraries ${name} LINK_LIBRARIES)
  target_link_libraries(emulated_${name} PRIVATE pdadmm_cuda_emulated ${libraries} pdadmm_transport)
  pdadmm_discover(emulated_${name} emulated "${filter}" emulated ${ARGN})
endfunction()

# pdadmm_emulation_test(NAME LIBRARY...): NAME.cpp, which runs on the emulated device only.
function(pdadmm_emulation_test name)
  if(NOT PDADMM_EMULATED)
    return()
  endif()
  add_executable(${name} ${name}.cpp)
  target_link_libraries(${name} PRIVATE pdadmm_cuda_emulated ${ARGN})
  pdadmm_test_body(${name})
  pdadmm_discover(${name} emulated "*" emulated)
endfunction()

# pdadmm_python_test(NAME LABEL SECONDS SCRIPT [ARGUMENT...]): ended after SECONDS, which only a hang reaches, also with
# sanitizers beside many other programs; exit code 77 says that it was skipped.
function(pdadmm_python_test name label seconds script)
  add_test(NAME ${name} COMMAND ${PDADMM_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/${script} ${ARGN})
  set(sanitized $<OR:$<BOOL:${PDADMM_SANITIZE}>,$<BOOL:${PDADMM_TSAN}>>)
  set_tests_properties(${name} PROPERTIES LABELS "${label}" TIMEOUT ${seconds} COST ${seconds} SKIP_RETURN_CODE 77
                       ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1;PDADMM_SANITIZED=${sanitized}")
endfunction()
