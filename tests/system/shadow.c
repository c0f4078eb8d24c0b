// SPDX-License-Identifier: MIT
// When an interrupt is taken: IF, the STI and MOV SS shadows, HLT, TPR, pending at POPF, CLI, IRET.
// SDM vol. 3A, section 6.8 "Enabling and Disabling Interrupts", 6.8.3 "Masking Exceptions and Interrupts When
// Switching Stacks"; vol. 2B, "STI", "MOV" (SS), "HLT"; vol. 3A, chapter 10 "APIC".
#include "test.h"

static volatile unsigned taken;
static volatile ureg taken_at;

static void on_irq(struct frame *f)
{
    taken++;
    taken_at = f->rip;
    lapic_eoi();
}

// Each is run at CPL 0 with IF clear and the interrupt pending.
SNIP(h_sti, "sti\n nop\n" AT(h_sti_at) "nop\n nop\n cli");
SNIP(h_sti_sti, "sti\n sti\n" AT(h_sti_sti_at) "nop\n nop\n cli");
SNIP(h_sti_cli, "sti\n cli\n nop\n nop");
SNIP(h_popf, "pushfq\n orq $0x200, (%rsp)\n popfq\n" AT(h_popf_at) "nop\n nop\n cli");
SNIP(h_sti_movss, "mov %ss, %eax; sti\n mov %eax, %ss\n nop\n" AT(h_sti_movss_at) "nop\n cli");
SNIP(h_movss, "mov %ss, %eax; pushfq\n orq $0x200, (%rsp)\n sti\n mov %eax, %ss\n" AT(h_movss_next) "nop\n" AT(
                  h_movss_at) "nop\n cli");
SNIP(h_sti_jmp, "sti\n jmp 1f\n ud2\n"
                "1: " AT(h_sti_jmp_at) "nop\n cli");
SNIP(h_sti_call, "lea 1f(%rip), %rax; sti\n call *%rax\n ud2\n"
                 "1: " AT(h_sti_call_at) "nop\n cli");
SNIP(h_sti_hlt, "sti\n hlt\n" AT(h_sti_hlt_at) "nop\n cli");
SNIP(h_sti_on, "nop\n" AT(h_sti_on_at) "sti\n nop\n cli");
SNIP(h_none, "nop\n nop\n nop");
SNIP(h_iret, "mov %ss, %eax; push %rax; lea 8(%rsp), %rbx; push %rbx; pushq $0x202; mov %cs, %eax; push %rax\n"
             "lea h_iret_at(%rip), %rax; push %rax; iretq\n ud2\n" AT(h_iret_at) "nop\n cli");
SNIP(h_loop, "mov $100000000, %ecx\n 1: dec %ecx; jnz 1b");
SNIP(h_loop_mem, "mov $100000000, %ecx\n 1: addl $1, (%rsp); dec %ecx; jnz 1b");
SNIP(h_self, AT(h_self_at) "jmp h_self_at"); // no instruction but itself
SNIP(h_hlt, "hlt\n" AT(h_hlt_at) "nop");
SNIP(h_cr8, "mov %rax, %cr8\n mov %cr8, %rbx");
LABEL(h_sti_at);
LABEL(h_sti_sti_at);
LABEL(h_popf_at);
LABEL(h_sti_movss_at);
LABEL(h_movss_next);
LABEL(h_movss_at);
LABEL(h_sti_jmp_at);
LABEL(h_sti_call_at);
LABEL(h_sti_hlt_at);
LABEL(h_iret_at);
LABEL(h_self_at);
LABEL(h_hlt_at);

static struct state pending(const char *code, ureg flags)
{
    taken = 0;
    lapic_self_ipi(VEC_SELF);
    // Delivery of an IPI to oneself needs no time that a program could see: wait until it is in the IRR
    // anyway.
    for (unsigned i = 0; i < 1000000 && !(lapic_read(0x220) & 2); i++)
        ;
    struct state s = kernel_state(code);
    s.rflags |= flags;
    run(&s);
    return s;
}

static void drain(void) { asm volatile("sti; nop; nop; cli" : : : "memory"); }

static void check_taken(const char *name, const char *code, const char *want)
{
    struct state s = pending(code, 0);
    bool good = s.vec == EXC_DONE && taken == (want ? 1 : 0) && (!want || taken_at == (ureg)want);
    ok(good, "%s: taken %u times, at +%ld, want +%ld", name, taken, taken ? (long)(taken_at - (ureg)code) : -1,
       want ? (long)(want - code) : -1);
    drain();
}

static void test_shadows(void)
{
    check_taken("STI: after the instruction that follows it", h_sti, h_sti_at);
    check_taken("STI; STI: the second does not extend the shadow", h_sti_sti, h_sti_sti_at);
    check_taken("STI; CLI: never", h_sti_cli, NULL);
    check_taken("POPF that sets IF: at once", h_popf, h_popf_at);
    check_taken("IRET that sets IF: at once", h_iret, h_iret_at);
    check_taken("STI; JMP: at the target", h_sti_jmp, h_sti_jmp_at);
    check_taken("STI; CALL: at the target", h_sti_call, h_sti_call_at);
    check_taken("STI; HLT: after the HLT", h_sti_hlt, h_sti_hlt_at);
    check_taken("IF clear: never", h_none, NULL);
    // MOV SS inside STI's shadow starts its own: the manual lets either place be seen for the second.
    struct state s = pending(h_sti_movss, 0);
    ok(s.vec == EXC_DONE && taken == 1 && (taken_at == (ureg)h_sti_movss_at || taken_at == (ureg)h_sti_movss_at - 1),
       "STI; MOV SS: taken %u times at +%ld", taken, (long)(taken_at - (ureg)h_sti_movss));
    s = pending(h_sti_on, FL_IF);
    ok(s.vec == EXC_DONE && taken == 1 && taken_at == (ureg)h_sti_on,
       "IF set by the framework's IRET: at the first instruction: +%ld", (long)(taken_at - (ureg)h_sti_on));
    drain();
}

static void test_priority(void)
{
    lapic_write(0x80, 0x50); // TPR above the vector's class
    check_taken("TPR above the vector's class: never", h_sti, NULL);
    lapic_write(0x80, 0);
    taken = 0;
    drain();
    check_eq("... and taken when the TPR is lowered", taken, 1);
    struct state s = kernel_state(h_cr8);
    s.r[RAX] = 7;
    run(&s);
    check_eq("CR8 reads what was written", s.r[RBX], 7);
    check_eq("CR8 is TPR[7:4]", lapic_read(0x80), 0x70);
    s = kernel_state(h_cr8);
    run(&s);
    check_eq("... and back", lapic_read(0x80), 0);
}

static ureg stop_rip;

static void on_timer_stop(struct frame *f)
{
    taken++;
    taken_at = f->rip;
    f->rip = stop_rip;
    lapic_eoi();
}

// A loop without calls must be interruptible, at both privilege levels.
static void test_loops(void)
{
    static const struct {
        const char *name, *code, *end;
    } rows[] = {
        {"a counting loop", h_loop, h_loop_end},
        {"a loop that stores", h_loop_mem, h_loop_mem_end},
        {"a jump to itself", h_self, h_self_end},
    };
    irq_hook[VEC_TIMER] = on_timer_stop;
    for (unsigned i = 0; i < 6; i++) {
        bool user = i & 1;
        struct state s = user ? user_state(rows[i / 2].code) : kernel_state(rows[i / 2].code);
        s.rflags |= FL_IF;
        stop_rip = (ureg)(user ? USER(rows[i / 2].end) : rows[i / 2].end);
        taken = 0;
        lapic_timer_oneshot(VEC_TIMER, 200000);
        run(&s);
        lapic_timer_stop();
        ok(s.vec == EXC_DONE && taken == 1, "the timer interrupts %s, CPL %d", rows[i / 2].name, user ? 3 : 0);
    }
}

static void on_pit(struct frame *f)
{
    taken++;
    taken_at = f->rip;
    pic_eoi();
}

static void test_hlt(void)
{
    irq_hook[VEC_TIMER] = on_irq;
    taken = 0;
    struct state s = kernel_state(h_hlt);
    s.rflags |= FL_IF;
    lapic_timer_oneshot(VEC_TIMER, 2000000);
    run(&s);
    ok(s.vec == EXC_DONE && taken == 1, "HLT is ended by the APIC timer");
    check_eq("... the saved RIP is after the HLT", taken_at, (ureg)h_hlt_at);
    // The 8254 through the 8259A, as ExtINT on LINT0.
    irq_hook[VEC_PIC] = on_pit;
    lapic_write(0x350, 0x700);
    pic_init(VEC_PIC, 0xfffe);
    taken = 0;
    s = kernel_state(h_hlt);
    s.rflags |= FL_IF;
    pit_oneshot(5000);
    run(&s);
    ok(s.vec == EXC_DONE && taken == 1 && taken_at == (ureg)h_hlt_at, "HLT is ended by the 8254 through the 8259A: %u",
       taken);
    outb(0x21, 0xff);
    lapic_write(0x350, 0x10000);
}

static void test_timer_time(void)
{
    uint64_t t0 = rdtsc();
    taken = 0;
    lapic_timer_oneshot(VEC_TIMER, 10000000);
    uint32_t c1 = lapic_read(0x390), c2 = lapic_read(0x390);
    ok(c1 <= 10000000 && c2 <= c1, "the APIC timer's current count falls");
    struct state s = kernel_state(h_hlt);
    s.rflags |= FL_IF;
    run(&s);
    ok(taken == 1 && rdtsc() > t0, "the time-stamp counter moves over a HLT");
}

void test_main(void)
{
    irq_hook[VEC_SELF] = on_irq;
    lapic_enable();
    test_shadows();
    test_priority();
    test_loops();
    test_hlt();
    test_timer_time();
}
