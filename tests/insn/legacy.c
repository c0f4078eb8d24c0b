// SPDX-License-Identifier: MIT
// Runs drawn 16-bit and segmented code step by step in the interpreter, then under bt, and compares all there is.
//
// One CPU serves for both: the interpreter is the one that bt itself falls back on. Exceptions go to handlers that
// write to a port and then stand still, so that both sides stop at the same instruction. A case that does not end
// within STEPS instructions, or halts, or resets, is not compared.
#include "tests/insn/legacy.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpu/accel.h"
#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "cpu/fpu.h"
#include "cpu/interrupt.h"
#include "softmmu/address_space.h"
#include "tests/insn/testcase.h"
#include "translator/interp_int.h"
#include "translator/tb.h"

// clang-format off
enum {
    STUBS16 = 0xf0000, STUBS32 = 0x180000, GDT_PA = 0x181000, IDT_PA = 0x182000, TSS_PA = 0x183000, STACK_TOP = 0x185000,
    LDT_PA = 0x186000, STEPS = 3000, PAGES = LEGACY_RAM / PAGE_SIZE, STOP_PORT = 0xf4,
};
// clang-format on

static struct ram ram;
static struct address_space *mem, *ports;
static struct cpu_model model;
static uint8_t pristine[LEGACY_RAM], want_memory[LEGACY_RAM], template_fpu[XSAVE_BYTES];

struct result {
    uint32_t gpr[8];
    uint64_t rip, rflags;
    struct segment seg[SREG_COUNT];
    uint8_t cpl;
};

// --- the machine ---------------------------------------------------------------------------------------

static void stop_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    cpu_request(opaque, CPU_REQ_STOP);
}
static uint64_t stop_read(void *opaque, uint64_t offset, unsigned size) { return 0xff; }
static const struct io_ops stop_ops = {.read = stop_read, .write = stop_write};

static int machine_init(uint32_t disable)
{
    struct accel_config cfg = {.disable = disable};
    struct cpu *cpu = &vcpu_self;
    char err[160];
    mem = as_create("memory", 1ull << 40);
    ports = as_create("I/O", 65536);
    if (ram_create(&ram, LEGACY_RAM) || !mem || !ports || !as_map_ram(mem, "ram", 0, LEGACY_RAM, &ram, 0, false, 0) ||
        !as_map_io(ports, "stop", STOP_PORT, 4, &stop_ops, cpu, 0) || cpu_model_parse("max", &model, err))
        return -1;
    cpu_init(cpu, mem, ports, &model, 0);
    if (cpu_fpu_init(cpu))
        return -1;
    cpu_reset(cpu);
    if (accel_bt.init(cpu, &cfg))
        return -1;
    native_xsave_template(template_fpu);
    return 0;
}

static void fill_pristine(void)
{
    struct rng r = {42};
    static const uint8_t stub[4] = {0xe6, STOP_PORT, 0xeb, 0xfe};
    for (unsigned i = 0; i < LEGACY_RAM; i += 8) {
        uint64_t v = rng_next(&r);
        memcpy(pristine + i, &v, 8);
    }
    memset(pristine + STUBS32, 0, LEGACY_RAM - STUBS32);
    for (unsigned v = 0; v < 256; v++) {
        uint32_t vector = (uint32_t)STUBS16 >> 4 << 16 | v * 4, at = STUBS32 + v * 4;
        uint64_t gate = (at & 0xffff) | 8ull << 16 | 0x8e00ull << 32 | (uint64_t)(at >> 16) << 48;
        if (v == EXC_BP || v == EXC_OF || v >= 0x80)
            gate |= 3ull << 45;
        memcpy(pristine + v * 4, &vector, 4);
        memcpy(pristine + STUBS16 + v * 4, stub, 4);
        memcpy(pristine + STUBS32 + v * 4, stub, 4);
        memcpy(pristine + IDT_PA + v * 8, &gate, 8);
    }
    uint32_t esp = STACK_TOP, ss = 0x10;
    memcpy(pristine + TSS_PA + 4, &esp, 4);
    memcpy(pristine + TSS_PA + 8, &ss, 4);
    uint16_t map = 0x68 + 32;
    memcpy(pristine + TSS_PA + 0x66, &map, 2);
}

// Puts memory back as it was, telling bt about pages that hold translations.
static void restore_memory(void)
{
    struct bt *bt = bt_of(&vcpu_self);
    for (unsigned p = 0; p < PAGES; p++) {
        uint8_t *at = ram.base + p * PAGE_SIZE;
        if (memcmp(at, pristine + p * PAGE_SIZE, PAGE_SIZE) == 0)
            continue;
        if (tb_page_has_code(bt, p * PAGE_SIZE))
            tb_invalidate_range(bt, p * PAGE_SIZE, PAGE_SIZE);
        memcpy(at, pristine + p * PAGE_SIZE, PAGE_SIZE);
    }
}

static void poke(gpa at, const void *src, unsigned n)
{
    for (unsigned i = 0; i < n && at + i < LEGACY_RAM; i++)
        if (tb_page_has_code(bt_of(&vcpu_self), at + i))
            tb_invalidate_range(bt_of(&vcpu_self), at + i, 1);
    if (at + n <= LEGACY_RAM)
        memcpy(ram.base + at, src, n);
}

static void load_memory(const struct legacy_case *lc)
{
    restore_memory();
    poke(GDT_PA, lc->gdt, sizeof lc->gdt);
    poke(LDT_PA, lc->ldt, sizeof lc->ldt);
    poke(TSS_PA + 0x68, lc->tss_tail, sizeof lc->tss_tail);
    uint32_t ss = (uint32_t)lc->seg[SS].base + (lc->seg[SS].attr & SEG_DB ? lc->gpr[RSP] : lc->gpr[RSP] & 0xffff);
    for (unsigned i = 0; i < 8; i++) { // return addresses
        uint16_t ip = (uint16_t)(lc->ip + lc->at[i % (lc->insns + 1)]), cs = lc->seg[CS].sel;
        poke(ss + i * 4, &ip, 2);
        poke(ss + i * 4 + 2, i & 1 ? &cs : &ip, 2);
    }
    poke((uint32_t)lc->seg[CS].base + lc->ip, lc->code, lc->len);
}

static void load_cpu(const struct legacy_case *lc)
{
    struct cpu *cpu = &vcpu_self;
    bool pe = lc->mode >= LM_VM86, ring0 = lc->mode < LM_VM86 || (lc->mode > LM_VM86 && lc->cpl0);
    for (unsigned i = 0; i < 16; i++)
        cpu->gpr[i] = i < 8 ? lc->gpr[i] : 0;
    cpu->rip = cpu->next_rip = lc->ip;
    cpu->rflags = lc->rflags;
    cpu->cpl = ring0 ? 0 : 3;
    for (unsigned i = 0; i < SREG_COUNT; i++)
        cpu->seg[i] = lc->seg[i];
    cpu->halted = cpu->nmi_blocked = false;
    cpu->shadow_sti = cpu->shadow_ss = 0;
    cpu->delivering = -1;
    cpu->cr0 = (pe ? CR0_PE : 0) | CR0_ET | CR0_NE | CR0_MP;
    cpu->cr2 = 0;
    cpu->cr4 = lc->cr4;
    for (unsigned i = 0; i < 8; i++)
        cpu->dr[i] = i == 6 ? 0xffff0ff0 : i == 7 ? 0x400 : 0;
    cpu->gdtr = (struct table_reg){GDT_PA, sizeof lc->gdt - 1};
    cpu->idtr = pe ? (struct table_reg){IDT_PA, 2047} : (struct table_reg){0, 0x3ff};
    cpu->ldtr = (struct segment){.base = LDT_PA, .limit = sizeof lc->ldt - 1, .attr = SEG_P | 0x200, .sel = 0xf8};
    cpu->tr = (struct segment){.base = TSS_PA, .limit = 0x68 + 63, .attr = SEG_P | 0xb00, .sel = 0x18};
    memcpy(cpu->xsave, template_fpu, XSAVE_BYTES);
    cpu->fpu_live = false;
    mmu_set_control(&cpu->mmu, cpu->cr0, cpu->cr4, cpu->efer);
    cpu_request_clear(cpu, CPU_REQ_STOP | CPU_REQ_RESET);
    cpu_update_mode(cpu);
}

// --- the two runs --------------------------------------------------------------------------------------

// Off the drawn instructions and the handlers: nobody knows what flags are undefined there.
static bool strayed(const struct legacy_case *lc)
{
    const struct cpu *cpu = &vcpu_self;
    uint32_t at = (uint32_t)(cpu->seg[CS].base + cpu->rip), start = (uint32_t)lc->seg[CS].base + lc->ip;
    if (at - start >= lc->len)
        return !((at >= STUBS16 && at < STUBS16 + 1024) || (at >= STUBS32 && at < STUBS32 + 1024));
    for (unsigned i = 0; i < lc->insns; i++)
        if (lc->at[i] == at - start)
            return memcmp(ram.base + at, lc->code + lc->at[i], lc->at[i + 1] - lc->at[i]) != 0;
    return at - start < lc->at[lc->insns];
}

// A repeated string instruction over gigabytes, most of them no memory.
static bool takes_long(void)
{
    const struct cpu *cpu = &vcpu_self;
    uint32_t at = (uint32_t)(cpu->seg[CS].base + cpu->rip);
    for (unsigned i = 0; (uint32_t)cpu->gpr[RCX] > 0x40000 && i < 5 && at + i < LEGACY_RAM; i++)
        if ((ram.base[at + i] & 0xfe) == 0xf2)
            return true;
    return false;
}

// FNSTENV, FNSAVE, FXSAVE show where the last x87 instruction was, which only the interpreter knows of its own; and
// RDTSC, RDTSCP, RDRAND and RDSEED are never the same twice.
static bool not_repeatable(const struct insn *in)
{
    return in->class == IC_XSTATE || (in->map == MAP_0F && in->opcode == 0x31) ||
           (in->map == MAP_0F && in->modrm == 0xf9) || (in->map == MAP_0F && in->opcode == 0xc7 && !in->has_mem) ||
           (in->uses_x87 && in->has_mem && (in->opcode == 0xd9 || in->opcode == 0xdd) && (in->modrm >> 3 & 7) == 6);
}

// False: not a case to compare.
static bool run_interp(const struct legacy_case *lc)
{
    struct cpu *cpu = &vcpu_self;
    uint64_t cr0 = cpu->cr0, cr4 = cpu->cr4;
    volatile unsigned n = 0;
    volatile bool raised = setjmp(cpu->unwind);
    for (; n < STEPS; n++) {
        if (raised) {
            n++; // handlers that fault, too, must come to an end
            cpu_deliver_exception(cpu);
        }
        raised = false;
        if (cpu->halted || cpu_requests(cpu) || cpu->cr0 != cr0 || cpu->cr4 != cr4)
            break;
        if ((!lc->exact && strayed(lc)) || takes_long())
            return false;
        interp_step(bt_of(cpu)->interp);
        cpu_fpu_save(cpu);
        if (not_repeatable(&bt_of(cpu)->interp->cur->insn))
            return false;
    }
    cpu_fpu_save(cpu);
    if (cpu->halted || cpu_requests(cpu) != CPU_REQ_STOP || cpu->cr0 != cr0 || cpu->cr4 != cr4 || cpu->dr[7] != 0x400)
        return false;
    gva at = (uint32_t)(cpu->seg[CS].base + cpu->rip);
    bool in16 = at >= STUBS16 && at < STUBS16 + 1024, in32 = at >= STUBS32 && at < STUBS32 + 1024;
    return (in16 || in32) && at % 4 == 2 && ram.base[at] == 0xeb;
}

static void capture(struct result *res)
{
    struct cpu *cpu = &vcpu_self;
    for (unsigned i = 0; i < 8; i++)
        res->gpr[i] = (uint32_t)cpu->gpr[i];
    res->rip = cpu->rip;
    res->rflags = cpu->rflags;
    res->cpl = cpu->cpl;
    for (unsigned i = 0; i < SREG_COUNT; i++)
        res->seg[i] = cpu->seg[i];
}

// --- comparison ----------------------------------------------------------------------------------------

static unsigned say(FILE *f, const char *what, uint64_t want, uint64_t got)
{
    if (want == got)
        return 0;
    if (f)
        fprintf(f, "  %-10s interp %08llx  bt %08llx\n", what, (unsigned long long)want, (unsigned long long)got);
    return 1;
}

// Where an exception's frame has its flags: translated code does not keep those that are dead, and a fault shows them.
static unsigned flags_at(const struct result *res)
{
    static const uint32_t with_error = 1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17;
    uint32_t linear = (uint32_t)(res->seg[CS].base + res->rip);
    unsigned v = (linear - STUBS32) / 4, words = linear < STUBS32 ? 4 : 8 + (v < 32 && with_error >> v & 1 ? 4 : 0);
    uint32_t sp = res->gpr[RSP] + words;
    return (uint32_t)res->seg[SS].base + (res->seg[SS].attr & SEG_DB ? sp : sp & 0xffff);
}

static unsigned compare_memory(const struct result *want, bool exact, FILE *f)
{
    unsigned n = 0, flags = exact ? UINT32_MAX : flags_at(want);
    char name[24];
    for (unsigned p = 0; p < PAGES; p++) {
        const uint8_t *a = want_memory + p * PAGE_SIZE, *b = ram.base + p * PAGE_SIZE;
        if (memcmp(a, b, PAGE_SIZE) == 0)
            continue;
        for (unsigned i = 0; i < PAGE_SIZE; i++) {
            unsigned at = p * PAGE_SIZE + i;
            uint8_t mask = at == flags ? (uint8_t)~FL_ARITH : at == flags + 1 ? (uint8_t) ~(FL_ARITH >> 8) : 0xff;
            snprintf(name, sizeof name, "mem %06x", at);
            n += say(n < 16 ? f : NULL, name, a[i] & mask, b[i] & mask);
        }
    }
    return n;
}

static unsigned compare(const struct result *want, const struct result *got, bool exact, FILE *f)
{
    static const char *const names[8] = {"EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI"};
    static const char *const segs[] = {"ES", "CS", "SS", "DS", "FS", "GS"};
    unsigned n = 0;
    uint64_t mask = exact ? ~0ull : ~(uint64_t)FL_ARITH;
    for (unsigned i = 0; i < 8; i++)
        n += say(f, names[i], want->gpr[i], got->gpr[i]);
    n += say(f, "RIP", want->rip, got->rip);
    n += say(f, "RFLAGS", want->rflags & mask, got->rflags & mask);
    n += say(f, "CPL", want->cpl, got->cpl);
    for (unsigned i = 0; i < SREG_COUNT; i++) {
        n += say(f, segs[i], want->seg[i].sel, got->seg[i].sel);
        n += say(f, "  base", want->seg[i].base, got->seg[i].base);
        n += say(f, "  limit", want->seg[i].limit, got->seg[i].limit);
        n += say(f, "  attr", want->seg[i].attr, got->seg[i].attr);
    }
    return n + compare_memory(want, exact, f);
}

// --- cases ---------------------------------------------------------------------------------------------

static void show_case(const struct legacy_case *lc, FILE *f)
{
    static struct decoder *decoder;
    static const char *const segs[] = {"ES", "CS", "SS", "DS", "FS", "GS"};
    if (!decoder && decoder_create(&decoder))
        return;
    fprintf(f, "seed %llu, %s, CPL %u\n", (unsigned long long)lc->seed, legacy_mode_name(lc->mode), vcpu_self.cpl);
    for (unsigned i = 0; i < lc->insns; i++) {
        char text[128] = "";
        unsigned n = lc->at[i + 1] - lc->at[i];
        disassemble(decoder, lc->code + lc->at[i], n < 15 ? n : 15, lc->mode == LM_PM32 ? DECODE_32 : DECODE_16,
                    lc->ip + lc->at[i], text, sizeof text);
        fprintf(f, "  %05x  ", lc->ip + lc->at[i]);
        for (unsigned k = 0; k < n; k++)
            fprintf(f, "%02x", lc->code[lc->at[i] + k]);
        fprintf(f, "%*s %s\n", n < 10 ? 2 * (10 - (int)n) : 0, "", text);
    }
    for (unsigned i = 0; i < 8; i++)
        fprintf(f, " %s=%08x", (const char *[]){"EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI"}[i], lc->gpr[i]);
    fprintf(f, "\n  RFLAGS=%llx", (unsigned long long)lc->rflags);
    for (unsigned i = 0; i < SREG_COUNT; i++)
        fprintf(f, " %s=%04x:%llx/%x/%x", segs[i], lc->seg[i].sel, (unsigned long long)lc->seg[i].base,
                lc->seg[i].limit, lc->seg[i].attr);
    fprintf(f, "\n");
}

enum verdict { SKIPPED, EQUAL, DIFFERS };

static enum verdict run_case(const struct legacy_case *lc, bool exact, FILE *f)
{
    struct result want, got;
    load_memory(lc);
    load_cpu(lc);
    if (!run_interp(lc))
        return SKIPPED;
    capture(&want);
    memcpy(want_memory, ram.base, LEGACY_RAM);
    load_memory(lc);
    load_cpu(lc);
    accel_bt.run(&vcpu_self, 0);
    cpu_fpu_save(&vcpu_self);
    capture(&got);
    unsigned n = compare(&want, &got, exact, NULL);
    if (n && f)
        compare(&want, &got, exact, f);
    return n ? DIFFERS : EQUAL;
}

// Instructions become NOPs as long as the outcomes still differ.
static void minimise(struct legacy_case *lc, bool exact)
{
    for (unsigned i = lc->insns; i-- > 0;) {
        struct legacy_case smaller = *lc;
        memset(smaller.code + lc->at[i], 0x90, lc->at[i + 1] - lc->at[i]);
        if (run_case(&smaller, exact, NULL) == DIFFERS)
            *lc = smaller;
    }
}

struct progress {
    uint64_t seed, done, compared, failures;
    bool finished;
};

static int worker(const struct legacy_options *o, struct progress *p)
{
    static struct legacy_case lc;
    bool exact = o->disable & ACCEL_NO_FLAGS;
    if (machine_init(o->disable))
        return 2;
    fill_pristine();
    for (; p->done < o->count && p->failures < o->max_failures; p->done++, p->seed++) {
        legacy_draw(&lc, p->seed, exact);
        if (o->show) {
            load_cpu(&lc);
            show_case(&lc, stdout);
            fflush(stdout);
        }
        alarm(20);
        enum verdict v = run_case(&lc, exact, stdout);
        p->compared += v != SKIPPED;
        if (v != DIFFERS)
            continue;
        p->failures++;
        printf("seed %llu: the above; made smaller:\n", (unsigned long long)p->seed);
        minimise(&lc, exact);
        show_case(&lc, stdout);
        if (run_case(&lc, exact, stdout) != DIFFERS)
            printf("  (no longer differs when run again)\n");
        fflush(stdout);
    }
    p->finished = true;
    return 0;
}

int legacy_run(const struct legacy_options *o)
{
    struct progress *p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return 2;
    p->seed = o->seed;
    for (unsigned crashes = 0; crashes < 4 && !p->finished; crashes++) {
        int status = 0;
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0)
            _exit(worker(o, p));
        if (pid < 0 || waitpid(pid, &status, 0) != pid || (WIFEXITED(status) && WEXITSTATUS(status)))
            return 2;
        if (p->finished)
            break;
        printf("seed %llu: bt %s (signal %d)   again: insn-diff -bits 16 -seed %llu -count 1 -show\n",
               (unsigned long long)p->seed, WTERMSIG(status) == SIGALRM ? "hangs" : "crashes", WTERMSIG(status),
               (unsigned long long)p->seed);
        p->failures++;
        p->seed++;
        p->done++;
    }
    printf("16-bit and segmented: %llu sequences from seed %llu, %llu compared, %llu differ\n",
           (unsigned long long)p->done, (unsigned long long)o->seed, (unsigned long long)p->compared,
           (unsigned long long)p->failures);
    return p->failures || !p->compared;
}
