// SPDX-License-Identifier: MIT
// A fault while delivering #DF shuts the processor down; a PC resets. SDM vol. 3A, 6.15, "Interrupt 8".
// With -no-reboot the VMM must end, without the debug-exit code.
#include "test.h"

void test_main(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        ureg base;
    } none = {0, 0};
    ok(true, "about to raise #UD with an empty IDT");
    asm volatile("lidt %0; ud2" : : "m"(none));
    ok(false, "the processor shut down");
}
