// SPDX-License-Identifier: MIT
// A picture of the screen as a file: PPM, or PNG by libpng.
#include "frontends/screendump.h"

#include "hw/display.h"

#include <errno.h>
#include <fcntl.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// 0 or -errno.
typedef int picture_fn(FILE *f, const struct display_frame *frame);

static void row_rgb(const struct display_frame *frame, unsigned y, uint8_t *rgb)
{
    const uint32_t *p = frame->pixels + (size_t)y * frame->width;

    for (unsigned x = 0; x < frame->width; x++) {
        rgb[3 * x] = (uint8_t)(p[x] >> 16);
        rgb[3 * x + 1] = (uint8_t)(p[x] >> 8);
        rgb[3 * x + 2] = (uint8_t)p[x];
    }
}

static int write_ppm(FILE *f, const struct display_frame *frame)
{
    uint8_t rgb[3 * DISPLAY_MAX_WIDTH];

    fprintf(f, "P6\n%u %u\n255\n", frame->width, frame->height);
    for (unsigned y = 0; y < frame->height; y++) {
        row_rgb(frame, y, rgb);
        fwrite(rgb, 3, frame->width, f);
    }
    return 0; // what went wrong is in the stream
}

// libpng longjmps out of any of its calls.
static int write_png(FILE *f, const struct display_frame *frame)
{
    uint8_t rgb[3 * DISPLAY_MAX_WIDTH];
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png ? png_create_info_struct(png) : NULL;

    if (!info || setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        return ferror(f) ? -EIO : -ENOMEM;
    }
    png_init_io(png, f);
    png_set_IHDR(png, info, frame->width, frame->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (unsigned y = 0; y < frame->height; y++) {
        row_rgb(frame, y, rgb);
        png_write_row(png, rgb);
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return 0;
}

static picture_fn *find_format(const char *name)
{
    static const struct {
        const char *name;
        picture_fn *write;
    } formats[] = {{"ppm", write_ppm}, {"png", write_png}};

    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
        if (!strcmp(name, formats[i].name))
            return formats[i].write;
    return NULL;
}

static int write_and_close(FILE *f, picture_fn *write, const struct display_frame *frame)
{
    int ret = write(f, frame);

    errno = 0;
    if (!ret && (fflush(f) || ferror(f)))
        ret = errno ? -errno : -EIO;
    if (fclose(f) && !ret)
        ret = -errno;
    return ret;
}

// Where it cannot be replaced by renaming - a pipe, a terminal - it is written as it is.
static int write_in_place(const char *path, picture_fn *write, const struct display_frame *frame)
{
    FILE *f = fopen(path, "we");

    return f ? write_and_close(f, write, frame) : -errno;
}

static int write_and_rename(const char *path, picture_fn *write, const struct display_frame *frame)
{
    char temporary[4096];
    mode_t mask = umask(0);
    FILE *f = NULL;
    int fd, ret;

    umask(mask);
    if ((size_t)snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= sizeof(temporary))
        return -ENAMETOOLONG;
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fchmod(fd, 0666 & ~mask) || !(f = fdopen(fd, "w"))) {
        ret = -errno;
        close(fd);
    } else {
        ret = write_and_close(f, write, frame);
    }
    if (!ret && rename(temporary, path))
        ret = -errno;
    if (ret)
        unlink(temporary);
    return ret;
}

int screendump_write(struct display *d, const char *path, const char *format, struct err *e)
{
    picture_fn *write = find_format(format ? format : "ppm");
    struct display_reader *reader;
    struct display_frame frame;
    struct display_rect dirty;
    struct stat st;
    int ret;

    if (!write)
        return err_set(e, "screendump: there is no format '%.40s' (there are ppm, png)", format);
    reader = display_reader_new(d);
    if (!reader)
        return err_set(e, "screendump: out of memory");
    display_read(reader, &frame, &dirty);
    if (!stat(path, &st) && !S_ISREG(st.st_mode))
        ret = write_in_place(path, write, &frame);
    else
        ret = write_and_rename(path, write, &frame);
    display_reader_free(reader);
    return ret ? err_set(e, "screendump: cannot write %.160s: %s", path, strerror(-ret)) : 0;
}
