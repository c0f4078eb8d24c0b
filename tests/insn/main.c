// SPDX-License-Identifier: MIT
// insn-diff: runs generated instruction sequences on the host CPU and under an accelerator, and compares.
//
// Each accelerator gets a process of its own, started by a parent that watches it: a crash or a hang of the
// engine is a finding like any other, is reported with its seed, and the run goes on after it.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cpu/accel.h"
#include "tests/insn/legacy.h"
#include "tests/insn/testcase.h"

struct options {
    uint64_t seed, count;
    double seconds;
    const char *accel;
    unsigned max_failures;
    uint32_t disable;
    bool verbose, show, exact;
    struct gen_config gen;
};

// Shared between the parent and a worker.
struct progress {
    uint64_t seed, done, failures, faults;
    bool finished;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// --- one case ------------------------------------------------------------------------------------------

static struct testcase tc;
static struct outcome want, got;

static void run_native_twice(void)
{
    static uint8_t data[DATA_SIZE];
    native_run(&tc, &got);
    memcpy(data, got.data, DATA_SIZE);
    got.data = data;
    native_run(&tc, &want);
}

static void run_both(const char *accel)
{
    if (strcmp(accel, "native") == 0) {
        run_native_twice();
        return;
    }
    native_run(&tc, &want);
    guest_run(&tc, &got);
}

// Drops instructions as long as the outcomes still differ. A drop may make the case meaningless (an address
// register not set up), never wrong: both sides run the same bytes.
static void minimise(const char *accel)
{
    bool again = true;
    for (unsigned round = 0; again && round < 4; round++) {
        again = false;
        for (unsigned i = tc.units - 1; i-- > 0;) {
            if (tc.unit[i].dropped || tc.unit[i].keep)
                continue;
            tc.unit[i].dropped = true;
            testcase_layout(&tc);
            run_both(accel);
            if (compare_outcomes(&tc, &want, &got, "", "", NULL))
                again = true;
            else
                tc.unit[i].dropped = false;
        }
    }
    testcase_layout(&tc);
    run_both(accel);
}

static void report(const struct options *o, const char *accel)
{
    printf("\nseed %llu: %s differs from the host\n", (unsigned long long)tc.seed, accel);
    if (o->verbose) {
        report_case(&tc, stdout);
        compare_outcomes(&tc, &want, &got, "host", accel, stdout);
        printf(" minimised:\n");
        fflush(stdout);
    }
    minimise(accel);
    report_case(&tc, stdout);
    if (!compare_outcomes(&tc, &want, &got, "host", accel, stdout))
        printf("  (no longer differs when run again)\n");
    printf("  host: vector %u error %x at %llx", want.vector, want.error, (unsigned long long)want.m.rip);
    printf("   again: insn-diff -accel %s -seed %llu -count 1 -verbose%s%s%s\n", accel, (unsigned long long)tc.seed,
           o->gen.mode == 32   ? " -mode 32"
           : o->gen.mode == 64 ? " -mode 64"
                               : "",
           o->gen.filter ? " -filter " : "", o->gen.filter ? o->gen.filter : "");
    fflush(stdout);
}

// --- worker and parent ---------------------------------------------------------------------------------

static int worker(const struct options *o, const char *accel, struct progress *p, double deadline)
{
    const struct accel_ops *ops = strcmp(accel, "native") == 0 ? NULL : accel_find(accel);
    // Translated code does not keep flags that are overwritten further on before they are read, even if an
    // instruction in between faults.
    tc.lax_flags = strcmp(accel, "bt") == 0 && !o->exact;
    if (native_init())
        return 2;
    if (strcmp(accel, "native") != 0 && (!ops || guest_init(ops, o->disable)))
        return 2;
    for (; p->done < o->count && p->failures < o->max_failures; p->done++, p->seed++) {
        if ((p->done & 255) == 0 && deadline > 0 && now() > deadline)
            break;
        gen_case(&tc, p->seed);
        if (o->show) {
            printf("seed %llu\n", (unsigned long long)p->seed);
            report_case(&tc, stdout);
            fflush(stdout);
        }
        run_both(accel);
        p->faults += want.vector != 3;
        if (compare_outcomes(&tc, &want, &got, "", "", NULL)) {
            p->failures++;
            report(o, accel);
        }
    }
    p->finished = true;
    return 0;
}

static pid_t start(const struct options *o, const char *accel, struct progress *p, double deadline)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int r = worker(o, accel, p, deadline);
        fflush(stdout);
        _exit(r);
    }
    return pid;
}

struct job {
    const char *accel;
    pid_t pid;
    struct progress *p;
    uint64_t last_done;
    double last_change;
    unsigned hangs;
    bool failed;
};

static void crashed(const struct options *o, struct job *j, const char *how, int code, double deadline)
{
    printf("\nseed %llu: %s %s %d\n", (unsigned long long)j->p->seed, j->accel, how, code);
    gen_case(&tc, j->p->seed);
    report_case(&tc, stdout);
    printf("   again: insn-diff -accel %s -seed %llu -count 1%s\n", j->accel, (unsigned long long)j->p->seed,
           o->gen.mode == 32   ? " -mode 32"
           : o->gen.mode == 64 ? " -mode 64"
                               : "");
    j->p->failures++;
    j->hangs += code == SIGKILL;
    j->p->seed++;
    j->p->done++;
    j->last_change = now();
    if (j->p->done < o->count && j->p->failures < o->max_failures && j->hangs < 3)
        j->pid = start(o, j->accel, j->p, deadline);
    else
        j->pid = 0;
}

static void watch(const struct options *o, struct job *jobs, unsigned n, double deadline)
{
    for (unsigned alive = n; alive;) {
        usleep(20000);
        alive = 0;
        for (unsigned i = 0; i < n; i++) {
            struct job *j = &jobs[i];
            int status;
            if (!j->pid)
                continue;
            alive++;
            if (waitpid(j->pid, &status, WNOHANG) == j->pid) {
                if (WIFEXITED(status) && j->p->finished)
                    j->pid = 0;
                else if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
                    j->pid = 0, j->failed = true;
                else if (WIFEXITED(status))
                    crashed(o, j, "exited with", WEXITSTATUS(status), deadline);
                else
                    crashed(o, j, "crashed with signal", WTERMSIG(status), deadline);
            } else if (j->p->done != j->last_done) {
                j->last_done = j->p->done;
                j->last_change = now();
            } else if (now() - j->last_change > 4) {
                kill(j->pid, SIGKILL);
                waitpid(j->pid, &status, 0);
                crashed(o, j, "hangs; killed by signal", SIGKILL, deadline);
            }
        }
    }
}

static int run(const struct options *o)
{
    static const char *const both[] = {"interp", "bt"};
    struct job jobs[2] = {0};
    unsigned n = strcmp(o->accel, "both") == 0 ? 2 : 1;
    double begin = now(), deadline = o->seconds > 0 ? begin + o->seconds : 0;
    int bad = 0;
    for (unsigned i = 0; i < n; i++) {
        struct progress *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return 2;
        p->seed = o->seed;
        jobs[i] = (struct job){.accel = n == 2 ? both[i] : o->accel, .p = p, .last_change = begin};
        jobs[i].pid = start(o, jobs[i].accel, p, deadline);
    }
    watch(o, jobs, n, deadline);
    for (unsigned i = 0; i < n; i++) {
        struct progress *p = jobs[i].p;
        printf("%s: %llu sequences from seed %llu, %llu ended by a fault, %llu differ; %.0f a second\n", jobs[i].accel,
               (unsigned long long)p->done, (unsigned long long)o->seed, (unsigned long long)p->faults,
               (unsigned long long)p->failures, (double)p->done / (now() - begin));
        bad |= p->failures || jobs[i].failed || !p->done;
    }
    return bad;
}

// --- the command line ----------------------------------------------------------------------------------

static const char usage[] =
    "usage: insn-diff [-seed S] [-count N] [-time SEC] [-accel bt|interp|both|native] [-bits 64|32|16]\n"
    "                 [-filter TEXT] [-insns N] [-failures N] [-disable BITS] [-exact] [-ac] [-verbose] [-show]\n"
    "  -seed S      first seed (1); case i of a run has seed S + i\n"
    "  -count N     sequences (20000)\n"
    "  -time SEC    stop after so long\n"
    "  -accel A     what to compare with the host CPU; native: the host with itself (both)\n"
    "  -bits N      64-bit or 32-bit code only (one case in four is 32-bit); 16: code of real mode, VM86, 16-bit and\n"
    "               segmented 32-bit protected mode, bt compared with the interpreter\n"
    "  -filter TEXT draw mostly instructions of isa.def whose text contains TEXT\n"
    "  -insns N     at most N instructions drawn for a sequence (12)\n"
    "  -failures N  give up after so many differences (20)\n"
    "  -disable B   ACCEL_NO_* bits for the accelerator\n"
    "  -exact       compare the arithmetic flags after a fault under bt, too\n"
    "  -ac          POPF may set EFLAGS.AC\n"
    "  -verbose     print cases before they are minimised, too\n"
    "  -show        print every case\n";

static int parse_number(const char *s, uint64_t *v)
{
    char *end;
    errno = 0;
    *v = s ? strtoull(s, &end, 0) : 0;
    return !s || !*s || *end || errno ? -1 : 0;
}

static int parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        uint64_t n = 0;
        const struct {
            const char *name;
            uint64_t *u64;
            unsigned *u32;
            int *i32;
        } numbers[] = {
            {"-seed", &o->seed, NULL, NULL},           {"-count", &o->count, NULL, NULL},
            {"-insns", NULL, &o->gen.max_insns, NULL}, {"-failures", NULL, &o->max_failures, NULL},
            {"-disable", NULL, &o->disable, NULL},     {"-mode", NULL, NULL, &o->gen.mode},
            {"-bits", NULL, NULL, &o->gen.mode},
        };
        unsigned k = 0;
        while (k < ARRAY_SIZE(numbers) && strcmp(a, numbers[k].name) != 0)
            k++;
        if (k < ARRAY_SIZE(numbers)) {
            if (parse_number(v, &n))
                return -1;
            if (numbers[k].u64)
                *numbers[k].u64 = n;
            else if (numbers[k].u32)
                *numbers[k].u32 = (unsigned)n;
            else
                *numbers[k].i32 = (int)n;
            i++;
        } else if (strcmp(a, "-time") == 0 && v) {
            o->seconds = atof(v), i++;
        } else if (strcmp(a, "-accel") == 0 && v) {
            o->accel = v, i++;
        } else if (strcmp(a, "-filter") == 0 && v) {
            o->gen.filter = v, i++;
        } else if (strcmp(a, "-ac") == 0) {
            o->gen.ac = true;
        } else if (strcmp(a, "-exact") == 0) {
            o->exact = true;
        } else if (strcmp(a, "-verbose") == 0) {
            o->verbose = true;
        } else if (strcmp(a, "-show") == 0) {
            o->show = true;
        } else {
            return -1;
        }
    }
    bool known = strcmp(o->accel, "both") == 0 || strcmp(o->accel, "native") == 0 || accel_find(o->accel);
    return known && o->gen.max_insns &&
                   (o->gen.mode == 0 || o->gen.mode == 16 || o->gen.mode == 32 || o->gen.mode == 64)
               ? 0
               : -1;
}

int main(int argc, char **argv)
{
    struct options o = {.seed = 1, .count = 20000, .accel = "both", .max_failures = 20, .gen.max_insns = 12};
    bool counted = false;
    for (int i = 1; i < argc; i++)
        counted |= strcmp(argv[i], "-count") == 0;
    if (parse(argc, argv, &o)) {
        fputs(usage, stderr);
        return 2;
    }
    if (o.seconds > 0 && !counted)
        o.count = UINT64_MAX;
    if (o.gen.mode == 16) {
        const struct legacy_options lo = {o.seed, o.count, o.max_failures, o.disable | (o.exact ? ACCEL_NO_FLAGS : 0),
                                          o.show};
        return legacy_run(&lo);
    }
    if (isa_init() || gen_init(&o.gen))
        return 2;
    return run(&o);
}
