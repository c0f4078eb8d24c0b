// SPDX-License-Identifier: MIT
// The binary translator's data structures: translated blocks, links, and the code cache.
//
// The life of a block. The dispatcher (accel_bt.c) wants to run guest address rip: it translates rip to a
// guest-physical address, looks the block up by (rip, physical address, mode) in tb_map.c and, if there is none,
// has translate.c decode and emit one into the code cache (code_cache.c). The block runs, and leaves through an
// exit stub whose link tells the dispatcher where to go next; when that target is a block too, the link is
// *chained*: the branch is patched to jump there directly. tb_map.c drops blocks whose bytes are written;
// code_cache.c evicts the oldest region when memory runs out.
//
// Links. A direct branch to the same guest page is patched outright: both blocks hang on the same
// mapping. A branch to another page is right only while that page's mapping stands, so that its stub compares
// the epoch at which the link was verified with the current one (mmu.h: epoch_user, epoch_supervisor) and
// jumps only if they agree. Nothing has to be undone when the guest changes its page tables.
//
// Being interrupted. No block polls. A kick (signal from another thread) makes the epochs and the indirect-branch
// tables invalid and undoes the same-page links of the running block, so that the block soon comes back to
// the dispatcher, which puts all back (kick.c).
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "cpu/accel.h"
#include "cpu/debug_points.h"
#include "cpu/state.h"
#include "translator/code_addr.h"
#include "translator/decode.h"
#include "translator/emit.h"
#include "translator/host_fault.h"

enum {
    TB_MAX_INSNS = 64,
    TB_MAX_CODE = 24 * 1024, // host bytes one block may take
    TB_MAX_DATA = 32 * 1024, // bytes of its struct tb, links, sites and map
    TB_MAX_DEPS = 16,
    TB_PER_REGION = 1 << 16,
    IBL_BITS = 18, // indirect-branch table: indexed by so many low bits of the target
    IBL_ENTRIES = 1 << IBL_BITS,
    CACHE_REGIONS = 8,
    FETCH_ENTRIES = 1024, // remembered translations of code pages
};

// Fields of cpu->engine[] that translated code reaches.
// clang-format off
enum engine_slot {
    ENG_HOST_SP,   // host stack pointer to use outside translated code
    ENG_EPOCH_USER, ENG_EPOCH_SUP, // current epochs; 0 while a kick is pending
    ENG_IBL_USER, ENG_IBL_SUP,     // struct ibl_entry *: current tables; the empty table while a kick is pending
    ENG_EXIT,      // argument of the exit: struct tb_link * or struct tb_site *
    ENG_EXIT_KIND, // enum exit_kind
    ENG_TARGET,    // target of an indirect branch that missed
    ENG_RCX,       // flags-neutral compares borrow RCX
    ENG_EA,        // effective address of the access in the slow path
    ENG_SITE,      // struct tb_site * of the last helper or slow path entered; 0 in the dispatcher
    ENG_IN_CODE,   // 1 from before glue.enter to its return: a kick must stop translated code
    ENG_TMP,       // a value across the address lookup of its store (PUSH mem, CALL mem)
    ENG_TMP2,      // glue's own
    ENG_SPAN,      // a span's host pointer across the slow path of another access
    ENG_VIEW_K, ENG_VIEW_KA, // GS bases of the supervisor's views of this address space: without, with AC
    ENG_RESUME,    // code address that a helper is about to jump to, or 0: a kick must stop that block, too
    ENG_COUNT,
};
// clang-format on

#define X_EXITS(X)                                                             \
    X(LINK, "direct branch not chained; ENG_EXIT is the link")                 \
    X(INDIRECT, "indirect branch missed; ENG_TARGET is the target")            \
    X(SLOW_MEM, "memory access to be emulated; ENG_EXIT is the site")          \
    X(HELPER, "a helper changed control flow or mode; rip is right")           \
    X(FAULT, "host fault at a guest instruction; registers and rip are right") \
    X(DROPPED, "entered a block that has been dropped; rip is right")          \
    X(NEXT, "end of block without a branch; ENG_EXIT is the link")

enum exit_kind {
#define X(id, text) EXIT_##id,
    X_EXITS(X)
#undef X
        EXIT_COUNT
};

struct tb;

// One direct branch out of (or back into) a block.
struct tb_link {
    gva target; // a code address
    struct tb *from;
    struct tb *to;            // NULL: not chained
    uint8_t *site;            // writable address of the rel32 to patch
    uint8_t *stub;            // executable address the rel32 holds while unchained
    struct tb_link *next_in;  // list of links into `to`
    uint32_t neg_epoch;       // cross-page: minus the epoch it was verified at
    uint8_t kind;             // exit_kind
    bool cross;               // checked by epoch
    bool exact;               // leads to the target's exact twin (gen_span.c)
    bool internal;            // a branch back into its own block
    uint8_t *internal_target; // executable address, for internal links
};

// What a helper call or slow path needs to know; addressed by translated code.
struct tb_site {
    uint8_t *resume; // executable address
    gva rip, next_rip;
    struct tb *tb;
    uint16_t size; // memory access
    bool write;
    bool span;       // the access is a span's whole range (gen_span.c), which no instruction makes...
    bool lead_write; // ... and this is what its first instruction does
    uint8_t lead_size;
    int16_t lead_at;    // from the range's start
    bool masked;        // elements may be deselected: a missing page does not fault by itself
    uint8_t swap;       // tb->swap where names are exchanged, or 0
    uint8_t device;     // enum site_device: what the instruction does if the memory is a device's...
    uint8_t device_reg; // ... and the register that it stores
    uint32_t device_imm;
    // --- a memory access ends here
    uint64_t (*fn)(struct cpu *cpu, const struct tb_site *site); // helper; returns enum in gen.h
    uint64_t arg[2];
};

// An instruction that a device's page need not leave the block for: slow.c makes the access, and the instruction runs
// on a bounce buffer. Those that touch the memory once, with nothing after it that could fault.
enum site_device {
    SITE_INTERP, // none of these
    SITE_LOAD,
    SITE_STORE,      // of device_reg
    SITE_STORE_HIGH, // of its bits 15..8
    SITE_STORE_IMM,
};

// Host address -> guest instruction, for precise faults.
struct tb_map_entry {
    uint32_t host;  // offset from tb->code of the instruction's first host byte
    uint16_t guest; // offset from tb->va
    uint8_t len;
    uint8_t high : 2;    // guest r14 (bit 0), r15 (bit 1) are in the host's here, not in gpr[]
    uint8_t renamed : 1; // names are exchanged by tb->swap
    uint8_t swapped : 3; // 1 + register (0..3) whose two low bytes are exchanged while the instruction runs, or 0
};

struct tb {
    gva va;        // a code address (code_addr.h)
    gpa pa, pa2;   // pa2: page of the second part, or NO_PA
    uint64_t mode; // code_mode(), and TB_EXACT
    uint16_t size; // guest bytes
    uint16_t insns;
    uint8_t *code; // executable address of the entry
    uint8_t *cold; // executable address of its out-of-line part, behind all code of the region
    uint32_t code_size, cold_size;
    uint32_t data_size;
    bool dropped;
    bool original; // translated, not copied: what copies are made from (tb_clone.c)
    uint8_t region;
    uint8_t swap; // what stands for guest r14, r15 << 4 in part of the block, and they for it (gen_swap.c); 0: nothing
    uint16_t nlinks, nmap, ndeps;
    struct tb_link *links; // in the block's data, beside its code
    struct tb_map_entry *map;
    // Bytes of the same page outside the block that liveness looked at, as [lo, hi) page offsets: a write
    // there drops the block, too.
    struct {
        uint16_t lo, hi;
    } deps[TB_MAX_DEPS];
    uint32_t ibl_off; // of the instruction after `mov rcx, fs:[IBL]` in the inline lookup; 0 none
    // The indirect branch that ends the block: where it is, and how far it moved RSP, for a target it must
    // refuse. It has been carried out when the target is looked at.
    uint16_t ibl_guest; // offset from va
    int32_t ibl_rsp;
    bool ibl_remat;     // which of its two forms (gen_flow.c)
    uint32_t ibl_end;   // and behind its last one
    uint8_t *drop_stub; // executable address: exits with EXIT_DROPPED
    struct tb_link *in; // links that are chained to here
    struct tb *hash_next, *page_next[2], *original_next;
    struct tb **page_at[2]; // what points to this block in its pages' lists, which are long: libc's in each process
    // For tb_clone.c: nrel places of rel32 operands, naddr of guest addresses, nsites sites (bytes from tb); NULL: it
    // cannot be moved.
    uint16_t nrel, naddr, nsites;
    uint32_t *reloc;
};
// A place is an offset from code, or with this bit from cold.
#define TB_RELOC_COLD (1u << 31)
// In tb->mode: a block without spans.
#define TB_EXACT (1ull << 31)
#define NO_PA (~(gpa)0)

struct ibl_entry {
    uint64_t neg_va; // -(guest address); a lookup adds the target and tests for zero
    uint8_t *code;
};
struct ibl_table {
    struct ibl_entry *entry;   // IBL_ENTRIES, sparse
    uint32_t log[IBL_ENTRIES]; // slots in use
    unsigned used;
    uint32_t epoch; // of the fetches it was filled under
    uint64_t mode;  // of the blocks in it
};

// Code is one memfd mapped twice: writable at rw, executable at rx. The blocks' data (struct tb, links, sites)
// is ordinary memory right behind rx, so that code reaches it RIP-relative and nothing is both writable
// and executable. Both are cut into CACHE_REGIONS that are filled in turn; evicting is by region.
struct code_cache {
    uint8_t *rw, *rx, *data;
    size_t size, region_size; // of code; data has the same size
    uint8_t *glue_rw;         // GLUE_SIZE bytes before region 0
    unsigned region;          // being filled
    uint8_t *p, *cold, *d;    // next free byte of code, of out-of-line code (writable addresses) and of data
    uint8_t *ready_p, *ready_cold, *ready_d; // up to where each has pages of the host
    struct tb **tbs[CACHE_REGIONS];          // blocks by rising address
    unsigned ntbs[CACHE_REGIONS];
    int fd;
};
enum { GLUE_SIZE = 64 * 1024, WINDOW_END = 0xa0000 };

struct code_page; // tb_map.c
struct tb_map_table;

struct bt;

// Code made once at the start of the cache (glue.c).
struct glue {
    void (*enter)(uint8_t *code); // C ABI: loads the guest's registers and jumps
    uint8_t *exit;                // stores them and returns from enter; r14: value for ENG_EXIT, r15d: exit kind
    uint8_t *helper;              // r15: struct tb_site *: stores registers, calls site->fn
    uint8_t *mem_slow;            // r14: address, r15: struct tb_site *: resolves, resumes with r15 = addend
    uint8_t *ibl_miss;   // r14: target of an indirect branch that the inline lookup did not find; r15: its block or 0
    uint8_t *ibl_kicked; // r14: target; exits as a missed indirect branch
    uint8_t *fault_exit; // registers live, rip set by the signal handler: store and return
    uint8_t *lo, *hi;    // executable range of all of it
};

struct bt {
    struct cpu *cpu;
    struct interp *interp;
    struct decoder *decoder;
    struct decode_cache *decode_cache;
    struct shadow *shadow;
    struct code_cache cache;
    struct glue glue;
    struct tb_map_table *map;
    struct ibl_table ibl_sup, *ibl_user; // user tables by epoch
    struct ibl_table ibl_users[4];
    struct ibl_entry *ibl_empty;
    uint32_t disable;
    bool fast_loop;               // the host's LOOP is one micro-operation (AMD)
    struct tb *current;           // last entered from the dispatcher
    struct tb_link *last_link;    // to be chained with the next block
    int32_t tls_off;              // of vcpu_self from the fs base
    struct ibl_entry *kick_entry; // where an in-flight indirect branch is sent by a kick
    volatile bool kicked;
    bool has_self_kick;
    timer_t self_kick;        // on the vCPU thread's CPU time
    struct tb *kicked_tbs[6]; // whose links the kick undid
    pthread_t thread;
    // writes by other threads (DMA): pages to drop, drained at CPU_REQ_FLUSH
    pthread_mutex_t pending_lock;
    struct {
        gpa addr;
        uint64_t len;
    } pending[64];
    unsigned npending;
    bool pending_all, map_changed;
    bool exact_next; // the next block is to be the exact twin, if it is the one at exact_rip
    uint64_t exact_rip;
    bool stored;          // EXIT_SLOW_MEM: the instruction has been done, an interrupt is due before the next
    hva window;           // of guest-physical 0 to WINDOW_END, if that is one piece of RAM (gen_mem.c); or NULL
    bool indirect_missed; // the block found next goes into the indirect-branch table
    struct fetch_entry {
        gva page;
        gpa pa;
        uint32_t epoch;
    } fetch[FETCH_ENTRIES];
    // debug_bt.c: what a debugger has set that the code cache and the shadow are right for
    struct debug_bt {
        struct debug_set set;
        uint32_t generation;
    } debug;
};

static inline struct bt *bt_of(struct cpu *cpu) { return cpu->accel; }
static inline ptrdiff_t cache_exec(const struct bt *bt) { return bt->cache.rx - bt->cache.rw; }

// cpu->gpr[] of a block's part whose names are exchanged, to the guest's (gen_swap.c).
static inline void tb_unswap(struct cpu *cpu, uint8_t swap)
{
    if (!swap)
        return;
    for (unsigned k = 0; k < 2; k++) {
        unsigned r = swap >> 4 * k & 15;
        uint64_t v = cpu->gpr[r];
        cpu->gpr[r] = cpu->gpr[R14 + k];
        cpu->gpr[R14 + k] = v;
    }
}

static inline struct emem eng(const struct bt *bt, enum engine_slot s)
{
    return EMEM_FS(bt->tls_off + (int32_t)offsetof(struct cpu, engine) + 8 * s);
}
static inline struct emem cpu_field(const struct bt *bt, size_t offset)
{
    return EMEM_FS(bt->tls_off + (int32_t)offset);
}
#define CPU_FIELD(bt, f) cpu_field(bt, offsetof(struct cpu, f))

// --- code_cache.c
int code_cache_init(struct bt *bt, size_t size);
void code_cache_destroy(struct bt *bt);
// Room for a block of up to TB_MAX_CODE plus its data; evicts the next region when the current one is full.
void code_cache_reserve(struct bt *bt); // room from cache.p and cache.d on
void code_cache_commit(struct bt *bt, struct tb *tb, uint8_t *code_end, uint8_t *cold_end, uint8_t *data_end);
void code_cache_flush(struct bt *bt);

// --- tb_map.c: lookup, pages, invalidation, links
int tb_map_init(struct bt *bt);
void tb_map_destroy(struct bt *bt);
static inline bool tb_is(const struct tb *tb, gva va, gpa pa, uint64_t mode)
{
    return tb->va == va && tb->pa == pa && tb->mode == mode;
}
struct tb *tb_find(struct bt *bt, gva va, gpa pa, uint64_t mode);
struct tb *tb_find_original(struct bt *bt, gpa pa, uint64_t mode);
// A bit per byte of the page where a block may begin (4096 bits); NULL: it has no blocks.
const uint64_t *tb_page_starts(struct bt *bt, gpa page);
void tb_insert(struct bt *bt, struct tb *tb);
void tb_drop(struct bt *bt, struct tb *tb);
void tb_chain(struct bt *bt, struct tb_link *l, struct tb *to);
void tb_unchain(struct bt *bt, struct tb_link *l);
// Points every chained link of tb to its stub, without touching lists (async-signal-safe), and back again.
void tb_links_suspend(struct bt *bt, struct tb *tb);
void tb_links_resume(struct bt *bt, struct tb *tb);
bool tb_page_has_code(struct bt *bt, gpa page);
// Any thread: false only if the page surely holds no translations.
bool tb_page_maybe_code(struct bt *bt, gpa page);
// What a store of [pa, pa+len), inside one page, does to the blocks of that page.
enum code_store { CODE_STORE_NO_CODE, CODE_STORE_BESIDE, CODE_STORE_HIT }; // none there; none overlaps; some does
enum code_store tb_code_store(struct bt *bt, gpa pa, unsigned len);
// Drops every block that overlaps. Returns true if the block running now was among them.
bool tb_invalidate_range(struct bt *bt, gpa pa, uint64_t len);
struct tb *tb_by_host(struct bt *bt, const uint8_t *host); // executable address -> block
// Guest instruction at a host address inside tb; NULL if none.
const struct tb_map_entry *tb_map_lookup(const struct tb *tb, const uint8_t *host);

// --- ibl.c
int ibl_init(struct bt *bt);
void ibl_destroy(struct bt *bt);
void ibl_insert(struct bt *bt, gva va, uint8_t *code, bool user);
void ibl_clear_all(struct bt *bt);
void ibl_clear_code(struct bt *bt, const uint8_t *lo, const uint8_t *hi); // executable addresses
void ibl_set_mode(struct bt *bt, uint64_t mode);                          // a block of this mode is about to run
void ibl_select(struct bt *bt); // after an epoch change: the tables that belong to the current epochs

// --- glue.c
int glue_make(struct bt *bt, struct emit *e);

// --- translate.c: NULL with *f set if the first byte cannot be fetched
// mode: code_mode(), perhaps with TB_EXACT.
struct tb *translate_block(struct bt *bt, gva va, gpa pa, uint64_t mode, struct mmu_fault *f, bool *faulted);

// --- tb_clone.c: a block for va from one that stands on the same bytes; NULL if there is none. Room is reserved.
struct tb *tb_clone(struct bt *bt, gva va, gpa pa, uint64_t mode);

// --- slow.c: called from glue
uint64_t bt_mem_slow(struct cpu *cpu, const struct tb_site *site); // addend, or 0: exit and emulate

// --- fault_bt.c
bool bt_on_host_fault(void *opaque, struct host_fault *f);
// --- kick.c
void bt_kick(struct cpu *cpu);
void bt_kick_restore(struct bt *bt);
void bt_kick_late_timers(struct bt *bt);
void bt_kick_end(struct bt *bt);
void bt_kick_resuming(struct bt *bt, struct tb *tb);
// --- accel_bt.c
void bt_load_epochs(struct bt *bt); // current epochs and tables to where translated code reads them
int bt_kick_init(struct bt *bt);
