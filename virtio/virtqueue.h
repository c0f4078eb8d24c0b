// SPDX-License-Identifier: MIT
// The split virtqueue, device side. Virtio 1.2, section 2.7 "Split Virtqueues".
//
//   descriptor table, 16 bytes x size            available ring (driver writes)     used ring (device writes)
//   +0  le64 addr                                 +0 le16 flags  1: NO_INTERRUPT     +0 le16 flags  1: NO_NOTIFY
//   +8  le32 len                                  +2 le16 idx                        +2 le16 idx
//   +12 le16 flags  1 NEXT, 2 WRITE, 4 INDIRECT   +4 le16 ring[size]                 +4 {le32 id, le32 len}[size]
//   +14 le16 next                                 ..  le16 used_event                ..  le16 avail_event
//
// idx counts up mod 65536; ring slots are idx mod size. With EVENT_IDX, used_event and avail_event take the
// flags' place: "interrupt (notify) me when idx passes this".
//
// Legacy lays the three out in one run of pages at PFN: desc, avail, padding to 4096, used.
//
// The driver is hostile: indices, chains, addresses and lengths are checked here and nowhere else. The rules:
// a chain has at most `size` descriptors of its own plus, when indirect, VIRTQ_MAX_SEGS; no loops can pass
// that bound; writable parts follow readable ones; idx may run at most `size` ahead.
#pragma once

#include "base/types.h"
#include "softmmu/address_space.h"
#include <sys/uio.h>

enum { VIRTQ_MAX_SIZE = 1024, VIRTQ_MAX_SEGS = 1024 };
enum { VIRTQ_DESC_F_NEXT = 1, VIRTQ_DESC_F_WRITE = 2, VIRTQ_DESC_F_INDIRECT = 4 };

struct virtq {
    struct address_space *mem;
    uint16_t max_size; // what the device offers
    uint16_t size;     // what the driver chose
    bool enabled;
    bool event_idx, indirect; // negotiated
    gpa desc, avail, used;
    hva desc_ptr, avail_ptr, used_ptr; // NULL: not in one run of RAM, use as_read/as_write
    uint16_t last_avail;               // next to pop
    uint16_t used_idx;                 // next to fill
    uint16_t signalled;                // used_idx at the last interrupt
    bool signalled_valid;
    bool notify_off;   // the device does not want kicks
    unsigned inflight; // popped, not pushed: at most size
    uint16_t msix_vector;
    const char *error; // why the ring is bad; NULL: it is not
};

// One descriptor chain. out: readable by the device, then in: writable by it. Both point into guest RAM.
struct virtq_chain {
    uint16_t head;
    unsigned out_count, in_count; // entries of iov: out first, then in
    uint64_t out_len, in_len;     // bytes
    struct iovec iov[VIRTQ_MAX_SEGS];
    gpa addr[VIRTQ_MAX_SEGS]; // where each came from, to tell who watches that memory
};

void virtq_reset(struct virtq *q);
// Checks size and addresses, maps the rings. 0, or -EINVAL with q->error set.
int virtq_enable(struct virtq *q);
gpa virtq_legacy_used(gpa base, uint16_t size); // layout of a legacy queue
uint64_t virtq_legacy_bytes(uint16_t size);

// 1: *c is the next chain. 0: nothing there. -EINVAL: the ring is bad (q->error says how).
int virtq_pop(struct virtq *q, struct virtq_chain *c);
// Puts the last popped chain back, as if not popped.
void virtq_unpop(struct virtq *q);
bool virtq_empty(struct virtq *q);
// `written` bytes were stored from the start of the writable part. Call virtq_flush after a batch.
void virtq_push(struct virtq *q, const struct virtq_chain *c, uint32_t written);
// The two halves of push, for devices that keep less than a whole chain: fill without publishing, publish n.
void virtq_fill(struct virtq *q, uint16_t head, uint32_t written, unsigned ahead);
void virtq_publish(struct virtq *q, unsigned n);
// Does the driver want an interrupt for what was published since the last call?
bool virtq_should_signal(struct virtq *q);
// Kick suppression. enable returns true if buffers arrived meanwhile (look again).
void virtq_disable_notify(struct virtq *q);
bool virtq_enable_notify(struct virtq *q);

// Tells watchers of guest memory (translated code, dirty bits) that the device wrote the first `bytes` of the
// writable part directly through iov.
void virtq_mark_written(struct virtq *q, const struct virtq_chain *c, uint64_t bytes);

// Scatter/gather helpers; return bytes copied.
size_t virtq_copy_out(const struct virtq_chain *c, size_t skip, void *dst, size_t len);
size_t virtq_copy_in(const struct virtq_chain *c, size_t skip, const void *src, size_t len);
