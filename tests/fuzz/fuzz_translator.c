// SPDX-License-Identifier: MIT
// Fuzzes the translator against the interpreter: the input is user code and the registers it starts with, on the machine of
// tests/insn. What a program could see afterwards must be the same.
//
// The interpreter goes first: code that does not end soon, or is not the same twice, is left alone. Flags are live
// everywhere here (ACCEL_NO_FLAGS), since random code reads those that instructions leave undefined.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/accel.h"
#include "cpu/cpu.h"
#include "cpu/fpu.h"
#include "cpu/interrupt.h"
#include "tests/insn/testcase.h"
#include "translator/interp_int.h"
#include "translator/tb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS = 500, REGS = 16, HEAD = 2 + REGS };

static bool interpret, skip;

// As in tests/insn/legacy.c: where the last x87 instruction was; time; random numbers. And what tells its own address.
static bool not_repeatable(const struct insn *in)
{
    return in->class == IC_XSTATE || (in->map == MAP_0F && (in->opcode == 0x31 || in->opcode == 0xa2)) ||
           (in->map == MAP_0F && in->opcode == 0x01) || (in->map == MAP_0F && in->opcode == 0xc7) ||
           (in->uses_x87 && in->has_mem && (in->opcode == 0xd9 || in->opcode == 0xdd) && (in->modrm >> 3 & 7) == 6);
}

static void run_interp(struct cpu *cpu)
{
    volatile unsigned n = 0;
    if (setjmp(cpu->unwind))
        cpu_deliver_exception(cpu);
    while (!(cpu_requests(cpu) & (CPU_REQ_STOP | CPU_REQ_RESET)) && !skip) {
        if (n++ > STEPS || cpu->gpr[RCX] > 0x1000 || cpu->halted)
            skip = true; // a REP of gigabytes would take long
        else
            interp_step(bt_of(cpu)->interp);
        skip |= not_repeatable(&bt_of(cpu)->interp->cur->insn);
    }
    cpu_fpu_save(cpu);
}

static void run(struct cpu *cpu, uint64_t max_insns)
{
    if (interpret)
        run_interp(cpu);
    else
        accel_bt.run(cpu, max_insns);
}

static int init(struct cpu *cpu, const struct accel_config *cfg) { return accel_bt.init(cpu, cfg); }
static const struct accel_ops both = {.name = "both", .init = init, .run = run};

// Registers that point into the data area, mostly: a byte each says where.
static void make_case(struct testcase *tc, const uint8_t *data, size_t size)
{
    memset(tc, 0, sizeof(*tc));
    tc->mode32 = data[0] & 1;
    tc->high_code = !tc->mode32 && data[0] & 2;
    tc->entry = (tc->high_code ? CODE_HI : CODE_LO) + (data[1] & 63) * PAGE_SIZE + (data[0] & 4 ? PAGE_SIZE - 8 : 64);
    if ((data[1] & 63) == CODE_PAGES - 1)
        tc->entry -= PAGE_SIZE;
    for (unsigned i = 0; i < REGS; i++) {
        uint8_t b = data[2 + i];
        gva at = (!tc->mode32 && b & 128 ? DATA_HI : DATA_LO) + (gva)(b % DATA_PAGES) * PAGE_SIZE;
        tc->start.gpr[i] = b & 64 ? at + (b >> 1) * 37u : b & 32 ? b : 0ull - b;
        if (tc->mode32)
            tc->start.gpr[i] = i < 8 ? (uint32_t)tc->start.gpr[i] : 0;
    }
    tc->start.gpr[RCX] &= 0xff;
    tc->start.gpr[RSP] = DATA_LO + 10 * PAGE_SIZE + (data[2] & 7);
    tc->start.rflags = 2 | FL_IF | (data[1] & 64 ? FL_CF : 0);
    native_xsave_template(tc->start.xsave);
    tc->code_len = (unsigned)(size < CODE_MAX - 8 ? size : CODE_MAX - 8) - HEAD;
    memcpy(tc->code, data + HEAD, tc->code_len);
    memset(tc->code + tc->code_len, 0xcc, 8); // INT3
    tc->code_len += 8;
}

// Two faults of one instruction: which of two bad addresses comes first depends on the CPU; and translated code looks
// at the address before a pending x87 exception, which then follows once the address is good (a CPU: the other way
// round).
static bool either_fault(const struct outcome *a, const struct outcome *b)
{
    const uint32_t faults = 1u << EXC_SS | 1u << EXC_GP | 1u << EXC_PF | 1u << EXC_MF | 1u << EXC_AC;
    return a->vector != b->vector && a->vector < 32 && b->vector < 32 && a->m.rip == b->m.rip &&
           faults >> a->vector & 1 && faults >> b->vector & 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct testcase tc;
    static struct outcome want, got;
    static uint8_t memory[DATA_SIZE];
    static bool up;
    if (!up && (native_init() || guest_init(&both, ACCEL_NO_FLAGS)))
        abort();
    up = true;
    if (size <= HEAD)
        return 0;
    make_case(&tc, data, size);
    interpret = true;
    skip = false;
    guest_run(&tc, &want);
    if (skip || want.lost)
        return 0;
    memcpy(memory, want.data, DATA_SIZE); // guest_run() has one buffer
    want.data = memory;
    // A CALL to an address that is not canonical: translated code has written the return address by then, below RSP.
    if (want.vector == EXC_GP && want.m.gpr[RSP] - 8 - DATA_LO < DATA_SIZE - 8)
        tc.ignore[tc.ignores++] = (struct range){(uint32_t)(want.m.gpr[RSP] - 8 - DATA_LO), 8};
    interpret = false;
    guest_run(&tc, &got);
    if (either_fault(&want, &got))
        return 0;
    if (compare_outcomes(&tc, &want, &got, "", "", NULL)) {
        compare_outcomes(&tc, &want, &got, "interp", "bt", stderr);
        abort();
    }
    return 0;
}
