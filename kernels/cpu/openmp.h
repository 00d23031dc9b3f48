// The few functions of OpenMP's runtime that kernels need, since oneDNN's threads are its. There
// are no pragmas of OpenMP here: any compiler will do, whatever runtime is its own.
#pragma once

extern "C" {
int omp_get_max_threads() noexcept;
int omp_get_num_procs() noexcept;
int omp_in_parallel() noexcept;
void omp_set_num_threads(int count) noexcept;
}
