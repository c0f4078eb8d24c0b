// SPDX-License-Identifier: MIT
// virtio-console with one port. Virtio 1.2, section 5.3 "Console Device".
#pragma once

#include "hw/chardev.h"
#include "virtio/virtio.h"

struct virtio_device *virtio_console_create(struct chardev *chr); // chr may be NULL (output goes nowhere)
