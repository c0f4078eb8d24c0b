// SPDX-License-Identifier: MIT
// Native execution of single instructions for the interpreter.
//
// Each cached decoded instruction owns a slot of THUNK_SIZE bytes that holds its rewritten form and a jump to
// thunk_exit. All sixteen guest registers are in the host's; only the register that holds the memory
// operand's address is not the guest's, and it is one that the instruction does not use.
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "translator/host_fault.h"
#include "translator/interp_int.h"

struct thunk_tls {
    uint64_t gpr[16];
    uint64_t rflags, target, host_rsp, exit;
};
extern _Thread_local struct thunk_tls thunk_tls __attribute__((tls_model("local-exec")));
_Thread_local struct thunk_tls thunk_tls __attribute__((tls_model("local-exec")));

int thunk_enter(void);
extern const char thunk_exit[], thunk_fault[];

enum { SLOTS = DECODE_CACHE + 1, THUNK_BYTES = (SLOTS * THUNK_SIZE + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1) };

// Async-signal-safe.
static bool on_fault(void *opaque, struct host_fault *f)
{
    struct interp *in = opaque;
    in->fault_trapno = f->trapno;
    in->fault_error = (unsigned)f->error;
    f->uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)thunk_fault;
    return true;
}

int thunk_create(struct interp *in)
{
    int err;
    in->thunk_fd = memfd_create("ring3-thunks", MFD_CLOEXEC);
    if (in->thunk_fd < 0)
        return -errno;
    in->thunk_rw = in->thunk_rx = MAP_FAILED;
    if (ftruncate(in->thunk_fd, THUNK_BYTES))
        goto fail;
    in->thunk_rw = mmap(NULL, THUNK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, in->thunk_fd, 0);
    in->thunk_rx = mmap(NULL, THUNK_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, in->thunk_fd, 0);
    if (in->thunk_rw == MAP_FAILED || in->thunk_rx == MAP_FAILED)
        goto fail;
    err = host_fault_add_region(in->thunk_rx, in->thunk_rx + THUNK_BYTES, on_fault, in);
    if (!err)
        return 0;
    errno = -err;
fail:
    err = -errno;
    if (in->thunk_rw != MAP_FAILED)
        munmap(in->thunk_rw, THUNK_BYTES);
    if (in->thunk_rx != MAP_FAILED)
        munmap(in->thunk_rx, THUNK_BYTES);
    close(in->thunk_fd);
    in->thunk_rw = in->thunk_rx = NULL;
    return err;
}

void thunk_destroy(struct interp *in)
{
    if (!in->thunk_rx)
        return;
    host_fault_remove_region(in->thunk_rx);
    munmap(in->thunk_rw, THUNK_BYTES);
    munmap(in->thunk_rx, THUNK_BYTES);
    close(in->thunk_fd);
}

// jmp fs:[thunk_tls.exit]: the offset is the same in every thread.
static void emit_exit(struct emit *e)
{
    int32_t off = (int32_t)((char *)&thunk_tls.exit - (char *)__builtin_thread_pointer());
    emit_32(e, 0x2524ff64);
    emit_32(e, (uint32_t)off);
}

// A register that the instruction does not name; low ones if AH..BH must stay encodable (no REX then).
static int pick_scratch(const struct insn *i)
{
    static const uint8_t order[] = {R14, R15, R13, R12, R11, R10, R9, R8, RBX, RSI, RDI, RBP, RDX, RCX, RAX};
    uint32_t used = i->gpr_read | i->gpr_written;
    bool low = i->reg_kind == FK_GPR && interp_high_byte(i, i->reg, i->reg_size);
    for (unsigned k = low ? 8 : 0; k < ARRAY_SIZE(order); k++)
        if (!(used >> order[k] & 1))
            return order[k];
    return -1;
}

static bool make_thunk(struct interp *in, struct decoded *d)
{
    unsigned slot = (unsigned)(d - in->cache);
    uint8_t *p = in->thunk_rw + slot * THUNK_SIZE;
    struct emit e = {.p = p, .end = p + THUNK_SIZE};
    int scratch = d->insn.has_mem ? pick_scratch(&d->insn) : R14;
    struct rewrite how = {.mem = d->insn.has_mem, .base = (int8_t)scratch, .index = -1, .map14 = R14, .map15 = R15};
    d->thunk = -1;
    if (scratch < 0 || rewrite_plain(&e, &d->insn, &how))
        return false;
    emit_exit(&e);
    if (e.overflow)
        return false;
    d->scratch = d->insn.has_mem ? (int8_t)scratch : -1;
    d->thunk = 1;
    return true;
}

static void load_state(const struct cpu *cpu)
{
    for (unsigned i = 0; i < 16; i++)
        thunk_tls.gpr[i] = cpu->gpr[i];
    thunk_tls.rflags = (cpu->rflags & FL_ARITH) | 2 | FL_IF;
    thunk_tls.exit = (uintptr_t)thunk_exit;
}

// Whether the instruction faulted on the host.
static bool enter(struct cpu *cpu)
{
    bool faulted = thunk_enter();
    cpu_fpu_save_sanitized(cpu);
    return faulted;
}

// The host's exception becomes the guest's: SDM vol. 3A, section 6.15 "Exception and Interrupt Reference".
static _Noreturn void raise_host_fault(struct interp *in)
{
    struct cpu *cpu = in->cpu;
    switch (in->fault_trapno) {
    case EXC_DE:
    case EXC_MF:
    case EXC_BR:
    case EXC_OF: cpu_raise(cpu, (enum vector)in->fault_trapno);
    case EXC_XM: cpu_raise(cpu, cpu->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
    case EXC_GP:
    case EXC_SS: cpu_raise_error(cpu, (enum vector)in->fault_trapno, 0);
    case EXC_AC: cpu_raise_error(cpu, EXC_GP, 0);
    }
    cpu_raise(cpu, EXC_UD);
}

bool thunk_run_insn(struct interp *in, uint64_t ptr)
{
    struct cpu *cpu = in->cpu;
    struct decoded *d = in->cur;
    if (d->thunk <= 0 && (d->thunk < 0 || !make_thunk(in, d)))
        return false;
    const struct insn *i = &d->insn;
    if (i->uses_x87 || i->uses_mmx || i->uses_sse || i->uses_avx || i->uses_avx512)
        cpu_fpu_load(cpu);
    load_state(cpu);
    if (d->scratch >= 0)
        thunk_tls.gpr[d->scratch] = ptr;
    thunk_tls.target = (uintptr_t)in->thunk_rx + (uintptr_t)(d - in->cache) * THUNK_SIZE;
    if (enter(cpu))
        raise_host_fault(in);
    for (int k = 0; k < 16; k++)
        if (k != d->scratch)
            cpu->gpr[k] = thunk_tls.gpr[k];
    cpu->rflags = (cpu->rflags & ~(uint64_t)FL_ARITH) | (thunk_tls.rflags & FL_ARITH);
    return true;
}

uint64_t thunk_run_bytes(struct interp *in, const uint8_t *code, unsigned len, uint64_t ptr)
{
    uint8_t *p = in->thunk_rw + DECODE_CACHE * THUNK_SIZE;
    struct emit e = {.p = p, .end = p + THUNK_SIZE};
    emit_bytes(&e, code, len);
    emit_exit(&e);
    cpu_fpu_load(in->cpu);
    load_state(in->cpu);
    thunk_tls.gpr[RAX] = ptr;
    thunk_tls.target = (uintptr_t)in->thunk_rx + DECODE_CACHE * THUNK_SIZE;
    if (e.overflow)
        cpu_raise(in->cpu, EXC_UD);
    if (enter(in->cpu))
        raise_host_fault(in);
    return thunk_tls.gpr[RAX];
}

// ---- does the host have it?

// The operand is at an address that is never canonical, so that the instruction neither loads nor stores; where
// no element is selected it may be done without a fault, and change vector and mask registers only.
enum { NEVER_CANONICAL_BIT = 63 };

// KXORW k,k,k: no element is selected. An AVX512F instruction like any EVEX one: without it both are #UD.
static void emit_clear_mask(struct emit *e, unsigned k)
{
    const uint8_t code[] = {0xc5, (uint8_t)(0x84 | (~k & 15) << 3), 0x47, (uint8_t)(0xc0 | k << 3 | k)};
    emit_bytes(e, code, sizeof code);
}

bool interp_host_knows(void *interp, const struct insn *i)
{
    struct interp *in = interp;
    uint8_t *p = in->thunk_rw + DECODE_CACHE * THUNK_SIZE;
    struct emit e = {.p = p, .end = p + THUNK_SIZE};
    int scratch = pick_scratch(i);
    struct rewrite how = {.mem = true, .base = (int8_t)scratch, .index = -1, .map14 = R14, .map15 = R15};
    if (i->enc == ENC_LEGACY || !i->has_mem || scratch < 0)
        return true;
    if (i->enc == ENC_EVEX && i->evex[3] & 7)
        emit_clear_mask(&e, i->evex[3] & 7);
    if (rewrite_plain(&e, i, &how)) // gathers and scatters: interp_vector.c
        return true;
    emit_exit(&e);
    if (e.overflow)
        return true;
    load_state(in->cpu);
    thunk_tls.gpr[scratch] = BIT(NEVER_CANONICAL_BIT);
    thunk_tls.target = (uintptr_t)in->thunk_rx + DECODE_CACHE * THUNK_SIZE;
    return !thunk_enter() || in->fault_trapno != EXC_UD;
}
