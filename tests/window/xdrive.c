// SPDX-License-Identifier: MIT
// Plays the user at an X server: key, mouse and window commands from standard input, by XTest, so that a
// program under test sees what it would see of real devices. Answers one line a command.
//
//   find TITLE     waits for a window whose title starts with TITLE        ok X Y WIDTH HEIGHT TITLE
//   title TEXT     waits until its title contains TEXT                     ok
//   size W H       waits until it has this size                            ok X Y W H
//   resize W H     as a window manager would
//   close          as a window manager would, by WM_DELETE_WINDOW
//   gone           waits until it is gone
//   manager        waits until a window manager is there
//   focus          gives it the keyboard
//   key NAME up|down        NAME as X has it (Control_L)
//   type N KEYCODE...       N keys in turn, each pressed and released, a key each millisecond
//   move X Y       within the window        by DX DY    relative
//   button N up|down
//   shot FILE      the window's pixels as PPM
#include <X11/Xatom.h>
#include <X11/Xlib.h>
#include <X11/Xutil.h>
#include <X11/extensions/XTest.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// SDL takes a press within 2 ms of the same key's release for the X server's repetition: no finger is that fast.
enum { PATIENCE_MS = 20000, POLL_MS = 20, KEY_MS = 5 };

static Display *dpy;
static Window win;

static void nap(void) { nanosleep(&(struct timespec){0, POLL_MS * 1000000L}, NULL); }

// Windows come and go while we look: a failed request is no reason to end.
static int on_error(Display *d, XErrorEvent *e) { return 0; }

static bool get_title(Window w, char *out, size_t size)
{
    Atom type;
    int format;
    unsigned long n, left;
    unsigned char *text = NULL;
    bool ok = XGetWindowProperty(dpy, w, XInternAtom(dpy, "_NET_WM_NAME", False), 0, 256, False, AnyPropertyType, &type,
                                 &format, &n, &left, &text) == Success &&
              text;

    snprintf(out, size, "%s", ok ? (char *)text : "");
    if (text)
        XFree(text);
    return ok;
}

static Window find_below(Window w, const char *prefix)
{
    Window root, parent, *children = NULL, found = 0;
    unsigned n = 0;
    char title[256];

    if (get_title(w, title, sizeof(title)) && *title && !strncmp(title, prefix, strlen(prefix)))
        return w;
    if (!XQueryTree(dpy, w, &root, &parent, &children, &n))
        return 0;
    for (unsigned i = 0; i < n && !found; i++)
        found = find_below(children[i], prefix);
    if (children)
        XFree(children);
    return found;
}

static bool geometry(int *x, int *y, unsigned *w, unsigned *h)
{
    Window root, child;
    unsigned border, depth;
    int ignored;

    return XGetGeometry(dpy, win, &root, &ignored, &ignored, w, h, &border, &depth) &&
           XTranslateCoordinates(dpy, win, root, 0, 0, x, y, &child);
}

// The window as it is at one moment: nobody else is served between its size and its pixels. A window that its program
// is resizing may reach beyond the screen, where there are no pixels to be had (BadMatch): until it is back.
static XImage *grab_image(void)
{
    for (int ms = 0; ms < PATIENCE_MS; ms += POLL_MS, nap()) {
        unsigned w, h;
        int x, y;
        XImage *image = NULL;

        XGrabServer(dpy);
        if (geometry(&x, &y, &w, &h))
            image = XGetImage(dpy, win, 0, 0, w, h, AllPlanes, ZPixmap);
        XUngrabServer(dpy);
        XFlush(dpy);
        if (image)
            return image;
    }
    return NULL;
}

static bool shot(const char *file)
{
    XImage *image = grab_image();
    FILE *f;

    if (!image)
        return false;
    f = fopen(file, "wb");
    if (!f) {
        XDestroyImage(image);
        return false;
    }
    fprintf(f, "P6\n%d %d\n255\n", image->width, image->height);
    for (int j = 0; j < image->height; j++)
        for (int i = 0; i < image->width; i++) {
            unsigned long p = XGetPixel(image, i, j);

            putc((int)(p >> 16 & 255), f);
            putc((int)(p >> 8 & 255), f);
            putc((int)(p & 255), f);
        }
    XDestroyImage(image);
    return !fclose(f);
}

static bool wait_title(const char *text)
{
    char title[256];

    for (int ms = 0; ms < PATIENCE_MS; ms += POLL_MS, nap())
        if (get_title(win, title, sizeof(title)) && strstr(title, text))
            return true;
    return false;
}

static bool wait_size(unsigned want_w, unsigned want_h)
{
    unsigned w, h;
    int x, y;

    for (int ms = 0; ms < PATIENCE_MS; ms += POLL_MS, nap())
        if (geometry(&x, &y, &w, &h) && w == want_w && h == want_h) {
            printf("ok %d %d %u %u\n", x, y, w, h);
            return true;
        }
    return false;
}

static bool find(const char *prefix)
{
    char title[256];
    unsigned w, h;
    int x, y;

    for (int ms = 0; ms < PATIENCE_MS; ms += POLL_MS, nap()) {
        XWindowAttributes a;

        win = find_below(DefaultRootWindow(dpy), prefix);
        if (win && XGetWindowAttributes(dpy, win, &a) && a.map_state == IsViewable && geometry(&x, &y, &w, &h)) {
            get_title(win, title, sizeof(title));
            printf("ok %d %d %u %u %s\n", x, y, w, h, title);
            return true;
        }
    }
    return false;
}

static bool wait_gone(void)
{
    XWindowAttributes a;

    for (int ms = 0; ms < PATIENCE_MS; ms += POLL_MS, nap())
        if (!XGetWindowAttributes(dpy, win, &a) || a.map_state != IsViewable)
            return true;
    return false;
}

static bool wait_manager(void)
{
    Atom type, check = XInternAtom(dpy, "_NET_SUPPORTING_WM_CHECK", False);
    int format;
    unsigned long n, left;

    for (int ms = 0; ms < PATIENCE_MS; ms += POLL_MS, nap()) {
        unsigned char *value = NULL;

        if (XGetWindowProperty(dpy, DefaultRootWindow(dpy), check, 0, 1, False, AnyPropertyType, &type, &format, &n,
                               &left, &value) == Success &&
            value) {
            XFree(value);
            return true;
        }
    }
    return false;
}

static bool send_close(void)
{
    XEvent e = {.xclient = {.type = ClientMessage, .window = win, .format = 32}};

    e.xclient.message_type = XInternAtom(dpy, "WM_PROTOCOLS", False);
    e.xclient.data.l[0] = (long)XInternAtom(dpy, "WM_DELETE_WINDOW", False);
    return XSendEvent(dpy, win, False, NoEventMask, &e);
}

static bool press(const char *name, bool down)
{
    KeySym sym = XStringToKeysym(name);
    KeyCode code = sym == NoSymbol ? 0 : XKeysymToKeycode(dpy, sym);

    return code && XTestFakeKeyEvent(dpy, code, down, KEY_MS);
}

static bool type(const char *args)
{
    int n = 0, used = 0, count = 0, codes[128];

    if (sscanf(args, "%d%n", &n, &used) != 1)
        return false;
    for (args += used; count < 128 && sscanf(args, "%d%n", &codes[count], &used) == 1; args += used)
        count++;
    if (!count)
        return false;
    // With more than two keys no key comes again within SDL's 2 ms.
    for (int i = 0; i < n; i++) {
        XTestFakeKeyEvent(dpy, (unsigned)codes[i % count], True, 1);
        XTestFakeKeyEvent(dpy, (unsigned)codes[i % count], False, CurrentTime);
    }
    return true;
}

static bool command(const char *verb, const char *args)
{
    char word[64], state[8];
    unsigned w, h;
    int x, y, n;

    if (!strcmp(verb, "find"))
        return find(args);
    if (!strcmp(verb, "title"))
        return wait_title(args);
    if (!strcmp(verb, "size") && sscanf(args, "%u %u", &w, &h) == 2)
        return wait_size(w, h);
    if (!strcmp(verb, "resize") && sscanf(args, "%u %u", &w, &h) == 2)
        return XResizeWindow(dpy, win, w, h);
    if (!strcmp(verb, "close"))
        return send_close();
    if (!strcmp(verb, "gone"))
        return wait_gone();
    if (!strcmp(verb, "manager"))
        return wait_manager();
    if (!strcmp(verb, "focus"))
        return XSetInputFocus(dpy, win, RevertToPointerRoot, CurrentTime);
    if (!strcmp(verb, "key") && sscanf(args, "%63s %7s", word, state) == 2)
        return press(word, !strcmp(state, "down"));
    if (!strcmp(verb, "type"))
        return type(args);
    if (!strcmp(verb, "move") && sscanf(args, "%d %d", &x, &y) == 2) {
        int wx, wy;

        return geometry(&wx, &wy, &w, &h) && XTestFakeMotionEvent(dpy, -1, wx + x, wy + y, CurrentTime);
    }
    if (!strcmp(verb, "by") && sscanf(args, "%d %d", &x, &y) == 2)
        return XTestFakeRelativeMotionEvent(dpy, x, y, 2); // SDL drops a movement like the one in the same ms
    if (!strcmp(verb, "button") && sscanf(args, "%d %7s", &n, state) == 2)
        return XTestFakeButtonEvent(dpy, (unsigned)n, !strcmp(state, "down"), CurrentTime);
    if (!strcmp(verb, "shot"))
        return shot(args);
    return false;
}

int main(void)
{
    char line[1024], *args;

    if (!(dpy = XOpenDisplay(NULL))) {
        fprintf(stderr, "xdrive: cannot reach the X server\n");
        return 1;
    }
    XSetErrorHandler(on_error);
    while (fgets(line, sizeof(line), stdin)) {
        bool ok;

        line[strcspn(line, "\n")] = 0;
        args = strchr(line, ' ');
        if (args)
            *args++ = 0;
        ok = command(line, args ? args : "");
        XSync(dpy, False);
        // find and size have said what they found
        if (!ok)
            puts("failed");
        else if (strcmp(line, "find") && strcmp(line, "size"))
            puts("ok");
        fflush(stdout);
    }
    return 0;
}
