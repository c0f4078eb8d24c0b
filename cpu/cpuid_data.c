// SPDX-License-Identifier: MIT
// CPU features by name, models, and constant leaves. Names are QEMU's; bits are SDM vol. 2A, "CPUID", and AMD APM
// vol. 3, appendix E "Obtaining Processor Information Via the CPUID Instruction".
#include "cpu/cpuid_data.h"

#define L1C 1, 0, R_ECX
#define L1D 1, 0, R_EDX
#define L6A 6, 0, R_EAX
#define L7B 7, 0, R_EBX
#define L7C 7, 0, R_ECX
#define L7D 7, 0, R_EDX
#define L71A 7, 1, R_EAX
#define LDA 0xd, 1, R_EAX
#define E1C 0x80000001, 0, R_ECX
#define E1D 0x80000001, 0, R_EDX
#define E7D 0x80000007, 0, R_EDX
#define E8B 0x80000008, 0, R_EBX
#define E21A 0x80000021, 0, R_EAX

const struct cpu_feature cpu_features[] = {
    // --- leaf 1
    {"fpu", L1D, 0, EMULATED, 0},
    {"vme", L1D, 1, EMULATED, 0},
    {"de", L1D, 2, EMULATED, 0},
    {"pse", L1D, 3, EMULATED, 0},
    {"tsc", L1D, 4, EMULATED, 0},
    {"msr", L1D, 5, EMULATED, 0},
    {"pae", L1D, 6, EMULATED, 0},
    {"mce", L1D, 7, EMULATED, 0},
    {"cx8", L1D, 8, NATIVE, 0},
    {"apic", L1D, 9, EMULATED, 0},
    {"sep", L1D, 11, EMULATED, 0},
    {"mtrr", L1D, 12, EMULATED, 0},
    {"pge", L1D, 13, EMULATED, 0},
    {"mca", L1D, 14, EMULATED, 0},
    {"cmov", L1D, 15, NATIVE, 0},
    {"pat", L1D, 16, EMULATED, 0},
    {"pse36", L1D, 17, EMULATED, 0},
    {"clflush", L1D, 19, NATIVE, 0},
    {"mmx", L1D, 23, NATIVE, 0},
    {"fxsr", L1D, 24, NATIVE, 0},
    {"sse", L1D, 25, NATIVE, "fxsr"},
    {"sse2", L1D, 26, NATIVE, "sse"},
    {"ss", L1D, 27, OPTIONAL, 0},
    {"ht", L1D, 28, OPTIONAL, 0},
    {"sse3", L1C, 0, NATIVE, "sse2"},
    {"pni", L1C, 0, NATIVE, "sse2"},
    {"pclmulqdq", L1C, 1, NATIVE, "sse2"},
    {"monitor", L1C, 3, OPTIONAL, 0},
    {"ssse3", L1C, 9, NATIVE, "sse3"},
    {"fma", L1C, 12, NATIVE, "avx"},
    {"cx16", L1C, 13, NATIVE, 0},
    {"pcid", L1C, 17, EMULATED, "lm"},
    {"sse4.1", L1C, 19, NATIVE, "ssse3"},
    {"sse4.2", L1C, 20, NATIVE, "sse4.1"},
    {"x2apic", L1C, 21, EMULATED, "apic"},
    {"movbe", L1C, 22, NATIVE, 0},
    {"popcnt", L1C, 23, NATIVE, 0},
    {"tsc-deadline", L1C, 24, EMULATED, "apic"},
    {"aes", L1C, 25, NATIVE, "sse2"},
    {"xsave", L1C, 26, NATIVE, "fxsr"},
    {"avx", L1C, 28, NATIVE, "xsave"},
    {"f16c", L1C, 29, NATIVE, "avx"},
    {"rdrand", L1C, 30, NATIVE, 0},
    {"hypervisor", L1C, 31, EMULATED, 0},
    // --- leaf 6
    {"arat", L6A, 2, EMULATED, 0},
    // --- leaf 7
    {"fsgsbase", L7B, 0, EMULATED, "lm"},
    {"tsc-adjust", L7B, 1, EMULATED, 0},
    {"bmi1", L7B, 3, NATIVE, "xsave"},
    {"avx2", L7B, 5, NATIVE, "avx"},
    {"smep", L7B, 7, EMULATED, 0},
    {"bmi2", L7B, 8, NATIVE, "xsave"},
    {"erms", L7B, 9, NATIVE, 0},
    {"invpcid", L7B, 10, EMULATED, "lm"},
    {"avx512f", L7B, 16, NATIVE, "avx2"},
    {"avx512dq", L7B, 17, NATIVE, "avx512f"},
    {"rdseed", L7B, 18, NATIVE, 0},
    {"adx", L7B, 19, NATIVE, 0},
    {"smap", L7B, 20, EMULATED, 0},
    {"avx512ifma", L7B, 21, NATIVE, "avx512f"},
    {"clflushopt", L7B, 23, NATIVE, 0},
    {"clwb", L7B, 24, NATIVE, 0},
    {"avx512cd", L7B, 28, NATIVE, "avx512f"},
    {"sha-ni", L7B, 29, NATIVE, "sse2"},
    {"avx512bw", L7B, 30, NATIVE, "avx512f"},
    {"avx512vl", L7B, 31, NATIVE, "avx512f"},
    {"avx512vbmi", L7C, 1, NATIVE, "avx512bw"},
    {"umip", L7C, 2, EMULATED, 0},
    {"avx512vbmi2", L7C, 6, NATIVE, "avx512bw"},
    {"gfni", L7C, 8, NATIVE, "sse2"},
    {"vaes", L7C, 9, NATIVE, "avx"},
    {"vpclmulqdq", L7C, 10, NATIVE, "avx"},
    {"avx512vnni", L7C, 11, NATIVE, "avx512f"},
    {"avx512bitalg", L7C, 12, NATIVE, "avx512bw"},
    {"avx512-vpopcntdq", L7C, 14, NATIVE, "avx512f"},
    {"rdpid", L7C, 22, EMULATED, "lm"},
    {"fsrm", L7D, 4, NATIVE, 0},
    {"avx512-vp2intersect", L7D, 8, NATIVE, "avx512f"},
    // The guest's kernel asks IA32_ARCH_CAPABILITIES and IBRS_ALL only of Intel's CPUs (see cpuid.c).
    {"spec-ctrl", L7D, 26, EMULATED_INTEL, 0},
    {"arch-capabilities", L7D, 29, EMULATED_INTEL, 0},
    {"avx-vnni", L71A, 4, NATIVE, "avx2"},
    {"avx512-bf16", L71A, 5, NATIVE, "avx512bw"},
    {"fzrm", L71A, 10, NATIVE, 0},
    {"fsrs", L71A, 11, NATIVE, 0},
    {"fsrc", L71A, 12, NATIVE, 0},
    {"avx-ifma", L71A, 23, NATIVE, "avx2"},
    // --- leaf 0DH
    {"xsaveopt", LDA, 0, NATIVE, "xsave"},
    {"xsavec", LDA, 1, NATIVE, "xsave"},
    {"xgetbv1", LDA, 2, NATIVE, "xsave"},
    {"xsaves", LDA, 3, EMULATED, "xsavec"},
    // --- extended leaves
    {"lahf-lm", E1C, 0, NATIVE, "lm"},
    {"abm", E1C, 5, NATIVE, 0},
    {"lzcnt", E1C, 5, NATIVE, 0},
    {"sse4a", E1C, 6, NATIVE, "sse3"},
    {"misalignsse", E1C, 7, NATIVE, "sse2"},
    {"3dnowprefetch", E1C, 8, NATIVE, 0},
    {"topoext", E1C, 22, EMULATED_AMD, 0},
    {"syscall", E1D, 11, EMULATED, 0},
    {"nx", E1D, 20, EMULATED, "pae"},
    {"mmxext", E1D, 22, NATIVE, "mmx"},
    {"pdpe1gb", E1D, 26, EMULATED, "lm"},
    {"rdtscp", E1D, 27, EMULATED, "tsc"},
    {"lm", E1D, 29, EMULATED, "pae"},
    {"invtsc", E7D, 8, EMULATED, "tsc"},
    {"xsaveerptr", E8B, 2, NATIVE, "xsave"},
    {"amd-ssb-no", E8B, 26, EMULATED_AMD, 0},
    {"lfence-always-serializing", E21A, 2, EMULATED_AMD, 0},
    {"null-sel-clr-base", E21A, 6, EMULATED_AMD, 0},
    {"auto-ibrs", E21A, 8, EMULATED_AMD, 0},
    {"srso-no", E21A, 29, EMULATED_AMD, 0},
    {"srso-user-kernel-no", E21A, 30, EMULATED_AMD, 0},
    // --- what users may ask for and we do not have
    {"vmx", L1C, 5, REFUSED, 0},
    {"smx", L1C, 6, REFUSED, 0},
    {"dtes64", L1C, 2, REFUSED, 0},
    {"ds", L1D, 21, REFUSED, 0},
    {"acpi", L1D, 22, REFUSED, 0},
    {"pdcm", L1C, 15, REFUSED, 0},
    {"svm", E1C, 2, REFUSED, 0},
    {"hle", L7B, 4, REFUSED, 0},
    {"rtm", L7B, 11, REFUSED, 0},
    {"sgx", L7B, 2, REFUSED, 0},
    {"mpx", L7B, 14, REFUSED, 0},
    {"intel-pt", L7B, 25, REFUSED, 0},
    {"pku", L7C, 3, REFUSED, 0},
    {"ospke", L7C, 4, REFUSED, 0},
    {"waitpkg", L7C, 5, REFUSED, 0},
    {"la57", L7C, 16, REFUSED, 0},
    {"cldemote", L7C, 25, REFUSED, 0},
    {"movdiri", L7C, 27, REFUSED, 0},
    {"movdir64b", L7C, 28, REFUSED, 0},
    {"pks", L7C, 31, REFUSED, 0},
    {"serialize", L7D, 14, REFUSED, 0},
    {"amx-bf16", L7D, 22, REFUSED, 0},
    {"avx512-fp16", L7D, 23, REFUSED, 0},
    {"amx-tile", L7D, 24, REFUSED, 0},
    {"amx-int8", L7D, 25, REFUSED, 0},
    {"ibrs", E8B, 14, REFUSED, 0},
    {"ibpb", E8B, 12, REFUSED, 0},
    {"stibp", E8B, 15, REFUSED, 0},
    {"ssbd", L7D, 31, REFUSED, 0},
    {"amd-ssbd", E8B, 24, REFUSED, 0},
    {"md-clear", L7D, 10, REFUSED, 0},
    {"clzero", E8B, 0, REFUSED, 0},
    {"wbnoinvd", E8B, 9, REFUSED, 0},
    {"xop", E1C, 11, REFUSED, 0},
    {"fma4", E1C, 16, REFUSED, 0},
    {"tbm", E1C, 21, REFUSED, 0},
    {"perfctr-core", E1C, 23, REFUSED, 0},
    {"3dnow", E1D, 31, REFUSED, 0},
    {"3dnowext", E1D, 30, REFUSED, 0},
    {"fxsr-opt", E1D, 25, REFUSED, 0},
};
const unsigned cpu_feature_count = ARRAY_SIZE(cpu_features);

// Families and models are chosen for what a guest's kernel makes of them, not for what the host is: see the essay
// in cpuid.c. {0, 0, 0}: by vendor, from there.
const struct cpu_model_def cpu_model_defs[] = {
    {"max", "all that the host has and ring3 runs fast (the default)", 0, 0, 0, 0, 0x16, 0x80000021, 0, 0},
    {"host", "the same as max", 0, 0, 0, 0, 0x16, 0x80000021, 0, 0},
    {"qemu64", "QEMU's 64-bit baseline", "AuthenticAMD", 15, 107, 1, 0xd, 0x8000000a, "QEMU Virtual CPU version 2.5+",
     "fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 sse3 cx16 "
     "hypervisor syscall nx lm lahf-lm"},
    {"qemu32", "QEMU's 32-bit baseline", "GenuineIntel", 6, 6, 3, 4, 0x80000004, "QEMU Virtual CPU version 2.5+",
     "fpu de pse tsc msr pae mce cx8 apic sep pge cmov pat fxsr mmx sse sse2 sse3 hypervisor"},
};
const unsigned cpu_model_def_count = ARRAY_SIZE(cpu_model_defs);

const struct cpuid_const cpuid_consts[] = {
    // L1D 48 KiB 12-way, L1I 32 KiB 8-way, L2 1 MiB 16-way, L3 32 MiB 16-way; none shared with another CPU
    {'I', 2, 0, 0x00feff01, 0, 0, 0},
    {'I', 4, 0, 0x121, 0x02c0003f, 0x3f, 0},
    {'I', 4, 1, 0x122, 0x01c0003f, 0x3f, 0},
    {'I', 4, 2, 0x143, 0x03c0003f, 0x3ff, 2},
    {'I', 4, 3, 0x163, 0x03c0003f, 0x7fff, 1},
    {'A', 0x80000005, 0, 0xff60ff40, 0xff60ff40, 0x300c0140, 0x20080140},
    {'A', 0x80000006, 0, 0x40802040, 0x60804040, 0x04008140, 0x0c009140},
    {'A', 0x8000001d, 0, 0x121, 0x02c0003f, 0x3f, 0},
    {'A', 0x8000001d, 1, 0x122, 0x01c0003f, 0x3f, 0},
    {'A', 0x8000001d, 2, 0x143, 0x03c0003f, 0x3ff, 2},
    {'A', 0x8000001d, 3, 0x163, 0x03c0003f, 0x7fff, 1},
    {'I', 0x80000006, 0, 0, 0, 0x04008040, 0},
};
const unsigned cpuid_const_count = ARRAY_SIZE(cpuid_consts);
