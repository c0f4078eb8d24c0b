// SPDX-License-Identifier: MIT
// The guest's text screen in the terminal, by ncurses, and the terminal's keys to the guest.
//
// Everything of ncurses happens on one thread of its own. Ctrl-A is the escape character, as it is where the
// serial console is on the terminal: Ctrl-A X ends the machine, Ctrl-A Ctrl-A sends Ctrl-A.
#include <curses.h>

#include "frontends/display_curses.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/biglock.h"
#include "base/loop.h"
#include "frontends/displays.h"
#include "frontends/runstate.h"
#include "hw/display.h"
#include "hw/input.h"

enum { BUSY_MS = 20, IDLE_MS = 100, BUSY_FOR_MS = 500, ESCAPE_KEY = 1, KEYS_AT_ONCE = 256 };

struct curses_ui {
    struct display_context context;
    pthread_t thread;
    int wake_fd;
    _Atomic bool stopping;
    SCREEN *terminal;
    struct display_reader *reader;
    uint16_t *cells; // what the screen showed last
    struct display_text text;
    unsigned width, height;
    bool escape;    // Ctrl-A came
    bool colours16; // the terminal has VGA's bright colours too
    uint64_t busy_until;
};

// --- the screen

// VGA counts blue, green, red; terminals count red, green, blue.
static int terminal_colour(unsigned vga) { return (int)((vga & 8) | (vga & 1) << 2 | (vga & 2) | (vga & 4) >> 2); }

static void set_up_colours(struct curses_ui *ui)
{
    if (!has_colors() || start_color() == ERR)
        return;
    ui->colours16 = COLORS >= 16 && COLOR_PAIRS > 16 * 16;
    for (unsigned bg = 0; bg < (ui->colours16 ? 16u : 8u); bg++)
        for (unsigned fg = 0; fg < (ui->colours16 ? 16u : 8u); fg++) {
            unsigned pair = bg * (ui->colours16 ? 16 : 8) + fg + 1;

            if ((int)pair < COLOR_PAIRS)
                init_pair((short)pair, (short)terminal_colour(fg), (short)terminal_colour(bg));
        }
}

static void put_cell(struct curses_ui *ui, unsigned row, unsigned column, uint16_t cell)
{
    unsigned attribute = cell >> 8, fg = attribute & 15, bg = attribute >> 4;
    wchar_t text[2] = {cp437_to_unicode((uint8_t)cell), 0};
    attr_t attrs = A_NORMAL;
    unsigned pair;
    cchar_t c;

    if (ui->colours16) {
        pair = bg * 16 + fg + 1;
    } else { // eight colours: bold is bright, bit 7 blinks as on a VGA
        pair = (bg & 7) * 8 + (fg & 7) + 1;
        attrs |= (fg & 8 ? A_BOLD : 0) | (bg & 8 ? A_BLINK : 0);
    }
    if (!has_colors() || (int)pair >= COLOR_PAIRS) {
        attrs |= (bg & 7) > (fg & 7) ? A_REVERSE : 0;
        pair = 0;
    }
    if (setcchar(&c, text, attrs, (short)pair, NULL) != ERR)
        mvadd_wch((int)row, (int)column, &c);
}

static void draw_text(struct curses_ui *ui)
{
    const struct display_text *t = &ui->text;

    for (unsigned row = 0; row < t->rows && (int)row < LINES; row++)
        for (unsigned column = 0; column < t->columns && (int)column < COLS; column++)
            put_cell(ui, row, column, ui->cells[row * t->columns + column]);
    if (t->cursor_shown && (int)t->cursor_row < LINES && (int)t->cursor_column < COLS) {
        move((int)t->cursor_row, (int)t->cursor_column);
        curs_set(1);
    } else {
        curs_set(0);
    }
}

static void draw_graphics(struct curses_ui *ui)
{
    char line[64];
    int n = snprintf(line, sizeof(line), "%ux%u graphic mode", ui->width, ui->height);

    curs_set(0);
    mvaddstr(LINES / 2, COLS > n ? (COLS - n) / 2 : 0, line);
}

static bool same_text(const struct display_text *a, const struct display_text *b)
{
    return a->columns == b->columns && a->rows == b->rows && a->cursor_shown == b->cursor_shown &&
           (!a->cursor_shown || (a->cursor_row == b->cursor_row && a->cursor_column == b->cursor_column));
}

// A copy of the screen's characters; false if it is as before. Big lock held.
static bool take(struct curses_ui *ui)
{
    struct display_frame f;
    struct display_rect dirty;
    size_t bytes, before = (size_t)ui->text.columns * ui->text.rows * sizeof(*ui->cells);
    bool same;

    display_read(ui->reader, &f, &dirty);
    bytes = (size_t)f.text.columns * f.text.rows * sizeof(*ui->cells);
    same = same_text(&ui->text, &f.text) && f.width == ui->width && f.height == ui->height &&
           (!bytes || !memcmp(ui->cells, f.text.cells, bytes));
    if (same)
        return false;
    if (bytes > before) {
        uint16_t *cells = realloc(ui->cells, bytes);

        if (!cells)
            return false;
        ui->cells = cells;
    }
    if (bytes)
        memcpy(ui->cells, f.text.cells, bytes);
    if (ui->text.columns != f.text.columns || ui->text.rows != f.text.rows || !bytes)
        clear();
    ui->text = f.text;
    ui->text.cells = NULL; // ours is ui->cells
    ui->width = f.width;
    ui->height = f.height;
    return true;
}

static void refresh_screen(struct curses_ui *ui, bool all)
{
    bool changed;

    big_lock();
    changed = take(ui);
    big_unlock();
    if (!changed && !all)
        return;
    if (changed)
        ui->busy_until = clock_host_ns() + BUSY_FOR_MS * 1000000ull;
    if (ui->text.columns)
        draw_text(ui);
    else
        draw_graphics(ui);
    refresh();
}

// --- keys

static void send_key(struct curses_ui *ui, struct term_key k)
{
    static const struct {
        uint8_t modifier;
        uint16_t scancode;
    } rows[] = {{TERM_CTRL, 0x1d}, {TERM_ALT, 0x38}, {TERM_SHIFT, 0x2a}};
    uint16_t keys[ARRAY_SIZE(rows) + 1];
    unsigned n = 0;

    if (!k.scancode)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (k.modifiers & rows[i].modifier)
            keys[n++] = rows[i].scancode;
    keys[n++] = k.scancode;
    big_lock();
    for (unsigned i = 0; i < n; i++)
        input_key(ui->context.input, keys[i], true);
    for (unsigned i = n; i-- > 0;)
        input_key(ui->context.input, keys[i], false);
    big_unlock();
}

static void on_escape_key(struct curses_ui *ui, wint_t c)
{
    ui->escape = false;
    if (c == 'x' || c == 'X')
        runstate_shutdown(ui->context.runstate, RUN_CAUSE_HOST_UI, 0);
    else if (c == ESCAPE_KEY || c == 'a' || c == 'A')
        send_key(ui, term_key_of_char(ESCAPE_KEY));
}

static void on_char(struct curses_ui *ui, wint_t c, bool alt)
{
    struct term_key k;

    if (ui->escape) {
        on_escape_key(ui, c);
    } else if (c == ESCAPE_KEY && !alt) {
        ui->escape = true;
    } else {
        k = term_key_of_char(c);
        k.modifiers |= alt ? TERM_ALT : 0;
        send_key(ui, k);
    }
}

// An Escape with a character right behind it is Alt and the character.
static void on_escape_char(struct curses_ui *ui)
{
    wint_t c;
    int kind = get_wch(&c);

    if (kind == OK) {
        on_char(ui, c, true);
    } else {
        on_char(ui, 0x1b, false);
        if (kind == KEY_CODE_YES)
            unget_wch((wchar_t)c);
    }
}

// For a key with all modifiers twice. What does not fit waits in the terminal.
static bool has_room(struct curses_ui *ui)
{
    unsigned room;

    big_lock();
    room = input_key_room(ui->context.input);
    big_unlock();
    return room >= 16;
}

static void read_keys(struct curses_ui *ui)
{
    for (unsigned i = 0; i < KEYS_AT_ONCE && has_room(ui); i++) { // then the screen has its turn
        wint_t c;
        int kind = get_wch(&c);

        if (kind == ERR)
            return;
        ui->busy_until = clock_host_ns() + BUSY_FOR_MS * 1000000ull;
        if (kind == KEY_CODE_YES && (int)c == KEY_RESIZE) {
            clear();
            refresh_screen(ui, true);
        } else if (kind == KEY_CODE_YES) {
            ui->escape = false;
            send_key(ui, term_key_of_curses((int)c));
        } else if (c == 0x1b) {
            on_escape_char(ui);
        } else {
            on_char(ui, c, false);
        }
    }
}

// --- life

static void run(struct curses_ui *ui)
{
    struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = ui->wake_fd, .events = POLLIN}};

    while (!ui->stopping) {
        bool busy = clock_host_ns() < ui->busy_until;

        p[0].events = has_room(ui) ? POLLIN : 0;

        if (poll(p, 2, busy ? BUSY_MS : IDLE_MS) < 0 && errno != EINTR)
            return;
        if (p[0].revents & (POLLHUP | POLLERR | POLLNVAL)) { // the terminal is gone
            runstate_shutdown(ui->context.runstate, RUN_CAUSE_HOST_UI, 0);
            p[0].fd = -1;
        } else {
            read_keys(ui); // also after a signal: the terminal may have another size
        }
        refresh_screen(ui, false);
    }
}

static void *curses_thread(void *opaque)
{
    struct curses_ui *ui = opaque;
    sigset_t ours;

    pthread_setname_np(pthread_self(), "curses");
    // ncurses has handlers, which no other thread can run: a vCPU's stack pointer is its guest's.
    sigemptyset(&ours);
    sigaddset(&ours, SIGWINCH);
    sigaddset(&ours, SIGTSTP);
    pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
    refresh_screen(ui, true);
    run(ui);
    return NULL;
}

// The character set of the terminal: the user's, or UTF-8 if that has no line drawing characters.
static void set_up_locale(void)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8"))
        setlocale(LC_CTYPE, "C.UTF-8");
}

static void release(struct curses_ui *ui)
{
    if (ui->reader) {
        big_lock();
        display_reader_free(ui->reader);
        big_unlock();
    }
    if (ui->terminal) {
        endwin();
        delscreen(ui->terminal);
    }
    if (ui->wake_fd >= 0)
        close(ui->wake_fd);
    free(ui->cells);
    free(ui);
}

static int start(const struct display_context *c, void **state, struct err *e)
{
    struct curses_ui *ui = calloc(1, sizeof(*ui));
    const char *term = getenv("TERM");
    int ret;

    if (!ui)
        return err_set(e, "out of memory");
    ui->context = *c;
    ui->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        ret = err_set(e, "-display curses: standard input and output are not a terminal");
        goto fail;
    }
    set_up_locale();
    ui->terminal = newterm(NULL, stdout, stdin);
    if (!ui->terminal) {
        ret = err_set(e, "-display curses: the terminal type is unknown ($TERM is '%.60s')", term ? term : "");
        goto fail;
    }
    raw();
    noecho();
    nonl();
    nodelay(stdscr, TRUE);
    keypad(stdscr, TRUE);
    set_escdelay(25);
    set_up_colours(ui);
    big_lock();
    ui->reader = display_reader_new(c->screen);
    big_unlock();
    ret = ui->reader && ui->wake_fd >= 0 ? pthread_create(&ui->thread, NULL, curses_thread, ui) : ENOMEM;
    if (!ret) {
        *state = ui;
        return 0;
    }
    ret = err_set(e, "-display curses: %s", strerror(ret));
fail:
    release(ui);
    return ret;
}

static void stop(void *state)
{
    struct curses_ui *ui = state;
    uint64_t one = 1;

    ui->stopping = true;
    while (write(ui->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
    pthread_join(ui->thread, NULL);
    release(ui);
}

const struct display_ops display_curses = {
    .name = "curses",
    .help = "text modes in this terminal (Ctrl-A X leaves)",
    .terminal = true,
    .start = start,
    .stop = stop,
};
