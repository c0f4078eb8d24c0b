// SPDX-License-Identifier: MIT
// A 16550A serial port in front of a chardev.
//
// The line is as fast as the host: the divisor is kept, never waited for. Bytes written are gathered and
// handed to the chardev in batches (a full batch, a newline, or FLUSH_NS after the first byte), because
// guests print a byte at a time and a system call for each would cost more than the guest's own work.
#include "hw/uart_16550.h"

#include <stdlib.h>
#include <string.h>

#include "hw/timebase.h"

enum {
    UART_RBR_THR = 0,
    UART_IER = 1,
    UART_IIR_FCR = 2,
    UART_LCR = 3,
    UART_MCR = 4,
    UART_LSR = 5,
    UART_MSR = 6,
    UART_SCR = 7
};
// PC16550D data sheet, table II "Summary of Registers".
// clang-format off
enum {
    IER_ERBFI = 0x01, IER_ETBEI = 0x02, IER_ELSI = 0x04, IER_EDSSI = 0x08,
    IIR_NONE = 0x01, IIR_MODEM = 0x00, IIR_THRE = 0x02, IIR_DATA = 0x04, IIR_LINE = 0x06, IIR_TIMEOUT = 0x0c,
    IIR_FIFOS = 0xc0,
    FCR_ENABLE = 0x01, FCR_CLEAR_RX = 0x02, FCR_CLEAR_TX = 0x04, FCR_KEPT = 0xc9,
    LCR_DLAB = 0x80,
    MCR_DTR = 0x01, MCR_RTS = 0x02, MCR_OUT1 = 0x04, MCR_OUT2 = 0x08, MCR_LOOP = 0x10, MCR_WRITABLE = 0x1f,
    LSR_DR = 0x01, LSR_OE = 0x02, LSR_PE = 0x04, LSR_FE = 0x08, LSR_BI = 0x10, LSR_THRE = 0x20,
    LSR_TEMT = 0x40,
    LSR_ERRORS = LSR_OE | LSR_PE | LSR_FE | LSR_BI,
    MSR_DCTS = 0x01, MSR_DDSR = 0x02, MSR_TERI = 0x04, MSR_DDCD = 0x08, MSR_CTS = 0x10, MSR_DSR = 0x20,
    MSR_RI = 0x40, MSR_DCD = 0x80, MSR_DELTAS = 0x0f,
};
// clang-format on
enum { FIFO_SIZE = 16, TX_SIZE = 256, TX_BATCH = 64 };
#define FLUSH_NS 200000u

struct uart_16550 {
    struct uart_16550_config cfg;
    uint8_t ier, fcr, lcr, mcr, lsr, msr, scr, dll, dlm;
    bool thre_pending;
    bool irq_level; // as the line is driven
    uint8_t rx[FIFO_SIZE];
    unsigned rx_head, rx_count;
    uint8_t tx[TX_SIZE];
    unsigned tx_count;
    bool tx_blocked; // the chardev is full
    struct loop_timer *flush_timer;
};

// --- interrupts

static unsigned rx_capacity(const struct uart_16550 *u) { return u->fcr & FCR_ENABLE ? FIFO_SIZE : 1; }

static unsigned rx_trigger(const struct uart_16550 *u)
{
    static const uint8_t levels[4] = {1, 4, 8, 14};
    return u->fcr & FCR_ENABLE ? levels[u->fcr >> 6] : 1;
}

static uint8_t pending_interrupt(const struct uart_16550 *u)
{
    if (u->ier & IER_ELSI && u->lsr & LSR_ERRORS)
        return IIR_LINE;
    // The line is infinitely fast, so four character times without a byte have always passed.
    if (u->ier & IER_ERBFI && u->rx_count)
        return u->rx_count >= rx_trigger(u) ? IIR_DATA : IIR_TIMEOUT;
    if (u->ier & IER_ETBEI && u->thre_pending)
        return IIR_THRE;
    if (u->ier & IER_EDSSI && u->msr & MSR_DELTAS)
        return IIR_MODEM;
    return IIR_NONE;
}

// A PC wires the interrupt through OUT2; guests exist that never set it and rely on emulators that do not
// look, so it is not looked at here.
static void update_irq(struct uart_16550 *u)
{
    bool level = pending_interrupt(u) != IIR_NONE;
    if (level == u->irq_level)
        return; // most accesses leave it alone
    u->irq_level = level;
    irq_set(&u->cfg.irq, level);
}

// --- receiving

static void rx_push(struct uart_16550 *u, uint8_t v)
{
    if (u->rx_count >= rx_capacity(u)) {
        u->lsr |= LSR_OE;
        if (!(u->fcr & FCR_ENABLE))
            u->rx[u->rx_head] = v; // without FIFOs the new character overwrites the old one
        return;
    }
    u->rx[(u->rx_head + u->rx_count++) % FIFO_SIZE] = v;
    u->lsr |= LSR_DR;
}

static uint8_t rx_pop(struct uart_16550 *u)
{
    uint8_t v = u->rx[u->rx_head];
    if (!u->rx_count)
        return v;
    u->rx_head = (u->rx_head + 1) % FIFO_SIZE;
    if (--u->rx_count == 0)
        u->lsr &= (uint8_t)~LSR_DR;
    return v;
}

static void rx_clear(struct uart_16550 *u)
{
    u->rx_count = 0;
    u->lsr &= (uint8_t)~LSR_DR;
}

static size_t uart_can_receive(void *opaque)
{
    struct uart_16550 *u = opaque;
    return u->mcr & MCR_LOOP ? 0 : rx_capacity(u) - u->rx_count;
}

static void uart_receive(void *opaque, const uint8_t *buf, size_t len)
{
    struct uart_16550 *u = opaque;
    for (size_t i = 0; i < len; i++)
        rx_push(u, buf[i]);
    update_irq(u);
}

static void uart_break_received(void *opaque)
{
    struct uart_16550 *u = opaque;
    rx_push(u, 0);
    u->lsr |= LSR_BI;
    update_irq(u);
}

// --- transmitting

static void tx_update_empty(struct uart_16550 *u)
{
    // Empty to the guest as long as a FIFO's worth more fits.
    bool empty = u->tx_count + FIFO_SIZE <= TX_SIZE;
    if (empty && !(u->lsr & LSR_THRE))
        u->thre_pending = true;
    u->lsr = (uint8_t)(empty ? u->lsr | LSR_THRE | LSR_TEMT : u->lsr & ~(LSR_THRE | LSR_TEMT));
}

void uart_16550_flush(struct uart_16550 *u)
{
    vectors_save();
    if (u->tx_count) {
        size_t n = chardev_write(u->cfg.chr, u->tx, u->tx_count);
        if (n > u->tx_count)
            n = u->tx_count;
        u->tx_count -= (unsigned)n;
        memmove(u->tx, u->tx + n, u->tx_count);
        u->tx_blocked = u->tx_count > 0;
    }
    loop_timer_del(u->flush_timer);
    tx_update_empty(u);
}

static void flush_fired(void *opaque)
{
    struct uart_16550 *u = opaque;
    uart_16550_flush(u);
    update_irq(u);
}

static void uart_can_write(void *opaque)
{
    struct uart_16550 *u = opaque;
    u->tx_blocked = false;
    flush_fired(u);
}

static void tx_push(struct uart_16550 *u, uint8_t v)
{
    u->thre_pending = false;
    if (u->mcr & MCR_LOOP) {
        rx_push(u, v);
        u->thre_pending = true;
        return;
    }
    if (u->tx_count < TX_SIZE)
        u->tx[u->tx_count++] = v;
    if (!u->tx_blocked) {
        if (v == '\n' || u->tx_count >= TX_BATCH)
            uart_16550_flush(u);
        else if (!loop_timer_pending(u->flush_timer))
            loop_timer_mod(u->flush_timer, clock_now_ns() + FLUSH_NS);
    }
    tx_update_empty(u);
    if (u->lsr & LSR_THRE)
        u->thre_pending = true; // the byte has moved on at once
}

// --- modem lines

// What the inputs show: a connected cable, or the outputs looped back (DTR to DSR, RTS to CTS, OUT1 to RI,
// OUT2 to DCD).
static uint8_t modem_inputs(const struct uart_16550 *u)
{
    if (!(u->mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    return (uint8_t)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
                     (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void modem_update(struct uart_16550 *u)
{
    uint8_t now = modem_inputs(u), was = u->msr & 0xf0, changed = now ^ was, deltas = u->msr & MSR_DELTAS;
    deltas |= changed >> 4 & (MSR_DCTS | MSR_DDSR | MSR_DDCD);
    if (was & MSR_RI && !(now & MSR_RI))
        deltas |= MSR_TERI;
    u->msr = now | deltas;
}

// --- registers

static uint8_t uart_read_rbr(struct uart_16550 *u)
{
    if (u->lcr & LCR_DLAB)
        return u->dll;
    uint8_t v = rx_pop(u);
    update_irq(u);
    if (!u->rx_count && !(u->mcr & MCR_LOOP))
        chardev_accept_input(u->cfg.chr);
    return v;
}

static uint8_t uart_read_iir(struct uart_16550 *u)
{
    uint8_t id = pending_interrupt(u);
    if (id == IIR_THRE) { // "Reading the IIR Register (if source of interrupt)" resets it
        u->thre_pending = false;
        update_irq(u);
    }
    return id | (u->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static uint64_t uart_read(void *opaque, uint64_t offset, unsigned size)
{
    struct uart_16550 *u = opaque;
    uint8_t v;
    switch (offset) {
    case UART_RBR_THR: return uart_read_rbr(u);
    case UART_IER: return u->lcr & LCR_DLAB ? u->dlm : u->ier;
    case UART_IIR_FCR: return uart_read_iir(u);
    case UART_LCR: return u->lcr;
    case UART_MCR: return u->mcr;
    case UART_LSR:
        v = u->lsr;
        u->lsr &= (uint8_t)~LSR_ERRORS;
        break;
    case UART_MSR:
        v = u->msr;
        u->msr &= (uint8_t)~MSR_DELTAS;
        break;
    case UART_SCR: return u->scr;
    default: return 0xff;
    }
    update_irq(u);
    return v;
}

static void uart_write_fcr(struct uart_16550 *u, uint8_t v)
{
    bool toggled = (v ^ u->fcr) & FCR_ENABLE;
    // "Bit 0 must be a 1 when other FCR bits are written to or they will not be programmed."
    u->fcr = v & FCR_ENABLE ? v & FCR_KEPT : 0;
    if (toggled || v & FCR_CLEAR_RX)
        rx_clear(u);
    if (toggled || v & FCR_CLEAR_TX) { // what was "sent" at once stays sent: only the interrupt follows
        uart_16550_flush(u);
        u->thre_pending = true;
    }
}

static void uart_write_ier(struct uart_16550 *u, uint8_t v)
{
    v &= IER_ERBFI | IER_ETBEI | IER_ELSI | IER_EDSSI;
    if (v & IER_ETBEI && !(u->ier & IER_ETBEI) && u->lsr & LSR_THRE)
        u->thre_pending = true;
    u->ier = v;
}

static void uart_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct uart_16550 *u = opaque;
    uint8_t v = (uint8_t)value;
    switch (offset) {
    case UART_RBR_THR:
        if (u->lcr & LCR_DLAB)
            u->dll = v;
        else
            tx_push(u, v);
        break;
    case UART_IER:
        if (u->lcr & LCR_DLAB)
            u->dlm = v;
        else
            uart_write_ier(u, v);
        break;
    case UART_IIR_FCR:
        uart_write_fcr(u, v);
        if (!(u->mcr & MCR_LOOP))
            chardev_accept_input(u->cfg.chr);
        break;
    case UART_LCR: u->lcr = v; break;
    case UART_MCR: {
        bool left_loop = u->mcr & MCR_LOOP && !(v & MCR_LOOP);
        u->mcr = v & MCR_WRITABLE;
        modem_update(u);
        if (left_loop)
            chardev_accept_input(u->cfg.chr);
        break;
    }
    case UART_SCR: u->scr = v; break;
    }
    update_irq(u);
}

static const struct io_ops uart_ops = {
    .read = uart_read, .write = uart_write, .min_size = 1, .max_size = 1, .gpr_only = true};
static const struct chardev_frontend_ops uart_frontend = {
    .can_receive = uart_can_receive,
    .receive = uart_receive,
    .can_write = uart_can_write,
    .break_received = uart_break_received,
};

void uart_16550_reset(struct uart_16550 *u)
{
    uart_16550_flush(u);
    u->ier = u->fcr = u->lcr = u->mcr = u->scr = u->dlm = 0;
    u->dll = 12; // 9600 baud
    u->lsr = LSR_THRE | LSR_TEMT;
    u->msr = MSR_CTS | MSR_DSR | MSR_DCD;
    u->rx_head = u->rx_count = 0;
    u->thre_pending = false;
    tx_update_empty(u);
    u->irq_level = true; // whatever it was
    update_irq(u);
}

struct uart_16550 *uart_16550_create(const struct uart_16550_config *cfg)
{
    struct uart_16550 *u = calloc(1, sizeof(*u));
    if (!u)
        return NULL;
    u->cfg = *cfg;
    u->flush_timer = loop_timer_new(flush_fired, u);
    if (!u->flush_timer || !as_map_io(cfg->as, "uart_16550", cfg->base, 8, &uart_ops, u, 0)) {
        loop_timer_free(u->flush_timer);
        free(u);
        return NULL;
    }
    if (cfg->chr) {
        cfg->chr->fe = &uart_frontend;
        cfg->chr->fe_opaque = u;
    }
    uart_16550_reset(u);
    return u;
}
