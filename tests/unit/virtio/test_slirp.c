// SPDX-License-Identifier: MIT
// -netdev user: options and their errors, the virtual gateway answers ARP, frames wait for a guest without buffers.
#include "driver.h"
#include "hw/net_slirp.h"

static bool room;
static unsigned received;
static uint8_t last[2048];

static bool can_receive(void *opaque) { return room; }
static bool receive(void *opaque, const uint8_t *frame, size_t len, const struct net_offload *o)
{
    memcpy(last, frame, len < sizeof(last) ? len : sizeof(last));
    received++;
    return true;
}
static const struct net_frontend_ops fe = {can_receive, receive, NULL};

static int try_options(const struct net_slirp_options *o, char err[160])
{
    struct netdev *n;
    err[0] = 0;
    int ret = net_slirp_create(o, &n, err);
    if (!ret)
        netdev_destroy(n);
    return ret;
}

START_TEST(options)
{
    char err[160];
    const char *const bad_rules[][2] = {{"tcp"},       {"sctp::1-:2"},         {"tcp::x-:22"},   {"tcp::70000-:22"},
                                        {"tcp::5000"}, {"tcp:1.2.3:5000-:22"}, {"tcp::5000-:0"}, {"tcp::5000-:22x"},
                                        {""}};
    for (unsigned i = 0; i < ARRAY_SIZE(bad_rules); i++) {
        struct net_slirp_options o = {.hostfwd = bad_rules[i]};
        ck_assert_msg(try_options(&o, err) < 0, "%s", bad_rules[i][0]);
        ck_assert_ptr_nonnull(strstr(err, "hostfwd"));
    }
    const struct net_slirp_options bad[] = {
        {.net = "10.0.2"},
        {.net = "10.0.2.0/33"},
        {.net = "10.0.2.0/255.0.255.0"},
        {.host = "1.2.3.4"},
        {.dhcpstart = "10.0.2.2"},
        {.dns = "11.0.0.1"},
        {.ipv6_prefix = "zz"},
        {.no_ipv4 = true, .no_ipv6 = true},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        ck_assert_msg(try_options(&bad[i], err) < 0, "%u", i);
        ck_assert_uint_gt(strlen(err), 10);
    }
    const struct net_slirp_options good[] = {
        {0}, {.net = "192.168.7.0/24", .host = "192.168.7.9"}, {.net = "172.16.0.0/255.255.0.0"}, {.restricted = true}};
    for (unsigned i = 0; i < ARRAY_SIZE(good); i++)
        ck_assert_msg(try_options(&good[i], err) == 0, "%u: %s", i, err);
}
END_TEST

// Who has 10.0.2.2? Tell 10.0.2.15.
static const uint8_t arp[42] = {
    255, 255,  255,  255, 255,  255,  0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6, 0, 1, 8, 0,  6, 4, 0,
    1,   0x52, 0x54, 0,   0x12, 0x34, 0x56, 10,   0, 2,    15,   0,    0, 0, 0, 0, 0, 10, 0, 2, 2,
};

START_TEST(gateway)
{
    char err[160];
    struct netdev *n;
    const char *const rules[] = {"tcp:127.0.0.1:0-:22", NULL};
    struct net_slirp_options o = {.id = "n0", .hostfwd = rules};
    ck_assert_msg(net_slirp_create(&o, &n, err) == 0, "%s", err);
    net_connect(n, &fe, NULL);
    struct iovec v[2] = {{(void *)(uintptr_t)arp, 20}, {(void *)(uintptr_t)(arp + 20), 22}};
    room = true;
    received = 0;
    n->ops->send(n, v, 2, NULL);
    n->ops->flush(n);
    ck_assert_uint_eq(received, 1);
    ck_assert_uint_eq(last[21], 2); // a reply
    ck_assert_int_eq(memcmp(last + 28, "\x0a\x00\x02\x02", 4), 0);
    room = false;
    for (unsigned i = 0; i < 100000; i++) { // no room: they wait, up to a bound
        n->ops->send(n, v, 2, NULL);
        n->ops->flush(n);
    }
    ck_assert_uint_eq(received, 1);
    ck_assert_uint_gt(n->dropped, 1000);
    room = true;
    n->ops->rx_ready(n);
    ck_assert_uint_gt(received, 1000);
    char *info = net_slirp_info(n);
    ck_assert_ptr_nonnull(info);
    free(info);
    ck_assert_int_lt(net_slirp_hostfwd_remove(n, "tcp:127.0.0.1:1", err), 0);
    netdev_destroy(n);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("slirp");
    tcase_add_test(c, options);
    tcase_add_test(c, gateway);
    return run_suite(c, "slirp");
}
