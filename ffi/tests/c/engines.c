/* Engines of TensorRT, on a machine whose GPU and TensorRT are doubles: refused, built, and run. Nothing may be printed.
 *
 *     engines MODEL_FOLDER
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "clip.h"

static int failures;

static void check(int line, int holds, const char *what)
{
    if (holds)
        return;
    failures++;
    fprintf(stderr, "line %d: not so: %s: %s\n", line, what, clip_last_error());
}

#define TRUE(condition) check(__LINE__, condition, #condition)
#define FAILS(status, part, call) TRUE((call) == (status) && strstr(clip_last_error(), part) != NULL)

#define DIM 4

/* The embeddings of three texts. */
static void embed(const clip_model *model, float *rows)
{
    static const char *const texts[] = {"red", "photo of green", "blue"};

    TRUE(clip_model_embed_dim(model) == DIM);
    TRUE(clip_embed_texts(model, texts, 3, rows, 3 * DIM) == CLIP_OK);
}

int main(int argc, char **argv)
{
    clip_open_options options = CLIP_OPEN_OPTIONS_INIT;
    clip_model *graphs, *plans;
    float expected[3 * DIM], found[3 * DIM];
    int i;

    if (argc != 2)
        return 2;
    TRUE(clip_model_open(argv[1], &options, &graphs) == CLIP_OK);
    TRUE(strncmp(clip_model_text_engine(graphs), "ONNX Runtime 1.", 15) == 0);
    embed(graphs, expected);

    options.engine = "tensorrt";
    FAILS(CLIP_ERROR_PLAN, "is an ONNX graph, and TensorRT runs plans", clip_model_open(argv[1], &options, &plans));
    options.device = "cuda:7";
    FAILS(CLIP_ERROR_DEVICE, "there is no CUDA device 7", clip_model_open(argv[1], &options, &plans));
    options.device = "cpu";
    FAILS(CLIP_ERROR_DEVICE, "CPU was asked for", clip_model_open(argv[1], &options, &plans));
    options.device = NULL;
    options.tensorrt = "/no/such/libnvinfer.so.11";
    FAILS(CLIP_ERROR_LIBRARY, "/no/such/libnvinfer.so.11", clip_model_open(argv[1], &options, &plans));
    options.tensorrt = "";
    FAILS(CLIP_ERROR_FILE, "options->tensorrt is empty", clip_model_open(argv[1], &options, &plans));
    options.tensorrt = NULL;

    options.rebuild = 1;
    TRUE(clip_model_open(argv[1], &options, &plans) == CLIP_OK);
    TRUE(strcmp(clip_model_engine(plans), "TensorRT") == 0);
    TRUE(strcmp(clip_model_engine_version(plans), "11.4.0") == 0);
    TRUE(strcmp(clip_model_device(plans), "cuda:0") == 0);
    TRUE(strncmp(clip_model_text_engine(plans), "TensorRT 11.4.0, CUDA device 0", 30) == 0);
    TRUE(clip_model_unverified(plans) == 2);
    embed(plans, found);
    for (i = 0; i < 3 * DIM; i++)
        TRUE(fabsf(found[i] - expected[i]) < 1e-6f);
    clip_model_free(plans);
    clip_model_free(graphs);
    return failures == 0 ? 0 : 1;
}
