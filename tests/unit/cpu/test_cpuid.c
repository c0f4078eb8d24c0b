// SPDX-License-Identifier: MIT
// CPU models: parsing, refusals, dependencies, and CPUID's dynamic values.
#include "machine.h"

static char err[160];
static struct cpu_model m;

static bool bit(uint32_t leaf, uint32_t sub, unsigned reg, unsigned n)
{
    const struct cpuid_leaf *l = cpu_model_leaf(&m, leaf, sub);
    return l && (&l->eax)[reg] >> n & 1;
}

static void refuses(const char *arg, const char *text)
{
    ck_assert_int_lt(cpu_model_parse(arg, &m, err), 0);
    ck_assert_msg(strstr(err, text), "%s: '%s' lacks '%s'", arg, err, text);
}

START_TEST(errors)
{
    refuses("Zen99", "'Zen99'");
    refuses("", "''");
    refuses("max,+foo", "'foo'");
    refuses("max,foo", "'foo'");
    refuses("max,avx=perhaps", "'perhaps'");
    refuses("max,+vmx", "'vmx'");
    refuses("qemu64,+svm,+avx", "'svm'");
    refuses("qemu64,+spec-ctrl", "'spec-ctrl'"); // an Intel bit on an AMD model
    refuses("max,", "''");
}
END_TEST

START_TEST(edits)
{
    ck_assert_int_eq(cpu_model_parse("qemu64", &m, err), 0);
    ck_assert_str_eq(m.name, "qemu64");
    ck_assert(!m.has_smap && !m.has_pcid && !bit(1, 0, 2, 26) && !bit(7, 0, 1, 5));
    ck_assert_uint_eq(cpu_model_leaf(&m, 1, 0)->eax, 0x60fb1);
    ck_assert_uint_eq(m.cr4_mask & (CR4_SMEP | CR4_OSXSAVE), 0);
    ck_assert_int_eq(cpu_model_parse("qemu64,+smap,pcid=on,+sse4_1", &m, err), 0);
    ck_assert(m.has_smap && m.has_pcid && bit(1, 0, 2, 19));
    ck_assert(bit(1, 0, 2, 9)); // ssse3 came with sse4.1
    ck_assert_int_eq(cpu_model_parse("max,-xsave", &m, err), 0);
    ck_assert(!bit(1, 0, 2, 28) && !bit(7, 0, 1, 5) && !bit(7, 0, 1, 16)); // AVX, AVX2, AVX512F went with it
    ck_assert_uint_eq(m.xcr0_mask, 1);
    ck_assert_int_eq(cpu_model_parse("max,-lm", &m, err), 0);
    ck_assert(!(m.efer_mask & EFER_LME) && !m.has_pcid);
    ck_assert_int_eq(cpu_model_parse("max,nx=off", &m, err), 0);
    ck_assert(!m.has_nx && !(m.efer_mask & EFER_NXE));
    ck_assert_int_eq(cpu_model_parse("max,-hypervisor", &m, err), 0);
    ck_assert(!bit(1, 0, 2, 31) && !cpu_model_leaf(&m, 0x40000000, 0));
}
END_TEST

START_TEST(max_is_sound)
{
    ck_assert_int_eq(cpu_model_parse("max", &m, err), 0);
    ck_assert_uint_lt(m.count, ARRAY_SIZE(m.leaves)); // the tables fit
    for (unsigned i = 0; i < m.count; i++)
        for (unsigned j = 0; j < i; j++)
            ck_assert(m.leaves[i].leaf != m.leaves[j].leaf || m.leaves[i].subleaf != m.leaves[j].subleaf);
    ck_assert(bit(1, 0, 3, 25) && bit(1, 0, 3, 26));
    ck_assert(!bit(1, 0, 2, 5) && !bit(1, 0, 2, 3) && !bit(7, 0, 2, 3)); // VMX, MONITOR, PKU
    ck_assert(m.tsc_khz > 100000 && m.tsc_khz < 10000000);
    if (m.is_amd)
        ck_assert(bit(0x80000021, 0, 0, 8) && (m.efer_mask & BIT(21)));
    else
        ck_assert(bit(7, 0, 3, 29));
}
END_TEST

static unsigned lines;
static void count_line(const char *line) { lines += *line != 0; }

START_TEST(dynamic_values)
{
    uint32_t r[4];
    machine_long();
    cpu_model_query(cpu, 1, 0, r);
    ck_assert(!(r[2] & BIT(27)));
    cpu->cr4 |= CR4_OSXSAVE;
    cpu_model_query(cpu, 1, 0, r);
    ck_assert(r[2] & BIT(27));
    cpu->xcr0 = 3;
    cpu_model_query(cpu, 0xd, 0, r);
    ck_assert_uint_eq(r[1], 576);
    ck_assert_uint_eq(r[0], cpu->model->xcr0_mask);
    if (cpu->model->xcr0_mask & 4) {
        cpu->xcr0 = 7;
        cpu_model_query(cpu, 0xd, 0, r);
        ck_assert_uint_eq(r[1], 576 + 256);
        cpu_model_query(cpu, 0xd, 1, r);
        ck_assert_uint_eq(r[1], 576 + 256);
    }
    cpu_model_query(cpu, 0xa, 0, r);
    ck_assert_uint_eq(r[0] | r[1] | r[2] | r[3], 0);
    cpu_model_query(cpu, 0x12345678, 0, r);
    ck_assert_uint_eq(r[0] | r[1] | r[2] | r[3], 0);
    cpu_model_query(cpu, 0xffffffff, 0xffffffff, r);
    ck_assert_uint_eq(r[0] | r[1] | r[2] | r[3], 0);
    cpu_model_help(count_line);
    ck_assert_uint_gt(lines, 8);
}
END_TEST

static TCase *cases(void)
{
    TCase *t = tcase_create("models");
    tcase_add_test(t, errors);
    tcase_add_test(t, edits);
    tcase_add_test(t, max_is_sound);
    tcase_add_test(t, dynamic_values);
    return t;
}

int main(void) { return machine_run_suite("cpuid", (TCase * (*const[])(void)){cases}, 1); }
