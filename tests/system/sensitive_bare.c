// SPDX-License-Identifier: MIT
// What the 17 sensitive instructions return when a user process runs them as they are, on this host.
//
// The companion of sensitive.c: it runs natively and shows why each needs a rule. It passes when at least one
// instruction did not trap and gave the host's state; each line says what came back or which signal.
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static sigjmp_buf back;
static int count, leaked;

static void on_signal(int sig) { siglongjmp(back, sig); }

#define BARE(name, expr)                                                                            \
    do {                                                                                            \
        count++;                                                                                    \
        int sig = sigsetjmp(back, 1);                                                               \
        unsigned long v = 0;                                                                        \
        if (sig == 0) {                                                                             \
            v = (expr);                                                                             \
            leaked++;                                                                               \
            printf("ok %d - bare %-28s did not trap: %#lx is the host's\n", count, name, v);        \
        } else {                                                                                    \
            printf("ok %d - bare %-28s raised signal %d (%s)\n", count, name, sig, strsignal(sig)); \
        }                                                                                           \
    } while (0)

#define ASM_VALUE(text, ...)                                             \
    ({                                                                   \
        unsigned long v_ = 0;                                            \
        asm volatile(text : "+a"(v_) : : "memory", "cc", ##__VA_ARGS__); \
        v_;                                                              \
    })

struct __attribute__((packed)) pseudo {
    uint16_t limit;
    uint64_t base;
};

static unsigned long table_base(int which)
{
    struct pseudo p = {0, 0};
    if (which == 0)
        asm volatile("sgdt %0" : "=m"(p));
    else
        asm volatile("sidt %0" : "=m"(p));
    return p.base;
}

int main(void)
{
    const int signals[] = {SIGSEGV, SIGILL, SIGBUS, SIGTRAP, SIGFPE};
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], on_signal);
    BARE("SGDT", table_base(0));
    BARE("SIDT", table_base(1));
    BARE("SLDT", ASM_VALUE("sldt %%eax"));
    BARE("SMSW", ASM_VALUE("smsw %%rax"));
    BARE("STR", ASM_VALUE("str %%eax"));
    BARE("PUSHF (IF is the host's)", ASM_VALUE("pushfq; pop %%rax"));
    BARE("POPF (IF cleared? reads back)", ASM_VALUE("pushfq; andl $~0x200, (%%rsp); popfq; pushfq; pop %%rax"));
    BARE("LAR of selector 10h", ASM_VALUE("mov $0x10, %%ecx; lar %%ecx, %%eax; jz 1f; mov $0, %%eax; 1:", "rcx"));
    BARE("LSL of selector 33h", ASM_VALUE("mov $0x33, %%ecx; lsl %%ecx, %%eax; jz 1f; mov $0, %%eax; 1:", "rcx"));
    BARE("VERR of selector 10h (ZF)", ASM_VALUE("mov $0x10, %%ecx; verr %%cx; setz %%al", "rcx"));
    BARE("VERW of selector 2Bh (ZF)", ASM_VALUE("mov $0x2b, %%ecx; verw %%cx; setz %%al", "rcx"));
    BARE("MOV from CS", ASM_VALUE("mov %%cs, %%eax"));
    BARE("MOV to DS of selector 10h", ASM_VALUE("mov $0x10, %%eax; mov %%eax, %%ds; mov %%ds, %%eax"));
    BARE("PUSH FS", ASM_VALUE("push %%fs; pop %%rax"));
    BARE("POP GS of selector 10h", ASM_VALUE("push $0x10; pop %%gs; mov %%gs, %%eax"));
    BARE("far CALL to selector 8",
         ASM_VALUE("sub $8, %%rsp; movl $0, (%%rsp); movl $8, 4(%%rsp); lcall *(%%rsp); add $8, %%rsp"));
    BARE("far JMP to selector 8",
         ASM_VALUE("sub $8, %%rsp; movl $0, (%%rsp); movl $8, 4(%%rsp); ljmp *(%%rsp); add $8, %%rsp"));
    BARE("INT 42h", ASM_VALUE("int $0x42"));
    BARE("far RET to selector 33h",
         ASM_VALUE("push $0x33; lea 1f(%%rip), %%rax; push %%rax; lretq; 1: mov %%cs, %%eax"));
    BARE("IRET to CPL 0",
         ASM_VALUE("mov %%rsp, %%rcx; push $0x18; push %%rcx; pushfq; push $0x10; push $0; iretq", "rcx"));
    printf("1..%d\n# %d of %d did not trap\n", count, leaked, count);
    return leaked ? 0 : 1;
}
