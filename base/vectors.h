// SPDX-License-Identifier: MIT
// Leaving code that is built with general registers only, while a guest's vector state is in the host's registers.
//
// What such code calls must be built so, too, or come after vectors_save(). A device model may be one of these
// (io_ops.gpr_only): then an access to it costs no XSAVE and XRSTOR, which are most of the way there and back.
// There it is the few calls that leave (a chardev, a line to another chip, the memory map) that call vectors_save().
//
// A sanitizer's run time is called from everywhere, and uses vector registers: in such builds (SANITIZED) none of the guest's
// state stays in them while C runs. It is saved on each way out of guest code, and loaded last thing before guest code goes on.
#pragma once

#ifdef RING3_SANITIZED
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

// Set on vCPU threads by the accelerator; elsewhere there is nothing to save.
struct vectors_hook {
    void (*save)(void *opaque);
    void *opaque;
};
extern __thread struct vectors_hook vectors_hook;

static inline void vectors_save(void)
{
    if (vectors_hook.save)
        vectors_hook.save(vectors_hook.opaque);
}
