/* Writes pictures as the raw frames that cameras give, one behind the other:
 *
 *     frames MODEL_FOLDER nv12|i420|yuyv|rgb PADDING OUTPUT PICTURE...
 *
 * Rows of the first plane are PADDING bytes longer than they need. BT.601, limited range.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clip.h"

static uint8_t byte(double value) { return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : floor(value + 0.5)); }

/* Y, Cb or Cr of a block of w x h pixels. */
static uint8_t part(const clip_frame *picture, size_t x, size_t y, size_t w, size_t h, char which)
{
    double sum[3] = {0, 0, 0};
    for (size_t j = y; j < y + h; j++)
        for (size_t i = x; i < x + w; i++)
            for (int c = 0; c < 3; c++)
                sum[c] += picture->planes[0][j * picture->strides[0] + 3 * i + (size_t)c];
    const double n = 255.0 * (double)(w * h), r = sum[0] / n, g = sum[1] / n, b = sum[2] / n;
    const double luma = 0.299 * r + 0.587 * g + 0.114 * b;
    if (which == 'y')
        return byte(16 + 219 * luma);
    return byte(128 + 224 * (which == 'u' ? (b - luma) / 1.772 : (r - luma) / 1.402));
}

static void row_end(FILE *out, size_t padding)
{
    for (size_t i = 0; i < padding; i++)
        fputc(0xaa, out);
}

/* Width and height are even. */
static void write(FILE *out, const clip_frame *p, const char *format, size_t padding)
{
    if (strcmp(format, "rgb") == 0) {
        for (size_t y = 0; y < p->height; y++, row_end(out, padding))
            fwrite(p->planes[0] + y * p->strides[0], 3, p->width, out);
        return;
    }
    if (strcmp(format, "yuyv") == 0) {
        for (size_t y = 0; y < p->height; y++, row_end(out, padding))
            for (size_t x = 0; x < p->width; x++) {
                fputc(part(p, x, y, 1, 1, 'y'), out);
                fputc(part(p, x & ~(size_t)1, y, 2, 1, x % 2 == 0 ? 'u' : 'v'), out);
            }
        return;
    }
    for (size_t y = 0; y < p->height; y++, row_end(out, padding))
        for (size_t x = 0; x < p->width; x++)
            fputc(part(p, x, y, 1, 1, 'y'), out);
    if (strcmp(format, "nv12") == 0) {
        for (size_t y = 0; y < p->height; y += 2, row_end(out, padding))
            for (size_t x = 0; x < p->width; x += 2) {
                fputc(part(p, x, y, 2, 2, 'u'), out);
                fputc(part(p, x, y, 2, 2, 'v'), out);
            }
        return;
    }
    for (int plane = 0; plane < 2; plane++)
        for (size_t y = 0; y < p->height; y += 2, row_end(out, padding / 2))
            for (size_t x = 0; x < p->width; x += 2)
                fputc(part(p, x, y, 2, 2, plane == 0 ? 'u' : 'v'), out);
}

int main(int argc, char **argv)
{
    clip_model *model = NULL;
    FILE *out;
    if (argc < 6 || (out = fopen(argv[4], "wb")) == NULL || clip_model_open(argv[1], NULL, &model) != CLIP_OK) {
        fprintf(stderr, "frames: %s\n", clip_last_error());
        return 1;
    }
    for (int i = 5; i < argc; i++) {
        clip_image *image = NULL;
        clip_frame frame = CLIP_FRAME_INIT;
        if (clip_image_open(model, argv[i], &image) != CLIP_OK || clip_image_frame(image, &frame) != CLIP_OK) {
            fprintf(stderr, "frames: %s\n", clip_last_error());
            return 1;
        }
        frame.strides[0] = 3 * frame.width; /* it is 0 where rows have no padding */
        write(out, &frame, argv[2], (size_t)atoi(argv[3]));
        clip_image_free(image);
    }
    clip_model_free(model);
    return fclose(out) == 0 ? 0 : 1;
}
