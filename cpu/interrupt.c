// SPDX-License-Identifier: MIT
// Requests to a vCPU, interrupt acceptance, and the sleep of a halted one.
// Acceptance: SDM vol. 3A, section 6.8 "Enabling and Disabling Interrupts".
#include "cpu/interrupt.h"
#include "base/vectors.h"
#include "cpu/debug_points.h"
#include "cpu/internal.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

// --- requests (any thread)

void cpu_request(struct cpu *cpu, uint32_t bits)
{
    uint32_t old = __atomic_fetch_or((uint32_t *)&cpu->request, bits, __ATOMIC_SEQ_CST);
    if ((old & bits) == bits)
        return;
    if (cpu->kick)
        cpu->kick(cpu);
    if (__atomic_load_n((uint32_t *)&cpu->sleeping, __ATOMIC_SEQ_CST)) {
        vectors_save();
        syscall(SYS_futex, &cpu->request, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

void cpu_request_clear(struct cpu *cpu, uint32_t bits)
{
    __atomic_fetch_and((uint32_t *)&cpu->request, ~bits, __ATOMIC_SEQ_CST);
}

// --- acceptance (vCPU thread)

// A debugger's step may hold interrupts off, but not those that a halted CPU waits for.
static bool held_off(const struct cpu *cpu)
{
    return UNLIKELY(cpu->debug_active & DEBUG_ACTIVE_STEP) && cpu->debug->mask_irqs && !cpu->halted;
}

static bool nmi_pending(const struct cpu *cpu, uint32_t req)
{
    return (req & CPU_REQ_NMI) && !cpu->nmi_blocked && !cpu->shadow_ss && !cpu->shadow_sti;
}

static bool intr_pending(const struct cpu *cpu, uint32_t req)
{
    return (req & CPU_REQ_INTR) && (cpu->rflags & FL_IF) && !cpu->shadow_sti && !cpu->shadow_ss;
}

bool cpu_interrupt_pending(const struct cpu *cpu)
{
    uint32_t req = cpu_requests(cpu);
    if (LIKELY(!(req & (CPU_REQ_INTR | CPU_REQ_NMI | CPU_REQ_INIT | CPU_REQ_SIPI | CPU_REQ_SMI))))
        return false;
    if (held_off(cpu))
        req &= ~(uint32_t)(CPU_REQ_INTR | CPU_REQ_NMI | CPU_REQ_SMI);
    if (cpu->in_smm) // AMD64 APM vol. 2, section 10.3.4: INIT and a second SMI are held pending
        req &= ~(uint32_t)(CPU_REQ_INIT | CPU_REQ_SMI);
    return nmi_pending(cpu, req) || intr_pending(cpu, req) || (req & (CPU_REQ_INIT | CPU_REQ_SIPI | CPU_REQ_SMI));
}

bool cpu_attention_due(const struct cpu *cpu)
{
    uint32_t req = cpu_requests(cpu);
    return UNLIKELY(req) && ((req & (CPU_REQ_STOP | CPU_REQ_RESET | CPU_REQ_FLUSH)) || cpu_interrupt_pending(cpu));
}

void cpu_take_interrupt(struct cpu *cpu)
{
    uint32_t req = cpu_requests(cpu);
    if (req & CPU_REQ_SIPI) // a start-up IPI means nothing to a CPU that runs
        cpu_request_clear(cpu, CPU_REQ_SIPI);
    if ((req & CPU_REQ_SMI) && !cpu->in_smm) {
        cpu_request_clear(cpu, CPU_REQ_SMI);
        cpu_enter_smm(cpu);
        return;
    }
    if ((req & CPU_REQ_INIT) && !cpu->in_smm) {
        cpu_request_clear(cpu, CPU_REQ_INIT);
        leave_for_general_c(cpu);
        cpu_reset(cpu);
        return;
    }
    if (nmi_pending(cpu, req)) {
        cpu_request_clear(cpu, CPU_REQ_NMI);
        cpu->halted = false;
        cpu->nmi_blocked = true;
        cpu_deliver_interrupt(cpu, EXC_NMI);
        return;
    }
    if (!intr_pending(cpu, req) || !cpu->intc)
        return;
    big_lock();
    int vector = cpu->intc->acknowledge(cpu->intc_opaque);
    big_unlock();
    if (vector < 0)
        return;
    cpu->halted = false;
    cpu_deliver_interrupt(cpu, vector);
}

void cpu_halt_wait(struct cpu *cpu)
{
    while (cpu->halted) {
        __atomic_store_n((uint32_t *)&cpu->sleeping, 1, __ATOMIC_SEQ_CST);
        uint32_t req = __atomic_load_n((uint32_t *)&cpu->request, __ATOMIC_SEQ_CST);
        if (cpu_interrupt_pending(cpu)) // taking it ends the halt
            break;
        if (req & (CPU_REQ_RESET | CPU_REQ_STOP | CPU_REQ_FLUSH))
            break;
        // Returns at once if request is no longer what was just looked at.
        syscall(SYS_futex, &cpu->request, FUTEX_WAIT_PRIVATE, req, NULL, NULL, 0);
    }
    __atomic_store_n((uint32_t *)&cpu->sleeping, 0, __ATOMIC_SEQ_CST);
}
