// SPDX-License-Identifier: MIT
// The command line as data: what the user asked for, before anything is opened or built.
#pragma once

#include "frontends/displays.h"
#include "frontends/keyval.h"

// clang-format off
enum { CONFIG_DRIVES = 16, CONFIG_DEVICES = 32, CONFIG_NETDEVS = 8, CONFIG_CHARDEVS = 16, CONFIG_SERIALS = 4, CONFIG_AUDIODEVS = 4,
       CONFIG_OBJECTS = 8, CONFIG_MONITORS = 8, CONFIG_DIRS = 8, CONFIG_ROMS = 8 };
// clang-format on

// -boot: what is told to the firmware.
struct boot_options {
    const char *order, *once; // letters a to p; NULL: not given
    bool menu, strict;
    bool has_splash_time;
    uint16_t splash_time;   // ms
    int32_t reboot_timeout; // ms; -1: never
    const char *splash;     // file
    char text[160];         // what the strings above point into
};

struct config {
    // --- machine
    const char *accel, *cpu, *name;
    uint64_t tb_bytes;      // 0: the accelerator's default
    uint32_t accel_disable; // ACCEL_NO_*
    uint64_t ram_bytes;
    enum { CONFIG_RTC_UTC, CONFIG_RTC_LOCALTIME, CONFIG_RTC_DATE } rtc_base;
    int64_t rtc_date;
    bool rtc_vm_clock;
    uint8_t uuid[16];
    bool no_vmport;
    struct keyval audiodevs[CONFIG_AUDIODEVS];
    unsigned audiodev_count;
    char speaker_audiodev[32]; // id; empty: the PC speaker is silent
    bool no_smm;
    bool nodefaults, no_hpet;
    // --- boot
    const char *kernel, *initrd, *append;
    const char *bios;
    const char *dirs[CONFIG_DIRS]; // -L
    struct boot_options boot;
    struct keyval option_roms[CONFIG_ROMS]; // romfile, bootindex
    unsigned dir_count, option_rom_count;
    // --- devices; each keyval as parsed, looked into by whoever creates the thing
    struct keyval drives[CONFIG_DRIVES], devices[CONFIG_DEVICES], netdevs[CONFIG_NETDEVS];
    struct keyval chardevs[CONFIG_CHARDEVS], objects[CONFIG_OBJECTS];
    unsigned drive_count, device_count, netdev_count, chardev_count, object_count;
    bool snapshot;
    // --- consoles
    const char *serials[CONFIG_SERIALS], *debugcon;
    unsigned serial_count;
    struct monitor_option { // -monitor, -qmp, -mon
        const char *spec;   // a character device as -serial has it, or the id of a -chardev
        bool is_id, qmp, pretty;
    } monitors[CONFIG_MONITORS];
    unsigned monitor_count;
    bool monitor_chosen; // also by -monitor none: there is no default
    const char *vga;     // NULL: not given
    bool nographic;
    struct display_options display;
    // --- running
    bool start_paused, no_reboot, no_shutdown, no_sandbox;
    const char *pidfile, *log_items, *log_file;
    const char *gdb; // NULL: none
};

// What main does after options_parse.
enum options_result {
    OPTIONS_RUN,
    OPTIONS_DONE /* help was printed: exit 0 */,
    OPTIONS_ERROR /* *e says why */
};

// Strings in *c point into argv. Prints nothing but what -help and its like ask for.
enum options_result options_parse(struct config *c, int argc, char **argv, struct err *e);
void config_free(struct config *c);
