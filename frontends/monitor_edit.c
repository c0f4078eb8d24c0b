// SPDX-License-Identifier: MIT
// Line editing, history and completion on terminals, by libedit.
//
// libedit waits for its input, so it has a thread of its own, which holds the big lock all the time but while
// it waits for a byte. It insists on a terminal for its settings; each editor gets a pseudo-terminal that
// nobody writes to, while the characters come from and go to the monitor's own stream.
#include "frontends/monitor_internal.h"

#include "base/biglock.h"

#include <fcntl.h>
#include <histedit.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { INPUT_MAX = 4096, HISTORY_LINES = 200, NAME_MAX_LEN = 32 };
enum { KEY_REDRAW = 0x1f }; // Ctrl-_, which the monitor itself types

struct monitor_edit {
    struct monitor *mon;
    EditLine *el;
    History *history;
    FILE *out;
    int master, slave; // the private pseudo-terminal
    pthread_t thread;
    bool started;

    pthread_mutex_t lock; // guards the rest; taken after the big lock, and held for moments only
    pthread_cond_t changed;
    uint8_t input[INPUT_MAX];
    size_t head, count;
    bool quit;
};

// --- what libedit reads and writes

static int get_char(EditLine *el, wchar_t *c)
{
    struct monitor_edit *ed;
    bool quit;

    el_get(el, EL_CLIENTDATA, &ed);
    fflush(ed->out);
    big_unlock();
    pthread_mutex_lock(&ed->lock);
    while (!ed->count && !ed->quit)
        pthread_cond_wait(&ed->changed, &ed->lock);
    quit = ed->quit;
    if (!quit) {
        *c = ed->input[ed->head];
        ed->head = (ed->head + 1) % INPUT_MAX;
        ed->count--;
    }
    pthread_mutex_unlock(&ed->lock);
    big_lock();
    return !quit;
}

static ssize_t cookie_write(void *cookie, const char *buf, size_t len)
{
    struct monitor_edit *ed = cookie;

    ed->mon->put(ed->mon->opaque, buf, len);
    return (ssize_t)len;
}

static char *get_prompt(EditLine *el) { return (char *)"(ring3) "; }

// --- completion

struct candidates {
    struct monitor_edit *ed;
    char common[NAME_MAX_LEN];
    unsigned count;
    bool print;
};

static void add_candidate(void *opaque, const char *name)
{
    struct candidates *c = opaque;
    size_t i = 0;

    if (c->print) {
        fprintf(c->ed->out, "%-20s%s", name, ++c->count % 4 ? "" : "\n");
        return;
    }
    if (!c->count++)
        snprintf(c->common, sizeof(c->common), "%s", name);
    while (c->common[i] && c->common[i] == name[i])
        i++;
    c->common[i] = 0;
}

static unsigned char complete(EditLine *el, int key)
{
    const LineInfo *line = el_line(el);
    size_t len = (size_t)(line->cursor - line->buffer), word = len;
    struct candidates c = {.count = 0};
    bool longer;

    el_get(el, EL_CLIENTDATA, &c.ed);
    monitor_complete(c.ed->mon, line->buffer, len, add_candidate, &c);
    if (!c.count)
        return CC_ERROR;
    while (word && line->buffer[word - 1] != ' ')
        word--;
    longer = strlen(c.common) > len - word;
    if (longer)
        el_insertstr(el, c.common + (len - word));
    if (c.count == 1)
        el_insertstr(el, " ");
    if (longer || c.count == 1)
        return CC_REFRESH;
    c.count = 0;
    c.print = true;
    fputc('\n', c.ed->out);
    monitor_complete(c.ed->mon, line->buffer, len, add_candidate, &c);
    if (c.count % 4)
        fputc('\n', c.ed->out);
    return CC_REDISPLAY;
}

// --- the thread

static void take_line(struct monitor_edit *ed, const char *line)
{
    char text[MONITOR_LINE_MAX];
    HistEvent event;

    snprintf(text, sizeof(text), "%.*s", (int)strcspn(line, "\r\n"), line);
    if (*text)
        history(ed->history, &event, H_ENTER, line);
    fflush(ed->out);
    monitor_run(ed->mon, text);
}

static bool must_quit(struct monitor_edit *ed)
{
    bool quit;

    pthread_mutex_lock(&ed->lock);
    quit = ed->quit;
    pthread_mutex_unlock(&ed->lock);
    return quit;
}

static void *edit_thread(void *opaque)
{
    struct monitor_edit *ed = opaque;

    pthread_setname_np(pthread_self(), "monitor");
    big_lock();
    while (!must_quit(ed)) {
        int count;
        const char *line = el_gets(ed->el, &count);

        if (line && count > 0)
            take_line(ed, line);
    }
    fflush(ed->out);
    big_unlock();
    return NULL;
}

bool monitor_edit_start(struct monitor_edit *ed)
{
    sigset_t all, old;

    // Signals are for the main thread, and for the CPU's.
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    ed->started = !pthread_create(&ed->thread, NULL, edit_thread, ed);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return ed->started;
}

// --- input

size_t monitor_edit_room(struct monitor_edit *ed)
{
    size_t room;

    pthread_mutex_lock(&ed->lock);
    room = INPUT_MAX - ed->count;
    pthread_mutex_unlock(&ed->lock);
    return room ? room : 1; // more is dropped: a monitor that hangs must not stop the terminal
}

void monitor_edit_input(struct monitor_edit *ed, const uint8_t *buf, size_t len)
{
    pthread_mutex_lock(&ed->lock);
    for (size_t i = 0; i < len && ed->count < INPUT_MAX; i++)
        if (buf[i] && buf[i] < 0x80) // the commands are ASCII
            ed->input[(ed->head + ed->count++) % INPUT_MAX] = buf[i];
    pthread_cond_signal(&ed->changed);
    pthread_mutex_unlock(&ed->lock);
}

void monitor_edit_refresh(struct monitor_edit *ed) { monitor_edit_input(ed, (const uint8_t[]){KEY_REDRAW}, 1); }

// --- life

static bool open_terminal(struct monitor_edit *ed)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    char name[64];

    ed->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (ed->master < 0 || grantpt(ed->master) || unlockpt(ed->master) || ptsname_r(ed->master, name, sizeof(name)) ||
        (ed->slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0)
        return false;
    if (isatty(STDOUT_FILENO))
        ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    return !ioctl(ed->slave, TIOCSWINSZ, &size);
}

static bool open_editor(struct monitor_edit *ed)
{
    static const struct {
        const char *key, *command;
    } keys[] = {{"^I", "ring3-complete"},
                {"^C", "em-kill-line"},
                {"^D", "ed-delete-next-char"},
                {"^_", "ed-redisplay"},
                {"^R", "em-inc-search-prev"}};
    HistEvent event;

    ed->el = el_init_fd("ring3", stdin, ed->out, ed->out, ed->slave, ed->slave, ed->slave);
    ed->history = history_init();
    if (!ed->el || !ed->history)
        return false;
    history(ed->history, &event, H_SETSIZE, HISTORY_LINES);
    history(ed->history, &event, H_SETUNIQUE, 1);
    el_set(ed->el, EL_CLIENTDATA, ed);
    el_set(ed->el, EL_PROMPT, get_prompt);
    el_set(ed->el, EL_HIST, history, ed->history);
    el_set(ed->el, EL_GETCFN, get_char);
    el_set(ed->el, EL_EDITOR, "emacs");
    el_set(ed->el, EL_ADDFN, "ring3-complete", "complete the command", complete);
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
        el_set(ed->el, EL_BIND, keys[i].key, keys[i].command, NULL);
    return true;
}

struct monitor_edit *monitor_edit_create(struct monitor *mon)
{
    static const cookie_io_functions_t io = {.write = cookie_write};
    struct monitor_edit *ed = calloc(1, sizeof(*ed));

    if (!ed)
        return NULL;
    ed->mon = mon;
    ed->master = ed->slave = -1;
    pthread_mutex_init(&ed->lock, NULL);
    pthread_cond_init(&ed->changed, NULL);
    ed->out = fopencookie(ed, "w", io);
    if (ed->out && open_terminal(ed) && open_editor(ed))
        return ed;
    monitor_edit_destroy(ed);
    return NULL;
}

void monitor_edit_destroy(struct monitor_edit *ed)
{
    if (!ed)
        return;
    if (ed->started) {
        pthread_mutex_lock(&ed->lock);
        ed->quit = true;
        pthread_cond_signal(&ed->changed);
        pthread_mutex_unlock(&ed->lock);
        big_unlock();
        pthread_join(ed->thread, NULL);
        big_lock();
    }
    if (ed->el)
        el_end(ed->el);
    if (ed->history)
        history_end(ed->history);
    if (ed->out)
        fclose(ed->out);
    if (ed->slave >= 0)
        close(ed->slave);
    if (ed->master >= 0)
        close(ed->master);
    pthread_cond_destroy(&ed->changed);
    pthread_mutex_destroy(&ed->lock);
    free(ed);
}
