// SPDX-License-Identifier: MIT
// What the files of the IDE drives share: ide.c (registers), ide_stream.c (data), ide_ata.c and ide_smart.c (disk
// commands), ide_identify.c, atapi*.c (CD drives).
//
// Sections are those of ATA/ATAPI-6 (T13/1410D) unless a comment says otherwise.
#pragma once

#include "hw/block.h"
#include "hw/ide.h"

enum { IDE_BUFFER = 256 * 1024, IDE_SECTOR = 512, IDE_MAX_MULTIPLE = 16 };

enum { // 7.15 "Status register"
    ST_ERR = 0x01,
    ST_DRQ = 0x08,
    ST_DSC = 0x10,
    ST_DF = 0x20,
    ST_DRDY = 0x40,
    ST_BSY = 0x80,
};
enum { // 7.9 "Error register"
    ER_ABRT = 0x04,
    ER_IDNF = 0x10,
    ER_UNC = 0x40,
};
enum { DEV_SELECT = 0x10, DEV_LBA = 0x40, DEV_OBSOLETE = 0xa0 }; // 7.7 "Device register"
enum { CTL_NIEN = 0x02, CTL_SRST = 0x04, CTL_HOB = 0x80 };       // 7.8 "Device Control register"
enum { IREASON_CD = 0x01, IREASON_IO = 0x02 };                   // 7.14 "Sector Count" of PACKET

enum { IDE_MODE_NONE = 0xff, IDE_MAX_LBA28 = 0x0fffffff };

struct ide_regs {
    uint8_t feature, count, lba[3];
};

// A transfer between the image (or a buffer filled before) and the host.
//
//   to the host:    FETCH -> WAIT -> HOST -> FETCH ... -> FINISH
//   from the host:  PREPARE -> HOST -> STORE -> WAIT -> PREPARE ... -> FINISH
//
// WAIT ends with the block request; HOST when the host has moved what is in the buffer.
enum ide_phase { IDE_IDLE, IDE_FETCH, IDE_PREPARE, IDE_WAIT, IDE_HOST, IDE_STORE, IDE_FINISH };

struct ide_stream {
    bool write; // from the host
    bool dma;
    bool local;       // no image: the buffer is all
    bool verify;      // reads the image only
    bool flush;       // flush at the end
    bool quiet;       // the first DRQ block raises no interrupt
    uint64_t offset;  // of what comes next, in the image
    uint64_t left;    // bytes that are still to be fetched or stored
    unsigned in, out; // bytes of a sector in the image and at the host
    unsigned drq;     // most bytes of a DRQ block
    // Makes n sectors of `out` bytes of those of `in` bytes that are at the start of the buffer; may be NULL.
    void (*expand)(struct ide_drive *d, unsigned n);
    void (*end)(struct ide_drive *d, int result); // 0 or -errno of the image
};

struct atapi_sense {
    uint8_t key, asc, ascq;
};
enum { SENSE_NOT_READY = 2, SENSE_MEDIUM_ERROR = 3, SENSE_ILLEGAL = 5, SENSE_ATTENTION = 6 };
enum { CD_SECTOR = 2048, CD_LEAD_IN = 150 }; // in frames

struct ide_drive {
    struct ide_channel *ch;
    unsigned unit;
    bool present, cd;
    struct block *block;
    char serial[21], model[41], version[9];

    struct ide_regs reg, hob; // what was written last, and before that
    uint8_t device, error, status;
    bool intrq;

    // --- data
    uint8_t *buf;               // IDE_BUFFER bytes and a little
    uint32_t pos, drq_end, len; // next byte; end of this DRQ block; bytes in buf
    struct ide_stream stream;
    enum ide_phase phase;
    bool running; // ide_stream_run() is on the stack
    bool waiting; // io is with the block layer
    bool dropped; // and nobody is interested any more
    enum ide_phase after_wait;
    struct block_request io;
    struct iovec iov;

    // --- disk
    struct ide_geometry chs;                        // default translation
    unsigned cur_cylinders, cur_heads, cur_sectors; // INITIALIZE DEVICE PARAMETERS
    uint8_t multiple;
    uint8_t pio_mode, mwdma_mode, udma_mode; // 8.46 "SET FEATURES"; or IDE_MODE_NONE
    bool look_ahead, smart_off;
    uint64_t last_lba; // of the command under way
    bool ext;          // it is one with 48-bit addresses

    // --- CD drive
    uint8_t packet[12];
    bool packet_dma;
    unsigned byte_limit;
    struct atapi_sense sense;
    bool tray_open, locked, attention;         // attention: the medium changed and nobody was told
    bool event_new, event_gone, event_request; // GET EVENT STATUS NOTIFICATION
    void (*tray_moved)(void *opaque, bool open);
    void *tray_opaque;
};

struct ide_channel {
    struct ide_channel_config cfg;
    struct region *command, *control;
    struct ide_drive drive[2];
    unsigned selected;
    uint8_t device_control;
    bool line;
};

// ide.c
void ide_raise(struct ide_drive *d); // INTRQ
void ide_update_irq(struct ide_channel *ch);
void ide_set_signature(struct ide_drive *d);
void ide_abort(struct ide_drive *d, uint8_t error); // ends the command: ERR and an interrupt
void ide_done(struct ide_drive *d);                 // ends it well

// ide_stream.c
void ide_stream_start(struct ide_drive *d, const struct ide_stream *s);
// The bytes buf[0..len) to the host, by PIO and in one DRQ block.
void ide_stream_reply(struct ide_drive *d, unsigned len, void (*end)(struct ide_drive *d, int result));
void ide_stream_stop(struct ide_drive *d);  // forgets the transfer; waits for the block layer
void ide_stream_ready(struct ide_drive *d); // the bus master was started
uint16_t ide_data_read(struct ide_drive *d);
void ide_data_write(struct ide_drive *d, uint16_t v);

// ide_ata.c
void ata_command(struct ide_drive *d, uint8_t command);
void ata_reset(struct ide_drive *d);
void ata_data_end(struct ide_drive *d, int result); // of a command that replies from the buffer
// SET FEATURES: transfer mode, of disks and CD drives. False: there is no such mode.
bool ata_set_mode(struct ide_drive *d, uint8_t mode);

// ide_identify.c
void ata_identify(const struct ide_drive *d, uint8_t out[IDE_SECTOR]);
void atapi_identify(const struct ide_drive *d, uint8_t out[IDE_SECTOR]);
// The geometry of a disk, from its partition table or its size.
struct ide_geometry ide_guess_geometry(struct block *b);

// ide_smart.c
void ata_smart(struct ide_drive *d);

// atapi.c
void atapi_command(struct ide_drive *d, uint8_t command);
void atapi_reset(struct ide_drive *d, bool power_on);
// A DRQ block of n bytes is about to be moved.
void atapi_block(struct ide_drive *d, unsigned n);
void atapi_fail(struct ide_drive *d, uint8_t key, uint8_t asc, uint8_t ascq);
void atapi_ok(struct ide_drive *d);
void atapi_start(struct ide_drive *d, struct ide_stream *s); // its data, as PACKET said: PIO or DMA
// Replies the first len bytes of the buffer, but no more than the host has room for.
void atapi_reply(struct ide_drive *d, unsigned len, unsigned room);
void atapi_open_tray(struct ide_drive *d); // by the guest
void atapi_close_tray(struct ide_drive *d);
bool atapi_has_medium(const struct ide_drive *d);
uint32_t atapi_sectors(const struct ide_drive *d); // of 2048 bytes; 0 without a medium

// atapi_cmd.c: what commands reply
struct atapi_row {
    uint8_t opcode;
    uint8_t flags;
    void (*run)(struct ide_drive *d, const uint8_t *p);
};
enum { ATAPI_ANY_TIME = 1, ATAPI_NEEDS_MEDIUM = 2 };
const struct atapi_row *atapi_find(uint8_t opcode); // NULL: there is no such command
// atapi_read.c
void atapi_read_10_12(struct ide_drive *d, const uint8_t *p);
void atapi_read_cd(struct ide_drive *d, const uint8_t *p);

static inline uint16_t be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t be32(const uint8_t *p) { return (uint32_t)be16(p) << 16 | be16(p + 2); }
static inline void put_be16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline void put_be32(uint8_t *p, uint32_t v)
{
    put_be16(p, v >> 16);
    put_be16(p + 2, v & 0xffff);
}
