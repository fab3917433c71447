// Nothing: the source that precompiled headers of tests are made with (PDADMM_PRECOMPILE).
