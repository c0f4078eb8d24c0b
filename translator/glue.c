// SPDX-License-Identifier: MIT
// Glue: the code that translated blocks share, made once at the start of the code cache.
//
//   enter      C -> translated code: loads guest registers and flags
//   exit       translated code -> C: stores them; glue.enter() returns
//   helper     calls a C function in the middle of a block and goes on
//   mem_slow   resolves an address that the inline lookup refused, and goes on
//   ibl_*      the indirect branch that a block did not resolve inline
//
// While guest code runs RSP is the guest's, so nothing here may push before it has switched to the host stack
// (ENG_HOST_SP), and signal handlers run on an alternate stack.
#include "cpu/fpu.h"
#include "translator/gen.h"
#include "translator/host_insn.h"

static void emit_cpu_pointer(struct bt *bt, struct emit *e, int r)
{
    emit_load(e, r, EMEM_FS(0)); // the thread control block holds its own address
    emit_lea(e, r, EMEM(r, bt->tls_off));
}

// Before C, where it is built with a sanitizer (base/vectors.h). Clobbers what a C function may.
static void emit_save_vectors(struct bt *bt, struct emit *e)
{
    if (!SANITIZED)
        return;
    emit_cpu_pointer(bt, e, RDI);
    emit_mov_imm(e, RAX, (uint64_t)(uintptr_t)cpu_fpu_save);
    emit_op_reg(e, 0, 0xff, 2, RAX); // call rax
}

// Host registers -> cpu->gpr[], EFLAGS -> cpu->rflags; then the host stack. Keeps r14, r15; clobbers rax, rcx, rdx.
static void emit_store_state(struct bt *bt, struct emit *e)
{
    for (int r = RAX; r <= R13; r++)
        emit_store(e, CPU_FIELD(bt, gpr[r]), r);
    host_flags_to_ax(e);
    emit_load(e, RSP, eng(bt, ENG_HOST_SP));
    emit_op_reg(e, EF_0F, 0xb6, RDX, RAX);    // movzx edx, al
    emit_bytes(e, "\x0f\xb6\xc4", 3);         // movzx eax, ah
    emit_bytes(e, "\xc1\xe2\x0b", 3);         // shl edx, 11
    emit_bytes(e, "\x09\xd0", 2);             // or eax, edx
    emit_bytes(e, "\x25\xd5\x08\x00\x00", 5); // and eax, FL_ARITH
    emit_load(e, RCX, CPU_FIELD(bt, rflags));
    emit_bytes(e, "\x48\x81\xe1", 3); // and rcx, ~FL_ARITH
    emit_32(e, ~(uint32_t)FL_ARITH);
    emit_op_reg(e, EF_W, 0x09, RCX, RAX); // or rax, rcx
    emit_store(e, CPU_FIELD(bt, rflags), RAX);
    emit_save_vectors(bt, e);
}

// The opposite. Keeps r14, r15. Host RSP becomes the guest's.
static void emit_load_state(struct bt *bt, struct emit *e)
{
    emit_load(e, RAX, CPU_FIELD(bt, rflags));
    emit_mov32(e, RCX, RAX);
    emit_bytes(e, "\xc1\xe0\x08", 3); // shl eax, 8: AH = low byte, AL = 0
    emit_bytes(e, "\xc1\xe9\x0b", 3); // shr ecx, 11
    emit_bytes(e, "\x83\xe1\x01", 3); // and ecx, 1
    emit_bytes(e, "\x09\xc8", 2);     // or eax, ecx
    host_flags_from_ax(e);
    for (int r = RAX; r <= R13; r++)
        emit_load(e, r, CPU_FIELD(bt, gpr[r]));
}

// C's view of the stack: six callee-saved registers and one word of alignment.
static void emit_c_prologue(struct bt *bt, struct emit *e)
{
    emit_bytes(e, "\x53\x55\x41\x54\x41\x55\x41\x56\x41\x57", 10); // push rbx, rbp, r12..r15
    emit_bytes(e, "\x48\x83\xec\x08", 4);                          // sub rsp, 8
    emit_store(e, eng(bt, ENG_HOST_SP), RSP);
}

static void emit_c_epilogue(struct emit *e)
{
    emit_bytes(e, "\x48\x83\xc4\x08", 4);
    emit_bytes(e, "\x41\x5f\x41\x5e\x41\x5d\x41\x5c\x5d\x5b\xc3", 11);
}

static void emit_leave(struct bt *bt, struct emit *e, enum exit_kind kind)
{
    emit_store_imm32(e, eng(bt, ENG_EXIT_KIND), kind, true);
    emit_c_epilogue(e);
}

static uint8_t *here(struct bt *bt, struct emit *e) { return e->p + cache_exec(bt); }

static void make_helper(struct bt *bt, struct emit *e)
{
    bt->glue.helper = here(bt, e);
    emit_store(e, eng(bt, ENG_SITE), R15);
    emit_store_state(bt, e);
    emit_load(e, RAX, EMEM(R15, offsetof(struct tb_site, rip)));
    emit_store(e, CPU_FIELD(bt, rip), RAX);
    emit_load(e, RAX, EMEM(R15, offsetof(struct tb_site, next_rip)));
    emit_store(e, CPU_FIELD(bt, next_rip), RAX);
    emit_cpu_pointer(bt, e, RDI);
    emit_mov(e, RSI, R15);
    emit_op_mem(e, 0, 0xff, 2, EMEM(R15, offsetof(struct tb_site, fn))); // call; r15 is callee-saved
    emit_load(e, R14, EMEM(R15, offsetof(struct tb_site, resume)));
    emit_op_reg(e, EF_W, 0x83, 7, RAX); // cmp rax, HELPER_LEAVE
    emit_8(e, HELPER_LEAVE);
    uint8_t *leave = emit_jcc(e, CC_Z, NULL);
    emit_op_reg(e, EF_W | EF_0F, 0x47, R14, RAX); // cmova r14, rax: another block
    emit_load_state(bt, e);
    emit_op_reg(e, 0, 0xff, 4, R14); // jmp r14
    emit_patch(e, leave, here(bt, e));
    emit_leave(bt, e, EXIT_HELPER);
}

static void make_mem_slow(struct bt *bt, struct emit *e)
{
    bt->glue.mem_slow = here(bt, e);
    emit_store(e, eng(bt, ENG_SITE), R15);
    emit_store(e, eng(bt, ENG_EA), R14);
    emit_store_state(bt, e);
    emit_cpu_pointer(bt, e, RDI);
    emit_mov(e, RSI, R15);
    emit_mov_imm(e, RAX, (uint64_t)(uintptr_t)bt_mem_slow);
    emit_op_reg(e, 0, 0xff, 2, RAX); // call rax
    emit_op_reg(e, EF_W, 0x85, RAX, RAX);
    uint8_t *leave = emit_jcc(e, CC_Z, NULL);
    emit_load(e, RCX, EMEM(R15, offsetof(struct tb_site, resume)));
    emit_store(e, eng(bt, ENG_TMP2), RCX);
    emit_mov(e, R15, RAX);
    emit_load(e, R14, eng(bt, ENG_EA));
    emit_load_state(bt, e);
    emit_jmp_mem(e, eng(bt, ENG_TMP2));
    emit_patch(e, leave, here(bt, e));
    emit_store(e, eng(bt, ENG_EXIT), R15);
    emit_leave(bt, e, EXIT_SLOW_MEM);
}

int glue_make(struct bt *bt, struct emit *e)
{
    struct glue *g = &bt->glue;
    g->lo = here(bt, e);

    g->enter = (void (*)(uint8_t *))here(bt, e);
    emit_c_prologue(bt, e);
    emit_mov(e, R14, RDI);
    emit_load_state(bt, e);
    emit_op_reg(e, 0, 0xff, 4, R14); // jmp r14

    g->exit = here(bt, e);
    emit_store(e, eng(bt, ENG_EXIT), R14);
    emit_store(e, eng(bt, ENG_EXIT_KIND), R15);
    emit_store_state(bt, e);
    emit_c_epilogue(e);

    g->fault_exit = here(bt, e);
    emit_load(e, RSP, eng(bt, ENG_HOST_SP));
    emit_save_vectors(bt, e);
    emit_leave(bt, e, EXIT_FAULT);

    // An inline lookup that missed, or was made to miss by a kick. RCX is the guest's again.
    g->ibl_kicked = here(bt, e);
    emit_mov_imm(e, R15, 0);
    g->ibl_miss = here(bt, e);
    emit_store(e, eng(bt, ENG_TARGET), R14);
    emit_mov(e, R14, R15);
    emit_mov_imm(e, R15, EXIT_INDIRECT);
    emit_jmp(e, g->exit);

    make_helper(bt, e);
    make_mem_slow(bt, e);
    g->hi = here(bt, e);
    return e->overflow ? -1 : 0;
}
