# SPDX-License-Identifier: MIT
# The list of images: one topic each.
system_image(exceptions BITS 64)
