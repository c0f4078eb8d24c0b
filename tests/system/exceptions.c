// SPDX-License-Identifier: MIT
// Every exception that an instruction can raise, in 64-bit mode: vector, error code, saved RIP, CR2, RF.
// SDM vol. 3A, chapter 6 "Interrupt and Exception Handling", section 6.15 "Exception and Interrupt
// Reference".
#include "paging64.h"

SNIP(x_divide, "mov $1, %eax; xor %edx, %edx; xor %ecx, %ecx\n" AT(x_divide_at) "div %ecx");
SNIP(x_divide_big, "mov $1, %edx; mov $1, %ecx\n" AT(x_divide_big_at) "div %ecx");
SNIP(x_idiv_min, "movabs $0x8000000000000000, %rax; cqo; mov $-1, %rcx\n" AT(x_idiv_min_at) "idiv %rcx");
LABEL(x_divide_at);
LABEL(x_divide_big_at);
LABEL(x_idiv_min_at);

static void test_divide(void)
{
    struct state s = kernel_state(x_divide);
    s.rflags |= FL_CF | FL_ZF;
    run(&s);
    check_exc("#DE by DIV by zero", &s, EXC_DE, NO_ERROR, x_divide_at);
    check_eq("#DE leaves EAX", s.r[RAX], 1);
    check_eq("RF set in the frame of #DE", s.rflags & FL_RF, FL_RF);
    s = user_state(x_divide_big);
    run(&s);
    check_exc("#DE by quotient overflow, CPL 3", &s, EXC_DE, NO_ERROR, x_divide_big_at);
    check_eq("#DE at CPL 3 saves CS", s.cs, UCODE);
    check_eq("#DE at CPL 3 saves SS", s.ss, UDATA);
    check_eq("#DE at CPL 3 saves RSP", s.r[RSP], ustack_top());
    s = kernel_state(x_idiv_min);
    run(&s);
    check_exc("#DE by IDIV of the least number by -1", &s, EXC_DE, NO_ERROR, x_idiv_min_at);
}

SNIP(x_int3, "int3\n" AT(x_int3_after) "nop");
SNIP(x_int3_cd, ".byte 0xcd, 3\n" AT(x_int3_cd_after) "nop");
SNIP(x_int1, ".byte 0xf1\n" AT(x_int1_after) "nop");
SNIP(x_ud2, AT(x_ud2_at) "ud2");
SNIP(x_ud_op, AT(x_ud_op_at) ".byte 0x06");                       // PUSH ES does not exist in 64-bit mode
SNIP(x_ud_lock, AT(x_ud_lock_at) ".byte 0xf0, 0x90");             // LOCK NOP
SNIP(x_ud_lockreg, AT(x_ud_lockreg_at) ".byte 0xf0, 0x01, 0xc8"); // LOCK ADD EAX, ECX
SNIP(x_ud_movcs, AT(x_ud_movcs_at) ".byte 0x8e, 0xc8");           // MOV CS, EAX
SNIP(x_ud_lea, AT(x_ud_lea_at) ".byte 0x8d, 0xc0");               // LEA of a register
SNIP(x_ud_crx, AT(x_ud_crx_at) ".byte 0x0f, 0x20, 0xc8");         // MOV EAX, CR1
SNIP(x_toolong, AT(x_toolong_at) ".fill 15, 1, 0x66; nop");
SNIP(x_len15, ".fill 14, 1, 0x66; nop");
LABEL(x_int3_after);
LABEL(x_int3_cd_after);
LABEL(x_int1_after);

static void test_traps(void)
{
    idt_default(EXC_BP, 0xee);
    struct state s = user_state(x_int3);
    run(&s);
    check_exc("INT3 at CPL 3 is a trap: RIP after it", &s, EXC_BP, NO_ERROR, x_int3_after);
    check_eq("#BP frame has RF clear (trap)", s.rflags & FL_RF, 0);
    s = kernel_state(x_int3_cd);
    run(&s);
    check_exc("CD 03", &s, EXC_BP, NO_ERROR, x_int3_cd_after);
    idt_default(EXC_BP, 0x8e);
    s = user_state(x_int3);
    run(&s); // INT3 is checked against the gate's DPL: vol. 2A, "INT n/INTO/INT3/INT1"
    check_exc("INT3 through a DPL 0 gate", &s, EXC_GP, EXC_BP * 8 + 2, x_int3);
    s = user_state(x_int1);
    run(&s); // ... INT1 is not: "the INT1 ... behaves as a hardware exception" for DPL and EXT
    check_exc("INT1 through a DPL 0 gate is a #DB trap", &s, EXC_DB, NO_ERROR, x_int1_after);
}

static void check_ud(const char *name, const char *at)
{
    struct state s = kernel_state(at);
    run(&s);
    check_exc(name, &s, EXC_UD, NO_ERROR, at);
    s = user_state(at);
    run(&s);
    ok(s.vec == EXC_UD && s.rip == (ureg)USER(at), "%s, CPL 3", name);
}

static void test_invalid(void)
{
    check_ud("#UD by UD2", x_ud2);
    check_ud("#UD by 06h (PUSH ES)", x_ud_op);
    check_ud("#UD by LOCK NOP", x_ud_lock);
    check_ud("#UD by LOCK with a register destination", x_ud_lockreg);
    check_ud("#UD by MOV to CS", x_ud_movcs);
    check_ud("#UD by LEA of a register", x_ud_lea);
    struct state s = kernel_state(x_ud_crx);
    run(&s);
    check_exc("#UD by MOV from CR1 at CPL 0", &s, EXC_UD, NO_ERROR, x_ud_crx);
    s = kernel_state(x_toolong);
    run(&s); // vol. 3A, 6.15: "instruction length limit of 15 bytes" is #GP(0)
    check_exc("#GP by an instruction of 16 bytes", &s, EXC_GP, 0, x_toolong);
    s = kernel_state(x_len15);
    run(&s);
    check_done("an instruction of 15 bytes runs", &s);
}

SNIP(x_nm_fpu, "fld1");
SNIP(x_nm_sse, "addps %xmm0, %xmm1");
SNIP(x_nm_mmx, "paddb %mm0, %mm1");
SNIP(x_nm_wait, "fwait");
SNIP(x_sse_int, "pause; lfence; prefetcht0 (%rax); movnti %rax, (%rbx)");

static void check_fpu(const char *name, const char *at, ureg cr0, unsigned vec)
{
    ureg old = read_cr0();
    write_cr0((old & ~(ureg)(CR0_TS | CR0_EM | CR0_MP)) | cr0);
    struct state s = user_state(at);
    uint64_t word;
    s.r[RAX] = s.r[RBX] = (ureg)USER(ustack);
    run(&s);
    write_cr0(old);
    (void)word;
    check_exc(name, &s, vec, NO_ERROR, vec == EXC_DONE ? NULL : at);
}

// SDM vol. 3A, section 2.5 "Control Registers", table 2-3, and section 13.1 on SSE.
static void test_no_fpu(void)
{
    check_fpu("TS: x87 is #NM", x_nm_fpu, CR0_TS, EXC_NM);
    check_fpu("TS: SSE is #NM", x_nm_sse, CR0_TS, EXC_NM);
    check_fpu("TS: MMX is #NM", x_nm_mmx, CR0_TS, EXC_NM);
    check_fpu("EM: x87 is #NM", x_nm_fpu, CR0_EM, EXC_NM);
    check_fpu("EM: SSE is #UD", x_nm_sse, CR0_EM, EXC_UD);
    check_fpu("EM: MMX is #UD", x_nm_mmx, CR0_EM, EXC_UD);
    check_fpu("TS and EM: SSE is #UD", x_nm_sse, CR0_TS | CR0_EM, EXC_UD);
    check_fpu("TS without MP: WAIT runs", x_nm_wait, CR0_TS, EXC_DONE);
    check_fpu("TS with MP: WAIT is #NM", x_nm_wait, CR0_TS | CR0_MP, EXC_NM);
    check_fpu("EM with MP: WAIT runs", x_nm_wait, CR0_EM | CR0_MP, EXC_DONE);
    check_fpu("TS: PAUSE, LFENCE, PREFETCH, MOVNTI run", x_sse_int, CR0_TS, EXC_DONE);
    ureg cr4 = read_cr4();
    write_cr4(cr4 & ~(ureg)0x200);
    check_fpu("CR4.OSFXSR clear: SSE is #UD", x_nm_sse, 0, EXC_UD);
    check_fpu("CR4.OSFXSR clear: x87 runs", x_nm_wait, 0, EXC_DONE);
    write_cr4(cr4);
}

SNIP(x_load_ds, "mov %eax, %ds");
SNIP(x_load_ss, "mov %eax, %ss");
SNIP(x_ltr, "ltr %ax");
SNIP(x_lldt, "lldt %ax");

static void check_selector(const char *name, const char *at, ureg sel, unsigned vec, ureg err)
{
    struct state s = kernel_state(at);
    s.r[RAX] = sel;
    run(&s);
    check_exc(name, &s, vec, err, at);
}

static void test_selectors(void)
{
    gdt_set(FREE_SEL, make_desc(0, 0xfffff, 0x13, 0xc));     // data, not present
    gdt_set(FREE_SEL + 8, make_desc(0, 0xfffff, 0x99, 0xa)); // execute-only code
    gdt_set(FREE_SEL + 16, make_desc(0, 0xfff, 0x09, 0));    // TSS, not present
    gdt_set(FREE_SEL + 24, 0);
    gdt_set(FREE_SEL + 32, make_desc(0, 0xfff, 0x02, 0)); // LDT, not present
    gdt_set(FREE_SEL + 40, 0);
    gdt_set(FREE_SEL + 48, make_desc(0, 0xfff, 0x8b, 0)); // busy TSS
    gdt_set(FREE_SEL + 56, 0);
    check_selector("DS: descriptor not present is #NP(sel)", x_load_ds, FREE_SEL, EXC_NP, FREE_SEL);
    check_selector("DS: the RPL is not in the error code", x_load_ds, FREE_SEL | 3, EXC_GP, FREE_SEL);
    check_selector("SS: descriptor not present is #SS(sel)", x_load_ss, FREE_SEL, EXC_SS, FREE_SEL);
    check_selector("DS: execute-only code is #GP(sel)", x_load_ds, FREE_SEL + 8, EXC_GP, FREE_SEL + 8);
    check_selector("SS: code is #GP(sel)", x_load_ss, KCODE, EXC_GP, KCODE);
    check_selector("SS: RPL above CPL is #GP(sel)", x_load_ss, KDATA | 3, EXC_GP, KDATA);
    check_selector("DS: beyond the GDT limit is #GP(sel)", x_load_ds, 64 * 8, EXC_GP, 64 * 8);
    check_selector("DS: LDT selector without an LDT is #GP(sel)", x_load_ds, 0x0c, EXC_GP, 0x0c);
    check_selector("LTR: not present is #NP(sel)", x_ltr, FREE_SEL + 16, EXC_NP, FREE_SEL + 16);
    check_selector("LTR: busy is #GP(sel)", x_ltr, FREE_SEL + 48, EXC_GP, FREE_SEL + 48);
    check_selector("LLDT: not present is #NP(sel)", x_lldt, FREE_SEL + 32, EXC_NP, FREE_SEL + 32);
    check_selector("LLDT: data descriptor is #GP(sel)", x_lldt, KDATA, EXC_GP, KDATA);
    struct state s = user_state(x_load_ss);
    run(&s);
    check_exc("SS: null at CPL 3 is #GP(0)", &s, EXC_GP, 0, x_load_ss);
    s = kernel_state(x_load_ss);
    run(&s);
    check_done("SS: null at CPL 0 in 64-bit mode is allowed", &s);
}

SNIP(x_cli, "cli");
SNIP(x_hlt, "hlt");
SNIP(x_in, "in $0x71, %al");
SNIP(x_rdmsr, "rdmsr");
SNIP(x_wrmsr, "wrmsr");
SNIP(x_movcr, "mov %rax, %cr0");
SNIP(x_movcr4, "mov %rax, %cr4");
SNIP(x_lgdt, "lgdt (%rax)");
SNIP(x_clts, "clts");
SNIP(x_invlpg, "invlpg (%rax)");
SNIP(x_wbinvd, "wbinvd");
SNIP(x_swapgs, "swapgs");
SNIP(x_sysret, "sysretq");
SNIP(x_lmsw, "lmsw %ax");
SNIP(x_movdr, "mov %dr7, %rax");

static void test_privilege(void)
{
    static const struct {
        const char *name, *at;
    } rows[] = {
        {"CLI", x_cli},       {"HLT", x_hlt},        {"IN", x_in},         {"RDMSR", x_rdmsr}, {"WRMSR", x_wrmsr},
        {"MOV CR0", x_movcr}, {"MOV CR4", x_movcr4}, {"LGDT", x_lgdt},     {"CLTS", x_clts},   {"INVLPG", x_invlpg},
        {"WBINVD", x_wbinvd}, {"SWAPGS", x_swapgs},  {"SYSRET", x_sysret}, {"LMSW", x_lmsw},   {"MOV DR7", x_movdr},
        {"LTR", x_ltr},       {"LLDT", x_lldt},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct state s = user_state(rows[i].at);
        s.r[RAX] = (ureg)USER(ustack);
        run(&s);
        ok(s.vec == EXC_GP && s.err == 0 && s.rip == (ureg)USER(rows[i].at), "#GP(0) by %s at CPL 3", rows[i].name);
    }
}

SNIP(x_load, "mov (%rax), %rbx");
SNIP(x_store, "mov %rbx, (%rax)");
SNIP(x_load_rbp, "mov (%rbp), %rbx");
SNIP(x_push, "push %rbx");
SNIP(x_call, "call *%rax");
SNIP(x_jmp, "jmp *%rax");
SNIP(x_ret, "push %rax\n" AT(x_ret_at) "ret");
SNIP(x_load_ss_over, ".byte 0x36; mov (%rax), %rbx"); // SS override on RAX
LABEL(x_ret_at);

// SDM vol. 1, section 3.3.7.1 "Canonical Addressing"; vol. 3A, 6.15 on #SS: stack references are #SS(0).
static void test_non_canonical(void)
{
    const ureg bad = 0x0000800000000000, edge = 0x00007ffffffffffc;
    struct state s = kernel_state(x_load);
    s.r[RAX] = bad;
    run(&s);
    check_exc("non-canonical load is #GP(0)", &s, EXC_GP, 0, x_load);
    s = kernel_state(x_store);
    s.r[RAX] = 0xffff7fffffffffff;
    run(&s);
    check_exc("non-canonical store is #GP(0)", &s, EXC_GP, 0, x_store);
    s = kernel_state(x_load);
    s.r[RAX] = edge;
    run(&s);
    check_exc("a load that ends beyond the canonical hole's edge is #GP(0)", &s, EXC_GP, 0, x_load);
    s = kernel_state(x_load_rbp);
    s.r[RBP] = bad;
    run(&s);
    check_exc("non-canonical by RBP is #SS(0)", &s, EXC_SS, 0, x_load_rbp);
    s = user_state(x_push);
    s.r[RSP] = bad + 8;
    run(&s);
    check_exc("non-canonical PUSH is #SS(0)", &s, EXC_SS, 0, x_push);
    check_eq("... and RSP is unchanged", s.r[RSP], bad + 8);
    s = user_state(x_load_ss_over);
    s.r[RAX] = bad;
    run(&s); // the override is named in vol. 3A 6.15: "any ... that implicitly or explicitly uses SS"
    ok((s.vec == EXC_GP || s.vec == EXC_SS) && s.err == 0, "non-canonical with an SS override is #SS(0) or #GP(0)");
    s = kernel_state(x_jmp);
    s.r[RAX] = bad;
    run(&s);
    check_exc("JMP to a non-canonical address is #GP(0) at the JMP", &s, EXC_GP, 0, x_jmp);
    s = user_state(x_call);
    s.r[RAX] = bad;
    run(&s);
    check_exc("CALL to a non-canonical address is #GP(0) at the CALL", &s, EXC_GP, 0, x_call);
    check_eq("... and nothing was pushed", s.r[RSP], ustack_top());
    s = user_state(x_ret);
    s.r[RAX] = bad;
    run(&s);
    check_exc("RET to a non-canonical address is #GP(0) at the RET", &s, EXC_GP, 0, x_ret_at);
    check_eq("... and nothing was popped", s.r[RSP], ustack_top() - 8);
}

// SDM vol. 3A, section 4.7 "Page-Fault Exceptions": CR2 and the error code; the rest is in paging.c.
static void test_page_fault(void)
{
    struct state s = kernel_state(x_load);
    s.r[RAX] = TEST_VA + 0x123;
    run(&s);
    check_exc("#PF by a kernel load of a missing page", &s, EXC_PF, 0, x_load);
    check_eq("... CR2", s.cr2, TEST_VA + 0x123);
    check_eq("RF set in the frame of #PF", s.rflags & FL_RF, FL_RF);
    s = kernel_state(x_store);
    s.r[RAX] = HIGH_VA + 8;
    run(&s);
    check_exc("#PF by a kernel store", &s, EXC_PF, 2, x_store);
    check_eq("... CR2", s.cr2, HIGH_VA + 8);
    s = user_state(x_load);
    s.r[RAX] = (ureg)kstack;
    run(&s);
    check_exc("#PF by a user load of a supervisor page", &s, EXC_PF, 5, x_load);
    check_eq("... CR2", s.cr2, (ureg)kstack);
    s = user_state(x_store);
    s.r[RAX] = TEST_VA;
    run(&s);
    check_exc("#PF by a user store of a missing page", &s, EXC_PF, 6, x_store);
    s = user_state(x_call);
    s.r[RAX] = (ureg)x_call;
    run(&s);
    ok(s.vec == EXC_PF && s.rip == (ureg)x_call && s.cr2 == (ureg)x_call && (s.err == 5 || s.err == 0x15),
       "#PF by a user fetch of a supervisor page is at the target");
    check_eq("... with I set when EFER.NXE is", s.err, 0x15);
    check_eq("... after the return address was pushed", s.r[RSP], ustack_top() - 8);
}

SNIP(x_ac, "mov 1(%rax), %ebx");
SNIP(x_ac_push, "pushq $0");

// SDM vol. 3A, 6.15 "Interrupt 17 - Alignment Check Exception (#AC)".
static void test_alignment(void)
{
    ureg cr0 = read_cr0();
    write_cr0(cr0 | CR0_AM);
    struct state s = user_state(x_ac);
    s.r[RAX] = (ureg)USER(ustack);
    s.rflags |= FL_AC;
    run(&s);
    check_exc("#AC(0) by a misaligned load, AM and AC, CPL 3", &s, EXC_AC, 0, x_ac);
    s = user_state(x_ac);
    s.r[RAX] = (ureg)USER(ustack);
    run(&s);
    check_done("no #AC without EFLAGS.AC", &s);
    s = user_state(x_ac_push);
    s.r[RSP] -= 4;
    s.rflags |= FL_AC;
    run(&s);
    check_exc("#AC(0) by a misaligned PUSH", &s, EXC_AC, 0, x_ac_push);
    s = kernel_state(x_ac);
    s.r[RAX] = (ureg)kstack;
    s.rflags |= FL_AC;
    run(&s);
    check_done("no #AC at CPL 0", &s);
    write_cr0(cr0 & ~(ureg)CR0_AM);
    s = user_state(x_ac);
    s.r[RAX] = (ureg)USER(ustack);
    s.rflags |= FL_AC;
    run(&s);
    check_done("no #AC without CR0.AM", &s);
    write_cr0(cr0);
}

SNIP(x_align16, "movaps 8(%rax), %xmm0");
SNIP(x_align16_ok, "movaps (%rax), %xmm0; movups 8(%rax), %xmm1");

static void test_sse_alignment(void)
{
    struct state s = user_state(x_align16);
    s.r[RAX] = (ureg)USER(ustack);
    run(&s); // vol. 3A, 6.15: "(#GP) a memory operand that is not aligned on a 16-byte boundary"
    check_exc("#GP(0) by misaligned MOVAPS", &s, EXC_GP, 0, x_align16);
    s = user_state(x_align16_ok);
    s.r[RAX] = (ureg)USER(ustack);
    run(&s);
    check_done("aligned MOVAPS and MOVUPS run", &s);
}

void test_main(void)
{
    test_divide();
    test_traps();
    test_invalid();
    test_no_fpu();
    test_selectors();
    test_privilege();
    test_non_canonical();
    test_page_fault();
    test_alignment();
    test_sse_alignment();
}
