// A double of libgstanalytics-1.0.so.0 as of GStreamer 1.26: what is used of it, with one detection in every buffer's metadata. What it is asked
// for goes into the file CLIP_DOUBLE_LOG. GLib and GStreamer are those of the program.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    unsigned id;
    void *meta;
} Mtd;

extern const char *g_quark_to_string(unsigned quark);
extern size_t gst_buffer_extract(void *buffer, size_t offset, void *to, size_t size);
extern void gst_mini_object_unref(void *object);
extern void g_free(void *memory);

enum { DETECTION = 0x0d, TRACKING = 0x7c };

static char relations, tensors;

static FILE *logged(void)
{
    static FILE *file;
    if (file == NULL) file = fopen(getenv("CLIP_DOUBLE_LOG"), "w");
    setvbuf(file, NULL, _IONBF, 0);
    return file;
}

void *gst_buffer_get_analytics_relation_meta(void *buffer)
{
    (void)buffer;
    return getenv("CLIP_DOUBLE_DETECTS") != NULL ? &relations : NULL;
}

void *gst_buffer_add_analytics_relation_meta(void *buffer)
{
    fprintf(logged(), "add %d\n", buffer != NULL);
    return &relations;
}

int gst_analytics_relation_meta_add_cls_mtd(void *meta, size_t length, const float *levels, const unsigned *quarks, Mtd *mtd)
{
    fprintf(logged(), "classes %d", meta == &relations);
    for (size_t i = 0; i < length; i++) fprintf(logged(), " %s=%.2f", g_quark_to_string(quarks[i]), (double)levels[i]);
    fprintf(logged(), "\n");
    *mtd = (Mtd){41, meta};
    return 1;
}

int gst_analytics_relation_meta_set_relation(void *meta, unsigned type, unsigned first, unsigned second)
{
    fprintf(logged(), "relate %d %u %u %u\n", meta == &relations, type, first, second);
    return 1;
}

int gst_analytics_relation_meta_iterate(void *meta, void **state, size_t type, Mtd *mtd)
{
    if (meta != &relations || type != DETECTION || *state != NULL) return 0;
    *state = &relations;
    *mtd = (Mtd){17, meta};
    return 1;
}

int gst_analytics_relation_meta_get_direct_related(void *meta, unsigned id, unsigned relation, size_t type, void **state, Mtd *mtd)
{
    if (meta != &relations || id != 17 || relation != 0x7fffffff || type != TRACKING || *state != NULL) return 0;
    *mtd = (Mtd){18, meta};
    return 1;
}

size_t gst_analytics_od_mtd_get_mtd_type(void) { return DETECTION; }

size_t gst_analytics_tracking_mtd_get_mtd_type(void) { return TRACKING; }

int gst_analytics_od_mtd_get_location(const Mtd *mtd, int *x, int *y, int *w, int *h, float *confidence)
{
    if (mtd->id != 17) return 0;
    *x = 32, *y = 0, *w = 32, *h = 32, *confidence = 0.5f;
    return 1;
}

int gst_analytics_tracking_mtd_get_info(const Mtd *mtd, uint64_t *id, uint64_t *first, uint64_t *last, int *lost)
{
    if (mtd->id != 18) return 0;
    *id = 5, *first = *last = 0, *lost = 0;
    return 1;
}

void *gst_tensor_new_simple(unsigned id, int type, void *data, int order, size_t dimensions, size_t *sizes)
{
    float row[8] = {0}, square = 0;
    size_t const bytes = gst_buffer_extract(data, 0, row, sizeof row);
    for (size_t i = 0; i < 8; i++) square += row[i] * row[i];
    fprintf(logged(), "tensor %s %d %d [%zu, %zu] %zu bytes, length %.3f\n", g_quark_to_string(id), type, order, sizes[0], sizes[dimensions - 1], bytes,
            (double)square);
    gst_mini_object_unref(data);
    return &tensors;
}

void *gst_buffer_add_tensor_meta(void *buffer) { return buffer; }

void gst_tensor_meta_set(void *meta, unsigned count, void **array)
{
    fprintf(logged(), "set %d %u %d\n", meta != NULL, count, array[0] == &tensors);
    g_free(array);
}
