// SPDX-License-Identifier: MIT
// Kernels with Xen's PVH entry point (vmlinux with CONFIG_PVH, FreeBSD, unikernels).
// Xen's docs/misc/pvh.pandoc, "x86/HVM direct boot ABI"; public/arch-x86/hvm/start_info.h.
#pragma once

#include "frontends/boot_image.h"

// fd is the kernel's; the image owns it if this succeeds. 0, or -EINVAL with a message (without the file's name).
int pvh_open(const struct boot_image_config *cfg, int fd, uint64_t size, struct boot_image **out, struct err *e);
