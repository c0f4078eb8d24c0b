// SPDX-License-Identifier: MIT
// A 32-bit program whose output is the same on every machine: arithmetic, x87, string instructions, signals, fork,
// pipes, mmap, threads. Built static; run on the host and in a guest.
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static uint32_t hash = 2166136261u;

static void mix(const void *data, size_t size)
{
    const uint8_t *p = data;
    while (size--)
        hash = (hash ^ *p++) * 16777619u;
}

static void test_integers(void)
{
    uint64_t a = 0x123456789abcdef1ull, b = 3;
    for (int i = 0; i < 100000; i++) {
        a = a * 6364136223846793005ull + 1442695040888963407ull;
        b += a / ((b & 0xffff) + 1) + (a % 1000003) + (uint64_t)((int64_t)a >> 7);
        b = b << 13 | b >> 51;
    }
    mix(&b, sizeof b);
    printf("integers %08x\n", hash);
}

static void test_x87(void)
{
    double s = 0;
    long double l = 1;
    for (int i = 1; i < 20000; i++) {
        s += sin(i) * exp(-i / 5000.0) + sqrt(i) / log(i + 1.5);
        l = l * 1.0000001L + 1.0L / i;
    }
    mix(&s, sizeof s);
    mix(&l, 10);
    printf("x87 %08x %.15g %.18Lg\n", hash, s, l);
}

static void test_strings(void)
{
    static char a[70000], b[70000];
    for (size_t i = 0; i < sizeof a; i++)
        a[i] = (char)(i * 7 + i / 251);
    for (unsigned n = 0; n < 4200; n += 37) {
        char *d = b + n % 61;
        const char *s = a + n % 53;
        unsigned count = n;
        __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(count) : : "memory");
        memmove(b + n / 2 + 5, b + n / 2, n * 9);
        memset(b + 3 * n, (int)n, 77);
    }
    mix(b, sizeof b);
    printf("strings %08x\n", hash);
}

static sigjmp_buf back;
static volatile int caught[32];

static void on_signal(int n, siginfo_t *info, void *context)
{
    caught[n]++;
    if (n == SIGSEGV || n == SIGFPE || n == SIGILL)
        siglongjmp(back, n);
}

static void test_signals(void)
{
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGFPE, &sa, NULL);
    sigaction(SIGILL, &sa, NULL);
    sigaction(SIGUSR1, &sa, NULL);
    volatile int zero = 0;
    for (volatile int i = 0; i < 50; i++) {
        if (!sigsetjmp(back, 1))
            *(volatile int *)(uintptr_t)(16 * i) = 1;
        if (!sigsetjmp(back, 1))
            zero = 7 / zero;
        if (!sigsetjmp(back, 1))
            __asm__ volatile("ud2");
        raise(SIGUSR1);
    }
    printf("signals %d %d %d %d\n", caught[SIGSEGV], caught[SIGFPE], caught[SIGILL], caught[SIGUSR1]);
}

static void test_fork(void)
{
    int sum = 0;
    for (int i = 0; i < 30; i++) {
        int p[2], status = 0, got = 0;
        if (pipe(p))
            exit(1);
        pid_t child = fork();
        if (child == 0) {
            got = i * i;
            _exit(write(p[1], &got, sizeof got) != sizeof got);
        }
        if (child < 0 || read(p[0], &got, sizeof got) != sizeof got || waitpid(child, &status, 0) != child || status)
            exit(1);
        close(p[0]);
        close(p[1]);
        sum += got;
    }
    printf("fork %d\n", sum);
}

static void test_mmap(void)
{
    size_t size = 4 << 20;
    uint32_t sum = 0;
    for (int round = 0; round < 4; round++) {
        uint32_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            exit(1);
        for (size_t i = 0; i < size / 4; i += 256) {
            sum += p[i]; // zero
            p[i] = (uint32_t)i;
        }
        if (mprotect(p, size, PROT_READ) || munmap(p + size / 8, size / 2))
            exit(1);
        for (size_t i = 0; i < size / 8; i += 256)
            sum += p[i];
        munmap(p, size / 2);
    }
    printf("mmap %08x\n", sum);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long shared;
static __thread int mine;

static void *count(void *unused)
{
    for (int i = 0; i < 20000; i++) {
        mine++; // through GS
        pthread_mutex_lock(&lock);
        shared++;
        pthread_mutex_unlock(&lock);
    }
    return (void *)(intptr_t)mine;
}

static void test_threads(void)
{
    pthread_t t[4];
    long sum = 0;
    for (int i = 0; i < 4; i++)
        if (pthread_create(&t[i], NULL, count, NULL))
            exit(1);
    for (int i = 0; i < 4; i++) {
        void *r;
        pthread_join(t[i], &r);
        sum += (long)(intptr_t)r;
    }
    printf("threads %ld %ld\n", shared, sum);
}

int main(void)
{
    test_integers();
    test_x87();
    test_strings();
    test_signals();
    test_mmap();
    fflush(stdout);
    test_fork();
    test_threads();
    return 0;
}
