// SPDX-License-Identifier: MIT
// virtio-net against a back end made here: headers, mergeable buffers, offloads, control queue; checksums and
// receive merging of hw/net.
#include "driver.h"
#include "hw/net_gro.h"
#include "virtio/virtio_net.h"

enum { F_CSUM = 0, F_MRG = 15, F_HOST_TSO4 = 11, ALL_FEATURES = 0x1fffffff };

static struct netdev nd;
static uint8_t sent[NET_MAX_FRAME];
static size_t sent_len;
static struct net_offload sent_offload;
static unsigned sent_count, ready_count;

static void be_send(struct netdev *n, const struct iovec *iov, unsigned count, const struct net_offload *o)
{
    sent_len = 0;
    for (unsigned i = 0; i < count; i++) {
        ck_assert_uint_le(sent_len + iov[i].iov_len, sizeof(sent));
        memcpy(sent + sent_len, iov[i].iov_base, iov[i].iov_len);
        sent_len += iov[i].iov_len;
    }
    sent_offload = *o;
    sent_count++;
}
static void be_ready(struct netdev *n) { ready_count++; }
static const struct netdev_ops be_ops = {.send = be_send, .rx_ready = be_ready};

static struct driver drv;

static void start(bool modern, uint64_t features)
{
    nd = (struct netdev){.ops = &be_ops, .caps = NET_CAP_CSUM | NET_CAP_TSO4, .link_up = true};
    sent_count = ready_count = 0;
    struct virtio_net_config cfg = {.netdev = &nd};
    net_default_mac(cfg.mac, 0);
    const struct virtio_pci_config pci = {.devfn = -1, .vectors = -1};
    driver_start(&drv, virtio_net_create(&cfg), &pci, modern, features);
    for (unsigned q = 0; q < 3; q++)
        driver_queue(&drv, q, q == 2 ? 64 : 256);
    driver_ok(&drv);
}

static unsigned header_size(void) { return drv.modern || (drv.features & BIT(F_MRG)) ? 12 : 10; }

static void transmit(const uint8_t *header, const uint8_t *frame, uint32_t len)
{
    unsigned h = header_size(), head;
    uint32_t written;
    gpa buf = guest_alloc(h + len, 16);
    memcpy(guest_ptr(buf), header, h);
    memcpy((uint8_t *)guest_ptr(buf) + h, frame, len);
    const struct segment s[2] = {{buf, h + 10, false}, {buf + h + 10, len - 10, false}};
    driver_add(&drv, 1, s, 2, false);
    driver_kick(&drv, 1);
    loop_run_posted();
    ck_assert(driver_used(&drv, 1, &head, &written));
    ck_assert_uint_eq(written, 0);
}

static void tx(bool modern, uint64_t features)
{
    uint8_t frame[1514], header[12] = {0};
    start(modern, features);
    for (unsigned i = 0; i < 600; i++) {
        uint32_t len = 14 + (uint32_t)random() % 1500;
        for (uint32_t b = 0; b < len; b++)
            frame[b] = (uint8_t)random();
        gpa mark = guest_alloc(0, 16);
        transmit(header, frame, len);
        ck_assert_uint_eq(sent_count, i + 1);
        ck_assert_uint_eq(sent_len, len);
        ck_assert_int_eq(memcmp(sent, frame, len), 0);
        guest_rewind(mark);
    }
}

START_TEST(tx_modern) { tx(true, ALL_FEATURES); }
END_TEST
START_TEST(tx_legacy) { tx(false, 0); }
END_TEST
START_TEST(tx_legacy_mrg) { tx(false, ALL_FEATURES); }
END_TEST

START_TEST(tx_offload)
{
    uint8_t frame[200] = {0};
    const uint8_t good[12] = {1, 1, 54, 0, 100, 0, 34, 0, 16, 0}, far[12] = {1, 0, 0, 0, 0, 0, 190, 0, 16, 0};
    const uint8_t gso_plain[12] = {0, 1, 54, 0, 100, 0}, ufo[12] = {1, 3, 54, 0, 100, 0, 34, 0, 16, 0};
    start(true, ALL_FEATURES);
    transmit(good, frame, 200);
    ck_assert_uint_eq(sent_count, 1);
    ck_assert(sent_offload.needs_csum && sent_offload.gso == NET_GSO_TCPV4 && sent_offload.gso_size == 100);
    transmit(far, frame, 200); // checksum field past the end
    transmit(gso_plain, frame, 200);
    transmit(ufo, frame, 200);
    ck_assert_uint_eq(sent_count, 1);
    start(true, 0); // offloads that were not negotiated
    transmit(good, frame, 200);
    ck_assert_uint_eq(sent_count, 0);
}
END_TEST

START_TEST(rx_mergeable)
{
    static uint8_t frame[60000];
    start(true, ALL_FEATURES);
    for (unsigned i = 0; i < sizeof(frame); i++)
        frame[i] = (uint8_t)(i * 7);
    ck_assert(!nd.fe->can_receive(nd.fe_opaque));
    ck_assert(!nd.fe->receive(nd.fe_opaque, frame, 100, NULL));
    gpa buf[200];
    for (unsigned i = 0; i < 60; i++) {
        buf[i] = guest_alloc(1536, 64);
        const struct segment s = {buf[i], 1536, true};
        unsigned head = driver_add(&drv, 0, &s, 1, false);
        ck_assert_uint_eq(head, i);
    }
    driver_kick(&drv, 0);
    ck_assert_uint_ge(ready_count, 1);
    const struct net_offload o = {
        .needs_csum = true, .csum_start = 34, .csum_offset = 16, .gso = NET_GSO_TCPV4, .gso_size = 1448, .hdr_len = 66};
    ck_assert(nd.fe->receive(nd.fe_opaque, frame, sizeof(frame), &o));
    nd.fe->receive_done(nd.fe_opaque);
    ck_assert(intx_level);
    const uint8_t *h = guest_ptr(buf[0]);
    ck_assert_uint_eq(h[0], 1);
    ck_assert_uint_eq(h[1], 1);
    unsigned want = (sizeof(frame) + 12 + 1535) / 1536, head, skip = 12;
    ck_assert_uint_eq(h[10], want);
    size_t done = 0;
    uint32_t len;
    for (unsigned i = 0; i < want; i++, skip = 0) {
        ck_assert(driver_used(&drv, 0, &head, &len));
        ck_assert_int_eq(memcmp((uint8_t *)guest_ptr(buf[head]) + skip, frame + done, len - skip), 0);
        done += len - skip;
    }
    ck_assert_uint_eq(done, sizeof(frame));
    ck_assert(!driver_used(&drv, 0, &head, &len));
    // What is left is too little for another: nothing moves, and it is asked for again.
    ck_assert(!nd.fe->receive(nd.fe_opaque, frame, sizeof(frame), NULL));
    ck_assert(!driver_used(&drv, 0, &head, &len));
    ck_assert(nd.fe->receive(nd.fe_opaque, frame, 100, NULL));
    ck_assert(driver_used(&drv, 0, &head, &len));
    ck_assert_uint_eq(len, 112);
}
END_TEST

START_TEST(control_queue)
{
    start(true, ALL_FEATURES);
    // clang-format off
    const struct { uint8_t bytes[12]; unsigned len; uint8_t ack; } c[] = {
        {{0, 0, 1}, 3, 0}, {{0, 9, 1}, 3, 1}, {{1, 1, 2, 3, 4, 5, 6, 7}, 8, 0}, {{1, 1, 2}, 3, 1},
        {{1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 10, 0}, {{1, 0, 255, 255, 255, 255, 0, 0}, 8, 1}, {{9, 0}, 2, 1},
        {{5, 0, 3, 0, 0, 0, 0, 0, 0, 0}, 10, 0}, {{5, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 10, 1}, {{1}, 1, 1},
    };
    // clang-format on
    for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
        gpa p = guest_alloc(32, 16);
        memcpy(guest_ptr(p), c[i].bytes, c[i].len);
        *((uint8_t *)guest_ptr(p) + 16) = 0xee;
        const struct segment s[2] = {{p, c[i].len, false}, {p + 16, 1, true}};
        unsigned head;
        uint32_t len;
        driver_add(&drv, 2, s, 2, false);
        driver_kick(&drv, 2);
        ck_assert(driver_used(&drv, 2, &head, &len));
        ck_assert_uint_eq(*((uint8_t *)guest_ptr(p) + 16), c[i].ack);
    }
    ck_assert_uint_eq(as_load(mem, drv.bar + 0x2000, 1), 2); // the new MAC
    ck_assert_uint_eq(nd.fe_caps, NET_CAP_CSUM);
}
END_TEST

// --- hw/net.c and hw/net_gro.c

static uint16_t ip_sum(const uint8_t *p, size_t len, uint32_t sum) // straight from RFC 1071
{
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)p[i] << 8 | p[i + 1];
    if (len & 1)
        sum += (uint32_t)p[len - 1] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static bool tcp_ok(const uint8_t *f, size_t len)
{
    uint32_t pseudo = ip_sum(f + 26, 8, 6 + (uint32_t)(len - 34));
    return ip_sum(f + 14, 20, 0) == 0xffff && ip_sum(f + 34, len - 34, pseudo) == 0xffff;
}

static size_t make_segment(uint8_t *f, uint32_t seq, size_t payload, uint8_t flags)
{
    size_t len = 54 + payload;
    memset(f, 0, 54);
    f[12] = 8;
    f[14] = 0x45;
    f[16] = (uint8_t)((len - 14) >> 8);
    f[17] = (uint8_t)(len - 14);
    f[22] = 64;
    f[23] = 6;
    memcpy(f + 26, "\x0a\x00\x02\x02\x0a\x00\x02\x0f", 8);
    uint16_t c = (uint16_t)~ip_sum(f + 14, 20, 0);
    f[24] = (uint8_t)(c >> 8);
    f[25] = (uint8_t)c;
    f[35] = 80;
    f[37] = 99;
    for (unsigned i = 0; i < 4; i++)
        f[38 + i] = (uint8_t)(seq >> (24 - 8 * i));
    f[46] = 0x50;
    f[47] = flags;
    for (size_t i = 0; i < payload; i++)
        f[54 + i] = (uint8_t)((seq + i) * 31);
    c = (uint16_t)~ip_sum(f + 34, len - 34, ip_sum(f + 26, 8, 6 + (uint32_t)(len - 34)));
    f[50] = (uint8_t)(c >> 8);
    f[51] = (uint8_t)c;
    return len;
}

static uint32_t stream_at;
static unsigned frames_out;
static void gro_out(void *opaque, const uint8_t *frame, size_t len, const struct net_offload *o)
{
    static uint8_t f[NET_MAX_FRAME];
    memcpy(f, frame, len);
    if (o)
        net_finish_csum(f, len, o);
    ck_assert(tcp_ok(f, len));
    uint32_t seq = (uint32_t)f[38] << 24 | (uint32_t)f[39] << 16 | (uint32_t)f[40] << 8 | f[41];
    ck_assert_uint_eq(seq, stream_at);
    unsigned wrong = 0;
    for (size_t i = 54; i < len; i++)
        wrong += f[i] != (uint8_t)((seq + i - 54) * 31);
    ck_assert_uint_eq(wrong, 0);
    stream_at += (uint32_t)(len - 54);
    frames_out++;
}

START_TEST(merging)
{
    struct net_gro *g = net_gro_new(gro_out, NULL);
    uint8_t f[1514];
    const unsigned caps = NET_CAP_CSUM | NET_CAP_TSO4;
    uint32_t seq = 0xfffff000; // wraps
    stream_at = seq;
    frames_out = 0;
    for (unsigned i = 0; i < 5000; i++) {
        size_t payload = random() % 20 ? 1460 : (size_t)random() % 1460;
        net_gro_add(g, f, make_segment(f, seq, payload, random() % 30 ? 0x10 : 0x18), caps);
        seq += (uint32_t)payload;
        if (random() % 50 == 0)
            net_gro_flush(g);
    }
    net_gro_flush(g);
    ck_assert_uint_eq(stream_at, seq);
    ck_assert_uint_lt(frames_out, 1500);
    frames_out = 0;
    for (unsigned i = 0; i < 10; i++, seq += 1000) // a guest without TSO gets them as they are
        net_gro_add(g, f, make_segment(f, seq, 1000, 0x10), NET_CAP_CSUM);
    ck_assert_uint_eq(frames_out, 10);
    net_gro_free(g);
}
END_TEST

START_TEST(mac_text)
{
    uint8_t mac[6];
    ck_assert_int_eq(net_parse_mac("52:54:00:12:34:5a", mac), 0);
    ck_assert_int_eq(mac[5], 0x5a);
    ck_assert_int_ne(net_parse_mac("52:54:00:12:34", mac), 0);
    ck_assert_int_ne(net_parse_mac("52:54:00:12:34:56:78", mac), 0);
    ck_assert_int_ne(net_parse_mac("", mac), 0);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("net");
    tcase_add_test(c, tx_modern);
    tcase_add_test(c, tx_legacy);
    tcase_add_test(c, tx_legacy_mrg);
    tcase_add_test(c, tx_offload);
    tcase_add_test(c, rx_mergeable);
    tcase_add_test(c, control_queue);
    tcase_add_test(c, merging);
    tcase_add_test(c, mac_text);
    return run_suite(c, "virtio-net");
}
