/* What one core can do in float32: fused multiply-adds on as many registers as hide their latency. */
#include <stdio.h>
#include <time.h>

#if defined(__AVX512F__)
enum { LANES = 16, REGISTERS = 24 };
#elif defined(__AVX__)
enum { LANES = 8, REGISTERS = 12 };
#else
enum { LANES = 4, REGISTERS = 24 };
#endif
enum { ROUNDS = 20000, REPEATS = 2000 };  /* short ones: on a busy machine some of them have the core to themselves */

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(void)
{
    lanes sums[REGISTERS] = {0}, factor, step;
    for (int i = 0; i < LANES; i++) {
        factor[i] = 0.999f;
        step[i] = 1e-3f;
    }
    double best = 1e9;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = now();
        for (int round = 0; round < ROUNDS; round++)
#pragma GCC unroll 24
            for (int i = 0; i < REGISTERS; i++)
                sums[i] = sums[i] * factor + step;
        double seconds = now() - start;
        best = seconds < best ? seconds : best;
    }
    float used = 0;  /* or the compiler leaves all of it out */
    for (int i = 0; i < REGISTERS; i++)
        used += sums[i][0];
    printf("%g %g\n", 2.0 * LANES * REGISTERS * ROUNDS / best, (double)used);
    return 0;
}
