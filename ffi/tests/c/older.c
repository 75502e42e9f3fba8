/* A program built with the headers of earlier versions, in which clip_open_options had fewer fields.
 *
 *     older MODEL_FOLDER
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clip.h"

typedef struct {
    size_t struct_size;
    size_t threads;
    const char *onnxruntime;
} first_options;

typedef struct {
    first_options first;
    size_t max_pixels;
    size_t trust_unchanged;
} second_options;

typedef struct {
    second_options second;
    const char *engine;
    const char *device;
} third_options;

typedef struct {
    third_options third;
    size_t rebuild;
    const char *tensorrt;
} fourth_options;

/* Still older than any: the shortest that is taken. */
typedef struct {
    size_t struct_size;
    size_t threads;
} shortest_options;

/* Opens the folder with options that lie at the very end of their memory, where a byte more is not theirs to read. */
static int opens(const char *folder, const void *options, size_t size)
{
    clip_model *model = NULL;
    void *copy = malloc(size);
    clip_status status;

    if (copy == NULL)
        return 0;
    memcpy(copy, options, size);
    status = clip_model_open(folder, copy, &model);
    free(copy);
    if (status != CLIP_OK) {
        fprintf(stderr, "%lu bytes of options: %s\n", (unsigned long)size, clip_last_error());
        return 0;
    }
    clip_model_free(model);
    return 1;
}

int main(int argc, char **argv)
{
    first_options first;
    second_options second;
    third_options third;
    fourth_options fourth;
    shortest_options shortest;
    const clip_open_options current = CLIP_OPEN_OPTIONS_INIT;

    if (argc != 2)
        return 2;
    memset(&first, 0, sizeof first);
    first.struct_size = sizeof first;
    first.threads = 1;
    memset(&second, 0, sizeof second);
    second.first.struct_size = sizeof second;
    second.max_pixels = 1000;
    memset(&third, 0, sizeof third);
    third.second.first.struct_size = sizeof third;
    third.engine = "onnx";
    third.device = "cpu";
    memset(&fourth, 0, sizeof fourth);
    fourth.third.second.first.struct_size = sizeof fourth;
    fourth.third.engine = "onnx";
    memset(&shortest, 0, sizeof shortest);
    shortest.struct_size = sizeof shortest;
    return opens(argv[1], &first, sizeof first) && opens(argv[1], &second, sizeof second)
                   && opens(argv[1], &third, sizeof third) && opens(argv[1], &fourth, sizeof fourth)
                   && opens(argv[1], &shortest, sizeof shortest) && opens(argv[1], &current, sizeof current)
               ? 0
               : 1;
}
