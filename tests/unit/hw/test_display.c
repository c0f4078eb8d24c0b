// SPDX-License-Identifier: MIT
// Tests of hw/display.c: what each reader is told.
#include "hw/display.h"

#include "tests/unit/hw/harness.h"

static struct display *d;
static unsigned renders, full;
static struct {
    unsigned w, h, x, y, rw, rh;
} next;

static void render(void *opaque, struct display *screen, bool all)
{
    ck_assert_ptr_eq(opaque, &next);
    renders++;
    full += all;
    if (next.w)
        ck_assert(display_resize(screen, next.w, next.h));
    if (next.rw)
        display_changed(screen, next.x, next.y, next.rw, next.rh);
    next.w = next.rw = 0;
}
static const struct display_adapter_ops ops = {.render = render};

static void expect(struct display_reader *r, unsigned x, unsigned y, unsigned w, unsigned h)
{
    struct display_frame f;
    struct display_rect dirty;
    display_read(r, &f, &dirty);
    ck_assert_uint_eq(dirty.w, w);
    if (w) {
        ck_assert_uint_eq(dirty.x, x);
        ck_assert_uint_eq(dirty.y, y);
        ck_assert_uint_eq(dirty.h, h);
    }
}

START_TEST(no_adapter)
{
    struct display_frame f;
    struct display_rect dirty;
    unsigned lit = 0;
    d = display_create();
    struct display_reader *r = display_reader_new(d);
    display_read(r, &f, &dirty);
    ck_assert_uint_eq(f.width, 640);
    ck_assert_uint_eq(dirty.w, 640);
    for (unsigned i = 0; i < f.width * f.height; i++)
        lit += f.pixels[i] != 0;
    ck_assert_uint_gt(lit, 100);
    ck_assert_uint_eq(f.text.columns, 80);
    ck_assert(!f.text.cursor_shown);
    expect(r, 0, 0, 0, 0);
    display_destroy(d);
}
END_TEST

START_TEST(readers_have_their_own_account)
{
    d = display_create();
    display_set_adapter(d, &ops, &next);
    struct display_reader *a = display_reader_new(d), *b = display_reader_new(d);
    next.w = 100;
    next.h = 50;
    expect(a, 0, 0, 100, 50);
    ck_assert_uint_eq(full, 1);
    expect(a, 0, 0, 0, 0);
    next.x = 10, next.y = 20, next.rw = 5, next.rh = 6;
    expect(a, 10, 20, 5, 6);
    next.x = 90, next.y = 10, next.rw = 50, next.rh = 1; // clipped
    expect(a, 90, 10, 10, 1);
    next.x = 100, next.rw = 1;
    expect(a, 0, 0, 0, 0);
    expect(b, 0, 0, 100, 50);
    next.x = 10, next.y = 20, next.rw = 5, next.rh = 6;
    expect(a, 10, 20, 5, 6);
    next.x = 12, next.y = 10, next.rw = 20, next.rh = 2;
    expect(b, 10, 10, 22, 16);
    expect(a, 12, 10, 20, 2);
    ck_assert_uint_eq(full, 1);
    ck_assert_uint_eq(renders, 9);
    display_reader_free(a);
    struct display_reader *c = display_reader_new(d); // has seen nothing
    expect(c, 0, 0, 100, 50);
    display_destroy(d);
}
END_TEST

START_TEST(smaller_screen)
{
    d = display_create();
    display_set_adapter(d, &ops, &next);
    struct display_reader *a = display_reader_new(d);
    next.w = 800, next.h = 600;
    expect(a, 0, 0, 800, 600);
    next.x = 700, next.y = 500, next.rw = 10, next.rh = 10;
    struct display_reader *b = display_reader_new(d);
    expect(b, 0, 0, 800, 600);
    next.w = 320, next.h = 200;
    expect(b, 0, 0, 320, 200);
    expect(a, 0, 0, 320, 200);
    ck_assert(!display_resize(d, 0, 5));
    ck_assert(!display_resize(d, 2561, 5));
    ck_assert(!display_resize(d, 5, 1601));
    display_destroy(d);
}
END_TEST

START_TEST(text)
{
    uint16_t cells[6] = {0x0741, 0x0742, 3, 4, 5, 6};
    struct display_text t = {.columns = 3, .rows = 2, .cells = cells, .cursor_column = 3, .cursor_shown = true};
    struct display_frame f;
    struct display_rect dirty;
    d = display_create();
    struct display_reader *r = display_reader_new(d);
    display_set_text(d, &t);
    cells[0] = 0; // they were copied
    display_read(r, &f, &dirty);
    ck_assert_uint_eq(f.text.columns, 3);
    ck_assert_uint_eq(f.text.cells[0], 0x0741);
    ck_assert_uint_eq(f.text.cells[5], 6);
    ck_assert(!f.text.cursor_shown); // outside
    t.columns = 1u << 20;
    display_set_text(d, &t); // no such screen
    display_read(r, &f, &dirty);
    ck_assert_uint_eq(f.text.columns, 0);
    display_destroy(d);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {no_adapter, readers_have_their_own_account, smaller_screen, text};
    return bench_main("display", tests, ARRAY_SIZE(tests));
}
