/* Frames in every format, one by one and in streams; and every wrong argument.
 *
 *     frames MODEL_FOLDER
 */
#define _GNU_SOURCE
#include "check.h"

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

#define SIDE 8
#define PIXELS (SIDE * SIDE)

static const char *const names[] = {"red", "green", "blue"};

/* A frame of one colour in all formats: its planes, one after the other, are filled with these numbers in turn. */
static const struct {
    int32_t format;
    size_t planes, bytes[3], period[3];
    uint8_t numbers[3][4];
} red[] = {
    {CLIP_FORMAT_RGB, 1, {3 * PIXELS}, {3}, {{255, 0, 0}}},
    {CLIP_FORMAT_BGR, 1, {3 * PIXELS}, {3}, {{0, 0, 255}}},
    {CLIP_FORMAT_RGBA, 1, {4 * PIXELS}, {4}, {{255, 0, 0, 9}}},
    {CLIP_FORMAT_BGRA, 1, {4 * PIXELS}, {4}, {{0, 0, 255, 9}}},
    {CLIP_FORMAT_RGBP, 3, {PIXELS, PIXELS, PIXELS}, {1, 1, 1}, {{255}, {0}, {0}}},
    {CLIP_FORMAT_NV12, 2, {PIXELS, PIXELS / 2}, {1, 2}, {{81}, {90, 240}}},
    {CLIP_FORMAT_NV21, 2, {PIXELS, PIXELS / 2}, {1, 2}, {{81}, {240, 90}}},
    {CLIP_FORMAT_I420, 3, {PIXELS, PIXELS / 4, PIXELS / 4}, {1, 1, 1}, {{81}, {90}, {240}}},
    {CLIP_FORMAT_YUYV, 1, {2 * PIXELS}, {4}, {{81, 90, 81, 240}}},
    {CLIP_FORMAT_UYVY, 1, {2 * PIXELS}, {4}, {{90, 81, 240, 81}}},
};

static uint8_t memory[3][4 * PIXELS];

static clip_frame red_frame(size_t which)
{
    clip_frame frame = CLIP_FRAME_INIT;
    size_t plane, i;

    frame.format = red[which].format;
    frame.width = frame.height = SIDE;
    for (plane = 0; plane < red[which].planes; plane++) {
        for (i = 0; i < red[which].bytes[plane]; i++)
            memory[plane][i] = red[which].numbers[plane][i % red[which].period[plane]];
        frame.planes[plane] = memory[plane];
    }
    return frame;
}

static void formats(const clip_model *model, const clip_labels *labels)
{
    const size_t dim = clip_model_embed_dim(model);
    float *rows = calloc(2 * dim, sizeof *rows);
    clip_match matches[6];
    clip_frame frame, other;
    const clip_frame *frames[2];
    uint16_t levels[PIXELS];
    size_t which, count, i;

    for (which = 0; which < sizeof red / sizeof *red; which++) {
        frame = red_frame(which);
        WORKS(clip_classify_frame(model, &frame, labels, matches, 3, &count));
        TRUE(count == 3 && matches[0].index == 0 && matches[0].similarity > 0.99f);
    }

    /* The left half is red, the right one is blue. */
    frame = red_frame(0);
    for (i = 0; i < PIXELS; i++)
        if (i % SIDE >= SIDE / 2) {
            memory[0][3 * i] = 0;
            memory[0][3 * i + 2] = 255;
        }
    frame.crop_width = SIDE / 2;
    frame.crop_height = SIDE;
    other = frame;
    other.crop_left = SIDE / 2;
    other.orientation = 6;
    frames[0] = &frame;
    frames[1] = &other;
    WORKS(clip_classify_frames(model, frames, 2, labels, 3, matches, 6, &count));
    TRUE(count == 3 && matches[0].index == 0 && matches[3].index == 2);
    WORKS(clip_embed_frames(model, frames, 2, rows, 2 * dim));
    TRUE(rows[0] > 0.99f && rows[dim + 2] > 0.99f);
    WORKS(clip_classify_frames(model, NULL, 0, labels, 3, NULL, 0, &count));
    WORKS(clip_embed_frames(model, NULL, 0, NULL, 0));

    /* A grey frame looks like all three. */
    for (i = 0; i < PIXELS; i++)
        levels[i] = 3000;
    frame = (clip_frame)CLIP_FRAME_INIT;
    frame.format = CLIP_FORMAT_GRAY16;
    frame.width = frame.height = SIDE;
    frame.planes[0] = (const uint8_t *)levels;
    frame.black = 2000;
    frame.white = 4000;
    WORKS(clip_embed_frames(model, frames, 1, rows, dim));
    TRUE(fabs(rows[0] - rows[2]) < 1e-6 && rows[0] > 0.5f);
    frame.format = CLIP_FORMAT_GRAY8;
    WORKS(clip_embed_frames(model, frames, 1, rows, dim));

    FAILS(CLIP_ERROR_NULL, "model is NULL", clip_classify_frame(NULL, &frame, labels, matches, 3, &count));
    FAILS(CLIP_ERROR_NULL, "frame is NULL", clip_classify_frame(model, NULL, labels, matches, 3, &count));
    FAILS(CLIP_ERROR_NULL, "labels is NULL", clip_classify_frame(model, &frame, NULL, matches, 3, &count));
    FAILS(CLIP_ERROR_NULL, "matches is NULL", clip_classify_frame(model, &frame, labels, NULL, 3, &count));
    FAILS(CLIP_ERROR_CAPACITY, "room for 0", clip_classify_frame(model, &frame, labels, matches, 0, &count));
    FAILS(CLIP_ERROR_NULL, "count is NULL", clip_classify_frame(model, &frame, labels, matches, 3, NULL));
    frames[1] = NULL;
    count = 7;
    FAILS(CLIP_ERROR_NULL, "frames[1] is NULL", clip_classify_frames(model, frames, 2, labels, 3, matches, 6, &count));
    TRUE(count == 0);
    FAILS(CLIP_ERROR_NULL, "frames is NULL", clip_classify_frames(model, NULL, 2, labels, 3, matches, 6, &count));
    FAILS(CLIP_ERROR_CAPACITY, "matches", clip_classify_frames(model, frames, 2, labels, 3, matches, 5, &count));
    FAILS(CLIP_ERROR_NULL, "model is NULL", clip_embed_frames(NULL, frames, 1, rows, dim));
    FAILS(CLIP_ERROR_NULL, "frames[1] is NULL", clip_embed_frames(model, frames, 2, rows, 2 * dim));
    FAILS(CLIP_ERROR_CAPACITY, "embeddings", clip_embed_frames(model, frames, 1, rows, dim - 1));
    free(rows);
}

#define REFUSED(field, value, status, part) \
    do { \
        clip_frame wrong = frame; \
        wrong.field = value; \
        FAILS(status, part, clip_classify_frame(model, &wrong, labels, &match, 1, &count)); \
    } while (0)

static void wrong_frames(const clip_model *model, const clip_labels *labels)
{
    const clip_frame frame = red_frame(5);
    clip_match match;
    size_t count;

    WORKS(clip_classify_frame(model, &frame, labels, &match, 1, &count));
    REFUSED(struct_size, 0, CLIP_ERROR_STRUCT_SIZE, "frame->struct_size");
    REFUSED(format, 0, CLIP_ERROR_ARGUMENT, "frame->format is 0");
    REFUSED(format, 99, CLIP_ERROR_ARGUMENT, "frame->format is 99");
    REFUSED(matrix, 9, CLIP_ERROR_ARGUMENT, "frame->matrix is 9");
    REFUSED(range, -1, CLIP_ERROR_ARGUMENT, "frame->range is -1");
    REFUSED(orientation, 9, CLIP_ERROR_ARGUMENT, "frame->orientation is 9");
    REFUSED(orientation, -1, CLIP_ERROR_ARGUMENT, "frame->orientation is -1");
    REFUSED(black, 65536, CLIP_ERROR_ARGUMENT, "frame->black is 65536");
    REFUSED(white, -1, CLIP_ERROR_ARGUMENT, "frame->white is -1");
    REFUSED(memory, 9, CLIP_ERROR_ARGUMENT, "frame->memory is 9");
    REFUSED(memory, CLIP_MEMORY_NVBUFSURFACE, CLIP_ERROR_ARGUMENT, "frame->handle is NULL");
    REFUSED(width, 0, CLIP_ERROR_ARGUMENT, "0x8 pixels");
    REFUSED(height, SIZE_MAX, CLIP_ERROR_ARGUMENT, "pixels, expected 1 to 65536");
    REFUSED(planes[1], NULL, CLIP_ERROR_NULL, "frame->planes[1] is NULL");
    REFUSED(strides[0], SIDE - 1, CLIP_ERROR_ARGUMENT, "the stride of plane 0 is 7");
    REFUSED(strides[1], SIZE_MAX, CLIP_ERROR_ARGUMENT, "the stride of plane 1");
    REFUSED(crop_width, SIDE + 1, CLIP_ERROR_ARGUMENT, "does not lie in a frame of 8x8");
    REFUSED(crop_left, SIZE_MAX, CLIP_ERROR_ARGUMENT, "does not lie in a frame of 8x8");
}

/* A frame in a buffer that is known by its file descriptor. */
static void buffers(const clip_model *model, const clip_labels *labels)
{
#ifdef __linux__
    const size_t page = 4096;
    clip_frame frame = red_frame(5);
    clip_match match;
    size_t count;
    const int fd = memfd_create("frame", 0);

    TRUE(fd > 0 && pwrite(fd, memory[0], PIXELS, (off_t)page) == PIXELS);
    TRUE(pwrite(fd, memory[1], PIXELS / 2, (off_t)page + PIXELS) == PIXELS / 2);
    frame.memory = CLIP_MEMORY_DMABUF;
    frame.planes[0] = frame.planes[1] = NULL;
    frame.fds[0] = fd;
    frame.offsets[0] = page;
    frame.offsets[1] = page + PIXELS;
    WORKS(clip_classify_frame(model, &frame, labels, &match, 1, &count));
    TRUE(match.index == 0 && match.similarity > 0.99f);
    WORKS(clip_classify_frame(model, &frame, labels, &match, 1, &count));
    frame.offsets[1] = 2 * page;
    FAILS(CLIP_ERROR_ARGUMENT, "", clip_classify_frame(model, &frame, labels, &match, 1, &count));
    frame.fds[0] = 0;
    FAILS(CLIP_ERROR_ARGUMENT, "frame->fds[0] is 0", clip_classify_frame(model, &frame, labels, &match, 1, &count));
    frame.fds[0] = 999;
    FAILS(CLIP_ERROR_ARGUMENT, "", clip_classify_frame(model, &frame, labels, &match, 1, &count));
    clip_model_forget_buffers(model);
    TRUE(close(fd) == 0);
#else
    (void)model, (void)labels;
#endif
    clip_model_forget_buffers(NULL);
}

/* What the function of a stream was told. */
struct told {
    clip_stream *stream;
    size_t count, dropped, changed;
    uint64_t last;
    int in_order, right;
};

static void tell(void *user, const clip_outcome *outcome)
{
    struct told *told = user;
    const clip_item *item = clip_outcome_item(outcome, 0);

    told->count++;
    told->in_order &= told->count == 1 || outcome->sequence == told->last + 1;
    told->last = outcome->sequence;
    if (outcome->status == CLIP_DROPPED) {
        told->dropped++;
        told->right &= item == NULL && outcome->labels == NULL;
        return;
    }
    told->right &= outcome->status == CLIP_OK && *outcome->error == 0 && outcome->count == 1 && item != NULL
        && item->fresh && item->count > 0 && item->matches[0].index == 0 && item->embedding != NULL
        && clip_labels_count(outcome->labels) > 0 && outcome->tag == outcome->sequence * 10;
    told->changed += item->changed != 0;
    if (item->label != CLIP_NONE)
        told->right &= strcmp(item->name, clip_labels_name(outcome->labels, item->label)) == 0;
}

static void streams(clip_model *model, const clip_labels *labels, const clip_labels *others, const clip_labels *foreign)
{
    clip_stream_options options = CLIP_STREAM_OPTIONS_INIT;
    clip_rule rule = CLIP_RULE_INIT;
    clip_frame frame = red_frame(7);
    clip_region regions[2] = {{7, 0, 0, SIDE, SIDE / 2}, {9, 0, SIDE / 2, SIDE, SIDE / 2}};
    struct told told = {NULL, 0, 0, 0, 0, 1, 1};
    clip_stream_counts counts;
    clip_stream *stream;
    const clip_outcome *outcome;
    const clip_item *item;
    uint64_t i;

    /* By a function. */
    options.when_full = CLIP_BLOCK;
    options.hold = 3;
    options.outcome = tell;
    options.user = &told;
    WORKS(clip_stream_open(model, labels, &options, &stream));
    told.stream = stream;
    for (i = 0; i < 40; i++) {
        if (i == 20)
            WORKS(clip_stream_set_labels(stream, others));
        WORKS(clip_stream_push(stream, &frame, i * 10));
    }
    WORKS(clip_stream_flush(stream));
    TRUE(told.count == 40 && told.in_order && told.right && told.dropped == 0 && told.changed == 3);
    FAILS(CLIP_ERROR_ARGUMENT, "told to the function", clip_stream_poll(stream, 0, &outcome));
    WORKS(clip_stream_count(stream, &counts));
    TRUE(counts.pushed == 40 && counts.done == 40 && counts.dropped == 0 && counts.failed == 0);
    clip_stream_free(stream);

    /* By polling. */
    options = (clip_stream_options)CLIP_STREAM_OPTIONS_INIT;
    options.refresh = 2;
    options.smoothing = 0.5f;
    options.top = 1;
    options.rule = &rule;
    WORKS(clip_stream_open(model, labels, &options, &stream));
    TRUE(clip_stream_poll(stream, 0, &outcome) == CLIP_TIMEOUT && outcome == NULL);
    for (i = 0; i < 4; i++) {
        WORKS(clip_stream_push_regions(stream, &frame, regions, 2, i));
        WORKS(clip_stream_poll(stream, 60000, &outcome));
        TRUE(outcome->status == CLIP_OK && outcome->tag == i && outcome->count == 2);
        item = clip_outcome_item(outcome, 1);
        TRUE(item->track == 9 && item->fresh == (i % 2 == 0) && item->count == 1 && strcmp(item->name, "red") == 0);
        TRUE(clip_outcome_item(outcome, 2) == NULL);
    }
    WORKS(clip_stream_push_regions(stream, &frame, NULL, 0, 5));
    WORKS(clip_stream_poll(stream, 60000, &outcome));
    TRUE(outcome->tag == 5 && outcome->count == 0 && clip_outcome_item(outcome, 0) == NULL);

    FAILS(CLIP_ERROR_NULL, "stream is NULL", clip_stream_push(NULL, &frame, 0));
    FAILS(CLIP_ERROR_NULL, "frame is NULL", clip_stream_push(stream, NULL, 0));
    frame.format = 0;
    FAILS(CLIP_ERROR_ARGUMENT, "frame->format", clip_stream_push(stream, &frame, 0));
    frame = red_frame(7);
    FAILS(CLIP_ERROR_NULL, "stream is NULL", clip_stream_push_regions(NULL, &frame, regions, 2, 0));
    FAILS(CLIP_ERROR_NULL, "frame is NULL", clip_stream_push_regions(stream, NULL, regions, 2, 0));
    FAILS(CLIP_ERROR_NULL, "regions is NULL", clip_stream_push_regions(stream, &frame, NULL, 2, 0));
    regions[1].height = SIDE;
    FAILS(CLIP_ERROR_ARGUMENT, "region 1 is", clip_stream_push_regions(stream, &frame, regions, 2, 0));
    FAILS(CLIP_ERROR_NULL, "stream is NULL", clip_stream_poll(NULL, 0, &outcome));
    FAILS(CLIP_ERROR_NULL, "out is NULL", clip_stream_poll(stream, 0, NULL));
    FAILS(CLIP_ERROR_NULL, "stream is NULL", clip_stream_set_labels(NULL, labels));
    FAILS(CLIP_ERROR_NULL, "labels is NULL", clip_stream_set_labels(stream, NULL));
    FAILS(CLIP_ERROR_ARGUMENT, "model", clip_stream_set_labels(stream, foreign));
    FAILS(CLIP_ERROR_NULL, "stream is NULL", clip_stream_flush(NULL));
    FAILS(CLIP_ERROR_NULL, "stream is NULL", clip_stream_count(NULL, &counts));
    FAILS(CLIP_ERROR_NULL, "counts is NULL", clip_stream_count(stream, NULL));
    TRUE(clip_outcome_item(NULL, 0) == NULL);
    clip_stream_free(stream);
    clip_stream_free(NULL);

    FAILS(CLIP_ERROR_NULL, "out is NULL", clip_stream_open(model, labels, NULL, NULL));
    MAKES_NONE(stream, CLIP_ERROR_NULL, "model is NULL", clip_stream_open(NULL, labels, NULL, &stream));
    MAKES_NONE(stream, CLIP_ERROR_NULL, "labels is NULL", clip_stream_open(model, NULL, NULL, &stream));
    MAKES_NONE(stream, CLIP_ERROR_ARGUMENT, "model", clip_stream_open(model, foreign, NULL, &stream));
    options.capacity = 1025;
    MAKES_NONE(stream, CLIP_ERROR_ARGUMENT, "capacity is 1025", clip_stream_open(model, labels, &options, &stream));
    options.capacity = 0;
    options.smoothing = 1;
    MAKES_NONE(stream, CLIP_ERROR_ARGUMENT, "smoothing is 1", clip_stream_open(model, labels, &options, &stream));
    options.smoothing = 0;
    options.when_full = 3;
    MAKES_NONE(stream, CLIP_ERROR_ARGUMENT, "when_full is 3", clip_stream_open(model, labels, &options, &stream));
    options.when_full = 0;
    rule.min_probability = 2;
    MAKES_NONE(stream, CLIP_ERROR_ARGUMENT, "probability", clip_stream_open(model, labels, &options, &stream));
    options.struct_size = 8;
    MAKES_NONE(stream, CLIP_ERROR_STRUCT_SIZE, "options", clip_stream_open(model, labels, &options, &stream));

    /* A stream outlives its model, and gives back what waits. */
    told.count = told.dropped = 0;
    told.last = (uint64_t)-1;
    options = (clip_stream_options)CLIP_STREAM_OPTIONS_INIT;
    options.capacity = 100;
    options.outcome = tell;
    options.user = &told;
    WORKS(clip_stream_open(model, labels, &options, &stream));
    clip_model_free(model);
    for (i = 0; i < 50; i++)
        WORKS(clip_stream_push(stream, &frame, i * 10));
    clip_stream_free(stream);
    TRUE(told.count == 50 && told.in_order && told.right);
}

/* Decoded pictures go where frames do. */
static void images(const clip_model *model, const clip_labels *labels)
{
    const unsigned char pixels[12] = {255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0};
    clip_frame frame = CLIP_FRAME_INIT;
    clip_image *image = NULL;
    clip_match by_frame, by_image;
    size_t count;

    WORKS(clip_image_from_rgb(pixels, sizeof pixels, 2, 2, 6, &image));
    frame.orientation = 3;
    WORKS(clip_image_frame(image, &frame));
    TRUE(frame.width == 2 && frame.height == 2 && frame.format == CLIP_FORMAT_RGB && frame.orientation == 3);
    TRUE(frame.struct_size == sizeof frame && frame.planes[0] != NULL && frame.planes[1] == NULL && frame.strides[0] == 6);
    WORKS(clip_classify_frame(model, &frame, labels, &by_frame, 1, &count));
    WORKS(clip_classify(model, image, labels, &by_image, 1, &count));
    TRUE(by_frame.index == by_image.index && by_frame.probability == by_image.probability);
    FAILS(CLIP_ERROR_NULL, "image is NULL", clip_image_frame(NULL, &frame));
    FAILS(CLIP_ERROR_NULL, "frame is NULL", clip_image_frame(image, NULL));
    frame.struct_size = 1;
    FAILS(CLIP_ERROR_STRUCT_SIZE, "struct_size", clip_image_frame(image, &frame));
    clip_image_free(image);
}

int main(int argc, char **argv)
{
    clip_model *model = NULL, *another = NULL;
    clip_labels *labels = NULL, *others = NULL, *foreign = NULL;

    if (argc != 3)
        return 2;
    WORKS(clip_model_open(argv[1], NULL, &model));
    WORKS(clip_model_open(argv[2], NULL, &another));
    WORKS(clip_labels_new(model, names, 3, NULL, 0, &labels));
    WORKS(clip_labels_new(model, names, 2, NULL, 0, &others));
    WORKS(clip_labels_new(another, names, 2, NULL, 0, &foreign));
    if (failures == 0) {
        formats(model, labels);
        wrong_frames(model, labels);
        buffers(model, labels);
        images(model, labels);
        streams(model, labels, others, foreign);
    }
    clip_labels_free(labels);
    clip_labels_free(others);
    clip_labels_free(foreign);
    clip_model_free(another);
    TRUE(checks > 100);
    return failures > 0;
}
